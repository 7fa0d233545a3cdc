"""The request for help, which every verb understands. The manual is made from the table of commands."""

from dataclasses import dataclass

from bot.blocks import code, escape, message, section
from bot.commands.command import Command, Desk, Message, SettingsFile


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowHelp:
    """`/VERB help`. `verb` has its slash ("/deploy"); "" asks for the whole manual."""

    verb: str = ""

    def answer(self, desk: Desk) -> Message:
        commands = [desk.commands[self.verb]] if self.verb else desk.commands.values()
        return message([section(_manual(command)) for command in commands])

    def spelled(self, settings: SettingsFile) -> str:
        return f"{self.verb or '/seatrial'} help"


def _manual(command: Command) -> str:
    forms = "\n".join(f"{code(form.usage)} {escape(form.does)}" for form in command.forms)
    return f"*{command.verb}* {escape(command.does)}\n{forms}"
