"""The engine's messages during builds, pulls and pushes, converted to progress and errors. Pure.

Each message is a JSON object: https://docs.docker.com/reference/api/engine/ (ImageBuild, ImageCreate, ImagePush).
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from workers.errors import JobError, PermanentError, TemporaryError
from workers.platforms.protocols import Progress

Message = Mapping[str, Any]
Cause = Literal["refused", "missing", "full", "temporary", "other"]

MOST_LOG_LINES = 200
"""Lines of a build in the job's thread."""
MOST_LINE_CHARACTERS = 300
_MAKE_ROOM = "Free disk space (docker system prune on the engine's machine) and try again."

_STEP = re.compile(r"Step (\d+)/(\d+) : ")
_NOISE = re.compile(r"(\s*--->|Removing intermediate container|\s*$)")
_TERMINAL_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

# Error codes of registries: https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes.
# The engine adds its own words. The first match counts.
_CAUSES: tuple[tuple[Cause, str], ...] = (
    ("full", r"no space left|disk quota exceeded"),
    (
        "temporary",
        r"toomanyrequests|too many requests|connection re(fused|set)|no such host|timed? ?out|\bEOF\b|unreachable"
        r"|temporary failure|server misbehaving|broken pipe|deadline exceeded|blob upload (unknown|invalid)"
        r"|(status|code|status from [A-Z]+ request to \S+):? 5\d\d",
    ),
    ("missing", r"name unknown|not found|manifest unknown|does not exist|no such image"),
    ("refused", r"unauthorized|denied|authentication required|no basic auth|forbidden"),
)


def plain(text: str) -> str:
    """Return `text` without terminal escape codes."""
    return _TERMINAL_CODES.sub("", text)


def cause_of(words: str) -> Cause:
    """Return the kind of failure in the engine's `words`."""
    return next((cause for cause, pattern in _CAUSES if re.search(pattern, words, re.IGNORECASE)), "other")


def follow_build(messages: Iterable[Message], *, progress: Progress) -> str:
    """Report the build's steps, log their output, and return the image's id ("sha256:…")."""
    identity, shown = "", 0
    for message in messages:
        identity = (message.get("aux") or {}).get("ID") or identity
        text = message.get("stream") or message.get("status") or ""
        line = plain(str(text)).rstrip()[:MOST_LINE_CHARACTERS]
        if _NOISE.match(line):
            continue
        if step := _STEP.match(line):
            progress.report(int(step[1]), int(step[2]), fact=f"step {step[1]} of {step[2]}")
        shown += 1
        if shown <= MOST_LOG_LINES:
            progress.log(line)
        elif shown == MOST_LOG_LINES + 1:
            progress.log("… (more output was left out)")
    if not identity:
        raise TemporaryError("The engine ended the build without an image or an error: it may be restarting.")
    return identity


def follow_push(messages: Iterable[Message], *, repository: str, progress: Progress) -> str:
    """Report the layers' bytes and return the digest ("sha256:…")."""
    if digest := follow_layers(messages, verb="Pushing", progress=progress):
        return digest
    raise TemporaryError(f"The engine ended the push to {repository} without a digest.")


def follow_layers(messages: Iterable[Message], *, verb: str, progress: Progress) -> str:
    """Report the bytes of the layers with the status `verb`, and return the digest, or "" for a pull."""
    done: dict[str, tuple[int, int]] = {}
    digest = ""
    for message in messages:
        digest = (message.get("aux") or {}).get("Digest") or digest
        detail = message.get("progressDetail") or {}
        if message.get("status") == verb and detail.get("total"):
            done[str(message.get("id"))] = (int(detail.get("current") or 0), int(detail["total"]))
            sent, whole = (sum(column) for column in zip(*done.values(), strict=True))
            sent = min(sent, whole)  # the engine includes the archive's own bytes in those sent
            progress.report(sent, whole, fact=f"{sent / 1e6:.1f} of {whole / 1e6:.1f} MB")
        else:
            progress.check()
    return digest


def build_failure(words: str) -> JobError:
    """Return the error for a build that failed with the engine's `words`."""
    cause = cause_of(words)
    if cause == "temporary":
        return TemporaryError(f"The build was interrupted: {words}.")
    return PermanentError(f"The image cannot be built: {words}.", advice=_MAKE_ROOM if cause == "full" else "")


def pull_failure(words: str, *, image: str) -> JobError:
    """Return the error for a failed pull."""
    match cause_of(words):
        case "temporary":
            return TemporaryError(f"{image} cannot be pulled at the moment: {words}.", retry_after_s=15.0)
        case "full":
            return PermanentError(f"{image} cannot be pulled: {words}.", advice=_MAKE_ROOM)
    return PermanentError(
        f"The engine does not have {image}, and cannot pull it: {words}.",
        advice="Correct images.tensorflow or images.seatrial in seatrial.toml. This builds our serving image: "
        "docker build --target serving --tag seatrial-serving .",
    )


def push_failure(words: str, *, repository: str) -> JobError:
    """Return the error for a failed push."""
    what, advice = f"{repository} cannot be pushed", ""
    match cause_of(words):
        case "temporary":
            what = f"The registry does not accept {repository} at the moment"
            return TemporaryError(f"{what}: {words}.", retry_after_s=15.0)
        case "full":
            what, advice = f"The registry cannot store {repository}", _MAKE_ROOM
        case "missing":
            what = f"The registry has no {repository}"
            advice = (
                "Create the repository (gcloud artifacts repositories create NAME --repository-format=docker "
                "--location=LOCATION), or correct images.repository in seatrial.toml."
            )
        case "refused":
            what = f"The registry refused the push to {repository}"
            advice = (
                "Check the worker's REGISTRY_USERNAME and REGISTRY_PASSWORD, or grant its service account "
                "roles/artifactregistry.writer on the repository."
            )
        case "other" if "HTTP response to HTTPS client" in words:
            advice = "Serve the registry over TLS, or name it under insecure-registries in the engine's daemon.json."
    return PermanentError(f"{what}: {words}.", advice=advice)
