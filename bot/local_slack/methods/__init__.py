"""Methods of the Web API. METHODS maps each name to its token, scope, rate and function."""

from bot.local_slack.methods import chat, directory, files, views
from bot.local_slack.methods.method import Method, MethodContext

METHODS: dict[str, Method] = {**directory.METHODS, **chat.METHODS, **files.METHODS, **views.METHODS}

__all__ = ["METHODS", "Method", "MethodContext"]
