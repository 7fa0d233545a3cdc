"""The one way in which the local Slack says no."""

from __future__ import annotations

from typing import Any

# Whatever comes off the wire as a JSON object.
JSON = dict[str, Any]


class Refusal(Exception):
    """A call that Slack would answer with `{"ok": false, "error": …}`.

    `problems` are Slack's own remarks on the arguments, each ending in a JSON pointer; `details` are further
    top-level fields of the answer, such as `needed` and `provided` of a `missing_scope`.
    """

    def __init__(self, error: str, *problems: str, **details: str) -> None:
        super().__init__(error, *problems)
        self.error = error
        self.problems = problems
        self.details = details

    def as_json(self) -> JSON:
        """Returns the body of Slack's answer."""
        body: JSON = {"ok": False, "error": self.error, **self.details}
        if self.problems:
            body["errors"] = list(self.problems)
            body["response_metadata"] = {"messages": [f"[ERROR] {problem}" for problem in self.problems]}
        return body
