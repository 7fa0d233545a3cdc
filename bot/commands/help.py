"""The manual: the forms of commands as a message."""

from collections.abc import Sequence

from bot.blocks import Message, code, escape, message, section
from bot.commands.command import Command


def manual(commands: Sequence[Command]) -> Message:
    """Return the usage lines of `commands`."""
    blocks = []
    for command in commands:
        forms = "\n".join(f"{code(form.usage)} {escape(form.does)}" for form in command.forms)
        blocks.append(section(f"*{command.verb}* {escape(command.does)}\n{forms}"))
    return message(blocks)
