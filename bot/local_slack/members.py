"""Members of the local workspace, its user group, and the installed app with its slash commands."""

from dataclasses import dataclass

from bot.local_slack.refusal import JSON

TEAM_ID = "T0MLTEAM001"
TEAM_NAME = "ML Team"
TEAM_DOMAIN = "ml-team"
OTHER_TEAM_ID = "T0PARTNER02"


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkspaceMember:
    """A person or bot. A member of another team uses Slack Connect."""

    id: str
    name: str
    real_name: str
    team_id: str = TEAM_ID
    is_restricted: bool = False
    is_admin: bool = False
    is_bot: bool = False
    tz: str = "Europe/London"

    @property
    def is_stranger(self) -> bool:
        """Return True if this member belongs to another workspace."""
        return self.team_id != TEAM_ID

    def as_slack(self) -> JSON:
        """Return the user object of users.info."""
        return {
            "id": self.id,
            "team_id": self.team_id,
            "name": self.name,
            "deleted": False,
            "real_name": self.real_name,
            "tz": self.tz,
            "profile": {
                "real_name": self.real_name,
                "real_name_normalized": self.real_name,
                "display_name": self.name,
                "display_name_normalized": self.name,
                "team": self.team_id,
            },
            "is_admin": self.is_admin,
            "is_owner": False,
            "is_primary_owner": False,
            "is_restricted": self.is_restricted,
            "is_ultra_restricted": False,
            "is_bot": self.is_bot,
            "is_app_user": False,
            "is_stranger": self.is_stranger,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class UserGroup:
    """A group of people with a common mention, `@handle`."""

    id: str
    handle: str
    name: str
    members: tuple[str, ...]

    def as_slack(self) -> JSON:
        """Return the object of usergroups.list."""
        return {
            "id": self.id,
            "team_id": TEAM_ID,
            "is_usergroup": True,
            "name": self.name,
            "handle": self.handle,
            "date_delete": 0,
            "user_count": len(self.members),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class InstalledApp:
    """The app that is installed in the workspace."""

    app_id: str = "A0SEATRIAL1"
    bot_id: str = "B0SEATRIAL1"
    user_id: str = "U0SEATRIAL1"
    name: str = "seatrial"
    real_name: str = "Seatrial"


@dataclass(frozen=True, kw_only=True, slots=True)
class SlashCommand:
    """A slash command of the app, as its manifest declares it."""

    command: str
    description: str = ""
    usage_hint: str = ""


def slash_commands(manifest: JSON) -> tuple[SlashCommand, ...]:
    """Return the commands that an app manifest declares under `features.slash_commands`."""
    return tuple(
        SlashCommand(
            command=declared["command"], description=declared["description"], usage_hint=declared.get("usage_hint", "")
        )
        for declared in manifest.get("features", {}).get("slash_commands", ())
    )


ADA = WorkspaceMember(id="U0ADA4K7QM1", name="ada", real_name="Ada Lovelace", is_admin=True)
GRACE = WorkspaceMember(id="U0GRC9H2VX3", name="grace", real_name="Grace Hopper", tz="America/New_York")
EDSGER = WorkspaceMember(id="U0EDS5W8TN2", name="edsger", real_name="Edsger Dijkstra", tz="Europe/Amsterdam")
LINUS = WorkspaceMember(id="U0LNS3P6RB7", name="linus", real_name="Linus Pauling", tz="America/Los_Angeles")
MALLORY = WorkspaceMember(id="U0MLR8C1ZD4", name="mallory", real_name="Mallory Guest", is_restricted=True)
SYBIL = WorkspaceMember(id="U0SYB2F9KE6", name="sybil", real_name="Sybil Stranger", team_id=OTHER_TEAM_ID)

PEOPLE = (ADA, GRACE, EDSGER, LINUS, MALLORY, SYBIL)
GROUPS = (UserGroup(id="S0MLLEADS01", handle="ml-leads", name="ML leads", members=(GRACE.id, EDSGER.id)),)
# Slackbot reports failed commands, visible only to the member who typed them.
SLACKBOT = WorkspaceMember(id="USLACKBOT", name="slackbot", real_name="Slackbot", is_bot=True)
