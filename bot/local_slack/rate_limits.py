"""Slack's rate limits, as token buckets.

Slack publishes tiers per method and minute (https://docs.slack.dev/apis/web-api/rate-limits), and for chat.postMessage
about one message per second and channel with short bursts. The size of a burst is not documented. This module allows a
tier's whole minute at once, and five messages at once in a channel.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """A bucket of `burst` calls that refills at `per_minute`."""

    per_minute: float
    burst: float


TIER_2 = Rate(per_minute=20, burst=20)
TIER_3 = Rate(per_minute=50, burst=50)
TIER_4 = Rate(per_minute=100, burst=100)
POSTING = Rate(per_minute=60, burst=5)
# auth.test and chat.getPermalink: "hundreds a minute".
GENEROUS = Rate(per_minute=600, burst=600)


@dataclass(slots=True)
class _TokenBucket:
    level: float
    filled_at_s: float


@dataclass(kw_only=True, slots=True)
class RateLimits:
    """Token buckets by key; `clock` returns seconds."""

    clock: Callable[[], float]
    _buckets: dict[str, _TokenBucket] = field(default_factory=dict)

    def take(self, key: str, rate: Rate) -> int:
        """Count the call and return 0, or return the whole seconds to wait before a retry."""
        now_s = self.clock()
        bucket = self._buckets.setdefault(key, _TokenBucket(rate.burst, now_s))
        gained = max(0.0, now_s - bucket.filled_at_s) * rate.per_minute / 60
        bucket.level = min(rate.burst, bucket.level + gained)
        bucket.filled_at_s = now_s
        if bucket.level >= 1:
            bucket.level -= 1
            return 0
        return max(1, math.ceil((1 - bucket.level) * 60 / rate.per_minute))
