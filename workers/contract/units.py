"""Readers of quantities in commands and settings: rates, durations, replica bounds, SLOs. Pure.

Each `read_…` raises ValueError with a sentence that quotes the text and gives a valid example.
"""

import re

from workers.contract.formatting import show_duration
from workers.contract.load import SHORTEST_S, Abort, Slo
from workers.contract.replicas import Replicas

LONGEST_S = 24 * 3600.0
LOWEST_RPS = 0.001
HIGHEST_RPS = 1_000_000.0
MOST_REPLICAS = 1_000

# ASCII: otherwise \d matches the digits of every script, and with IGNORECASE “s” matches the long “ſ”.
_FLAGS = re.IGNORECASE | re.ASCII
_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_TIME_UNIT = "ms|d(?:ays?)?|h(?:rs?|ours?)?|m(?:ins?|inutes?)?|s(?:ecs?|econds?)?"
_DURATION_PART = re.compile(rf"(\d+(?:\.\d+)?)({_TIME_UNIT})", _FLAGS)
_DURATION = re.compile(rf"(?:{_DURATION_PART.pattern})+", _FLAGS)
_GROUPED = re.compile(r"[1-9]\d{0,2}(?:[.,]\d{3})+(?!\d|[.,]\d)")
"""A number such as 1.000, which is one in some languages and a thousand in others."""
_RATE = re.compile(r"(\d+(?:\.\d+)?)(k|m)?(rps|req/s|/s|/m|/min|qps)", _FLAGS)
_SIZE = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?) ?([KMGT])B", re.IGNORECASE)
_REPLICAS = re.compile(r"(\d{1,6})(?:\.\.(\d{1,6}))?", _FLAGS)
_SLO_LATENCY = re.compile(r"p(\d{1,2}(?:\.\d{1,3})?)<=?(\d+(?:\.\d+)?)(ms|s)", _FLAGS)
_RATES = re.compile(r"(\d+(?:\.\d+)?)([km]?)([a-z/]*)\.\.(\d.*)", _FLAGS)
_ABORT = re.compile(r"errors?>(\d+(?:\.\d+)?)%(?: for (\S+))?", _FLAGS)
_SLO_ERRORS = re.compile(r"errors?<=?(\d+(?:\.\d+)?)%", _FLAGS)


def read_duration_s(text: str, *, longest_s: float = LONGEST_S) -> float:
    """Read seconds in "90s", "5m", "1h30m", "1d"; more than 0 and at most `longest_s`."""
    _require_unambiguous(text)
    _match(_DURATION, text, "is not a time; write it like 30s, 5m or 1h30m.")
    parts = ((float(number), unit.lower()) for number, unit in _DURATION_PART.findall(text))
    seconds = sum(number * _SECONDS[unit if unit == "ms" else unit[0]] for number, unit in parts)
    bounds = f"is out of range; a time is more than 0s and at most {show_duration(longest_s)}."
    _require(0 < seconds <= longest_s, text, bounds)
    return seconds


def read_rate_rps(text: str) -> float:
    """Read requests per second in "1000rps", "1krps", "60/s", "90/min"; LOWEST_RPS to HIGHEST_RPS."""
    _require_unambiguous(text)
    match = _match(_RATE, text, "is not a rate; write it like 1000rps, 1krps or 60/s.")
    number, factor = float(match[1]), {"k": 1e3, "m": 1e6}.get((match[2] or "").lower(), 1.0)
    rate_rps = number * factor / (60.0 if text.lower().endswith(("/m", "/min")) else 1.0)
    bounds = f"is out of range; a rate is at least {LOWEST_RPS:g}rps and at most {HIGHEST_RPS:.0f}rps."
    _require(LOWEST_RPS <= rate_rps <= HIGHEST_RPS, text, bounds)
    return rate_rps


def read_rates_rps(text: str) -> tuple[float, float]:
    """Read two rates, the lower first, in "200..2000rps" or "1krps..2krps". One unit at the end is for both.

    In "2..3krps" the first rate may be meant in thousands, too, but not in "200..2krps".
    """
    match = _RATES.fullmatch(text)
    highest = match and _RATE.fullmatch(match[4])
    if not match or not highest:
        raise ValueError(f"{quoted(text)} is not a range of rates; write it like 200..2000rps.")
    number, thousands, unit = match[1], match[2], match[3] or highest[3]
    lowest_rps, highest_rps = read_rate_rps(f"{number}{thousands}{unit}"), read_rate_rps(match[4])
    if highest[2] and not thousands and not match[3] and float(number) < float(highest[1]):
        both = f"{number}{unit}..{match[4]} or {number}{highest[2]}{unit}..{match[4]}"
        raise ValueError(f"{quoted(text)} can be read in two ways; write {both}.")
    _require(lowest_rps < highest_rps, text, "does not rise; write the lower rate first, like 200..2000rps.")
    return lowest_rps, highest_rps


