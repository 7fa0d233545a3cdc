"""Refusals of the local Slack, in the form of Slack's error answers."""

from typing import Any

# A decoded JSON object.
JSON = dict[str, Any]


class SlackRefusal(Exception):
    """A call that Slack would answer with `{"ok": false, "error": …}`.

    `problems` are Slack's remarks on the arguments, each with a JSON pointer at its end. `details` are further
    fields of the answer, such as `needed` and `provided` of `missing_scope`.
    """

    def __init__(self, error: str, *problems: str, **details: str) -> None:
        super().__init__(error, *problems)
        self.error = error
        self.problems = problems
        self.details = details

    def as_json(self) -> JSON:
        """Return the body of Slack's answer."""
        body: JSON = {"ok": False, "error": self.error, **self.details}
        if self.problems:
            body["errors"] = list(self.problems)
            body["response_metadata"] = {"messages": [f"[ERROR] {problem}" for problem in self.problems]}
        return body
