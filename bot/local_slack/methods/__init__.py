"""The Web API's methods. METHODS is the list of them all: token, scope, rate and the function that answers."""

from __future__ import annotations

from bot.local_slack.methods import chat, directory, files, views
from bot.local_slack.methods.method import Method, Server

METHODS: dict[str, Method] = {**directory.METHODS, **chat.METHODS, **files.METHODS, **views.METHODS}

__all__ = ["METHODS", "Method", "Server"]