def read_replicas(text: str) -> Replicas:
    """Read bounds in "3" (a fixed count) or "1..4"."""
    match = _match(_REPLICAS, text, "is not a number of replicas; write 3 for a fixed number or 1..4 for bounds.")
    minimum, maximum = int(match[1]), int(match[2] or match[1])
    bounds = f"is out of range; replicas are 1 to {MOST_REPLICAS}, the smaller bound first, like 1..4."
    _require(1 <= minimum <= maximum <= MOST_REPLICAS, text, bounds)
    return Replicas(minimum=minimum, maximum=maximum)


def read_size_bytes(text: str) -> int:
    """Read bytes in "500MB", "10GB", "1TB" (powers of 1,000)."""
    match = _match(_SIZE, text, "is not a size; write it like 500MB, 10GB or 1TB.")
    return int(float(match[1]) * 1000 ** (1 + "KMGT".index(match[2].upper())))


def read_slo(text: str) -> Slo:
    """Read objectives in "p95<200ms,errors<1%"; one bound per percentile and for errors, up to LONGEST_S."""
    latency: dict[float, float] = {}
    errors: float | None = None
    for part in text.replace(" ", "").split(","):
        if match := _SLO_LATENCY.fullmatch(part):
            _require_unambiguous(match[2])
            percentile, bound = float(match[1]), float(match[2]) * (1000.0 if match[3].lower() == "s" else 1.0)
            bounds = "is out of range; write a percentile between 0 and 100 and a time above 0ms."
            _require(0 < percentile < 100 and 0 < bound <= LONGEST_S * 1000, part, bounds)
            _require(percentile not in latency, part, f"is a second bound for p{percentile:g}; write one.")
            latency[percentile] = bound
        else:
            match = _match(_SLO_ERRORS, part, "is not an objective; write it like p95<200ms or errors<1%.")
            _require(errors is None, part, "is a second bound for errors; write one.")
            errors = float(match[1])
            _require(errors <= 100, part, "is out of range; errors are at most 100%.")
    return Slo(latency_ms=tuple(sorted(latency.items())), errors_percent=errors)


def read_abort(text: str) -> Abort:
    """Read a stop rule in "errors>20% for 10s"; below 100 %, at least SHORTEST_S, by default 10 s."""
    match = _ABORT.fullmatch(" ".join(text.split()))
    if not match:
        raise ValueError(f"{quoted(text)} is not a stop rule; write it like errors>20% for 10s.")
    errors_percent, for_s = float(match[1]), read_duration_s(match[2] or "10s")
    bounds = "is out of range; the share of errors is less than 100%, like errors>20% for 10s."
    _require(errors_percent < 100, text, bounds)
    _require(for_s >= SHORTEST_S, match[2], "is too short; failures are counted every second, so write at least 1s.")
    return Abort(errors_percent=errors_percent, for_s=for_s)


def _match(pattern: re.Pattern[str], text: str, complaint: str) -> re.Match[str]:
    match = pattern.fullmatch(text)
    if not match:
        raise ValueError(f"{quoted(text)} {complaint}")
    return match


def _require(condition: bool, text: str, complaint: str) -> None:
    if not condition:
        raise ValueError(f"{quoted(text)} {complaint}")


def _require_unambiguous(text: str) -> None:
    """Raise ValueError if `text` begins with a number such as 1.000, with both readings."""
    if match := _GROUPED.match(text):
        rest, whole = text[match.end() :], re.sub("[.,]", "", match[0])
        decimal = f"{float(match[0].replace(',', '.')):g}{rest} or " if len(match[0]) < 8 else ""
        raise ValueError(f"{quoted(text)} can be read in two ways; write {decimal}{whole}{rest}.")


def quoted(text: str, longest: int = 40) -> str:
    """Return text in quotation marks, safe to repeat in a chat: one line, cut, without mentions, links and code."""
    plain = "".join(sign if sign.isprintable() else " " for sign in text[: 10 * longest]).replace("`", "'")
    # A "<" before a name opens a mention or a link. A bound such as p95<200ms stays as it is.
    line = " ".join(re.sub(r"<(?=[^\d\s=.])", "", plain).split())
    return "“" + (line if len(line) <= longest else line[: longest - 1] + "…") + "”"
