"""Refusals of a query, worded for the person who wrote it."""

import re

_POSITION = re.compile(r"\s*\[at (\d+):(\d+)\]\s*")
_SIGNATURES = re.compile(r"\n\s+Signature:.*", re.DOTALL)


class Refused(Exception):
    """The query cannot run: BigQuery refuses it, too, or the warehouse on this machine lacks a part of GoogleSQL.

    `problem` and `advice` are sentences.
    """

    def __init__(self, problem: str, *, advice: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.advice = advice or "Correct the query."

    @classmethod
    def from_googlesql(cls, message: str) -> "Refused":
        """Return the refusal for a message of GoogleSQL, without its lists of signatures."""
        position = _POSITION.search(message)
        text = _POSITION.sub(" ", _SIGNATURES.sub("", message)).strip()
        text = re.sub(r"\s*\n\s*", ". ", text).replace(";. ", "; ").rstrip(".")
        if text.startswith("Statement not supported"):
            return cls("it must be a query.", advice="Write SELECT … FROM …, or WITH … SELECT ….")
        at = f"line {position[1]}, column {position[2]}: " if position else ""
        return cls(f"{at}{text}.", advice="Correct the query; BigQuery refuses it for the same reason.")


def missing(what: str, advice: str = "") -> Refused:
    """Return the refusal of a part of GoogleSQL that this warehouse lacks. `what` begins the sentence."""
    return Refused(
        f"{what} is not available in the warehouse on this machine.",
        advice=advice or "Write it in another way, or train in BigQuery.",
    )
