"""What the engine says while it builds, pulls and pushes, as progress and as errors. Pure: messages in, an outcome out.

One JSON object a message. Most failures arrive in the stream, under a status of 200:
https://docs.docker.com/reference/api/engine/ (ImageBuild, ImageCreate, ImagePush).
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from workers.errors import JobError, PermanentError, TemporaryError
from workers.platforms.protocols.progress import Progress

Message = Mapping[str, Any]
Failure = Callable[[str], JobError]
Cause = Literal["refused", "missing", "full", "passing", "other"]

MOST_LOG_LINES = 200
"""Of one build, in the job's detail: what a person scrolls through."""
MOST_LINE_CHARACTERS = 300

_STEP = re.compile(r"Step (\d+)/(\d+) : ")
_NOISE = re.compile(r"(\s*--->|Removing intermediate container|\s*$)")
_TERMINAL_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

# The registries' error codes are in https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes;
# the engine adds words of its own. The first that matches counts.
_CAUSES: tuple[tuple[Cause, str], ...] = (
    ("full", r"no space left|disk quota exceeded"),
    (
        "passing",
        r"toomanyrequests|too many requests|connection re(fused|set)|no such host|timed? ?out|\bEOF\b|unreachable"
        r"|temporary failure|server misbehaving|broken pipe|deadline exceeded|blob upload (unknown|invalid)"
        r"|(status|code|status from [A-Z]+ request to \S+):? 5\d\d",
    ),
    ("missing", r"name unknown|not found|manifest unknown|does not exist|no such image"),
    ("refused", r"unauthorized|denied|authentication required|no basic auth|forbidden"),
)


def plain(text: str) -> str:
    """`text` without the codes that colour it on a terminal."""
    return _TERMINAL_CODES.sub("", text)


def cause_of(words: str) -> Cause:
    """What kind of failure the engine's `words` tell of."""
    return next((cause for cause, pattern in _CAUSES if re.search(pattern, words, re.IGNORECASE)), "other")


def follow_build(messages: Iterable[Message], *, progress: Progress) -> str:
    """Report the build's steps, log what they write; return the image's id ("sha256:…").

    Raises PermanentError and TemporaryError with the engine's words.
    """
    identity, shown = "", 0
    for message in messages:
        _raise_failure(message, build_failure)
        identity = (message.get("aux") or {}).get("ID") or identity
        line = _line(message)
        if not line or _NOISE.match(line):
            continue
        if step := _STEP.match(line):
            progress.report(int(step[1]), int(step[2]), fact=f"step {step[1]} of {step[2]}")
        shown += 1
        if shown <= MOST_LOG_LINES:
            progress.log(line)
        elif shown == MOST_LOG_LINES + 1:
            progress.log("… (the build says more than is shown here)")
    if not identity:
        raise TemporaryError("The engine ended the build without an image and without a word: it may be restarting.")
    return identity


def follow_pull(messages: Iterable[Message], *, image: str, progress: Progress) -> None:
    """Report the layers' bytes. Raises what `pull_failure` makes of the engine's words."""
    _follow_layers(messages, lambda words: pull_failure(words, image=image), "Downloading", progress)


def follow_push(messages: Iterable[Message], *, repository: str, progress: Progress) -> str:
    """Report the layers' bytes; return the digest ("sha256:…"). Raises what `push_failure` makes of the words."""
    digest = _follow_layers(messages, lambda words: push_failure(words, repository=repository), "Pushing", progress)
    if not digest:
        raise TemporaryError(f"The engine ended the push to {repository} without a digest.")
    return digest


def build_failure(words: str) -> JobError:
    """The error for a build that failed with `words`."""
    match cause_of(words):
        case "passing":
            return TemporaryError(f"The build was cut short: {words}.")
        case "full":
            return PermanentError(f"The image cannot be built: {words}.", advice=_MAKE_ROOM)
    return PermanentError(f"The image cannot be built: {words}.")


def pull_failure(words: str, *, image: str) -> JobError:
    """The error for an image that could not be pulled."""
    match cause_of(words):
        case "passing":
            return TemporaryError(f"{image} cannot be pulled just now: {words}.", retry_after_s=15.0)
        case "full":
            return PermanentError(f"{image} cannot be pulled: {words}.", advice=_MAKE_ROOM)
    return PermanentError(
        f"The engine does not have {image}, and cannot pull it: {words}.",
        advice="Correct images.tensorflow or images.seatrial in seatrial.toml; our own serving image is built by: "
        "docker build --target serving --tag seatrial-serving .",
    )


def push_failure(words: str, *, repository: str) -> JobError:
    """The error for an image that could not be pushed."""
    match cause_of(words):
        case "passing":
            return TemporaryError(f"The registry does not take {repository} just now: {words}.", retry_after_s=15.0)
        case "full":
            return PermanentError(f"The registry cannot store {repository}: {words}.", advice=_MAKE_ROOM)
        case "missing":
            return PermanentError(
                f"The registry has no {repository}: {words}.",
                advice="Create the repository (gcloud artifacts repositories create NAME --repository-format=docker "
                "--location=LOCATION), or correct images.repository in seatrial.toml.",
            )
        case "refused":
            return PermanentError(
                f"The registry refused the push to {repository}: {words}.",
                advice="Check the worker's REGISTRY_USERNAME and REGISTRY_PASSWORD, or grant its service account "
                "roles/artifactregistry.writer on the repository.",
            )
    advice = ""
    if "HTTP response to HTTPS client" in words:
        advice = "Serve the registry over TLS, or name it under insecure-registries in the engine's daemon.json."
    return PermanentError(f"{repository} cannot be pushed: {words}.", advice=advice)


_MAKE_ROOM = "Free some disk space (docker system prune on the engine's machine), then try again."


def _follow_layers(messages: Iterable[Message], failure: Failure, verb: str, progress: Progress) -> str:
    done: dict[str, tuple[int, int]] = {}
    digest = ""
    for message in messages:
        _raise_failure(message, failure)
        digest = (message.get("aux") or {}).get("Digest") or digest
        detail = message.get("progressDetail") or {}
        if message.get("status") == verb and detail.get("total"):
            done[str(message.get("id"))] = (int(detail.get("current") or 0), int(detail["total"]))
            sent, whole = (sum(column) for column in zip(*done.values(), strict=True))
            sent = min(sent, whole)  # the engine counts the archive's own bytes among those sent
            progress.report(sent, whole, fact=f"{sent / 1e6:.1f} of {whole / 1e6:.1f} MB")
        else:
            progress.check()
    return digest


def _raise_failure(message: Message, failure: Failure) -> None:
    words = (message.get("errorDetail") or {}).get("message") or message.get("error")
    if words:
        raise failure(str(words).strip().rstrip(".")[:1000])


def _line(message: Message) -> str:
    text = message.get("stream") or message.get("status") or ""
    return plain(str(text)).rstrip()[:MOST_LINE_CHARACTERS]
