"""The reasons why the newest revision of a Deployment is not ready. Pure.

Objects are the API's own JSON.
"""

from collections.abc import Sequence

from workers.platforms.cloud.endpoints.revisions import newest, pods_of
from workers.platforms.cloud.kubernetes.pods import Object, Trouble, condition, pod_trouble, sentence


def troubles(
    *, deployment: Object, replica_sets: Sequence[Object], pods: Sequence[Object], events: Sequence[Object]
) -> tuple[Trouble, ...]:
    """All that stands in the way of the newest revision's pods, the gravest first, each said once.

    `events` are Warnings of the namespace; those of other objects are passed over.
    """
    mine = pods_of(newest(deployment, replica_sets), pods)
    found = [trouble for pod in mine if (trouble := pod_trouble(pod))]
    failure = condition(deployment, "ReplicaFailure")
    if failure.get("status") == "True":  # a quota or an admission rule: no pod exists that could tell
        found.append(Trouble(words=sentence(f"Replicas cannot be created: {failure.get('message', '')}")))
    found += _warnings(mine, events)
    by_words = {trouble.words: trouble for trouble in found}
    return tuple(sorted(by_words.values(), key=lambda trouble: not trouble.hopeless))


_SAID_BY_THE_POD = {"FailedScheduling", "BackOff"}
"""Reasons of events that repeat what the pod's own status says better."""


def _warnings(pods: Sequence[Object], events: Sequence[Object]) -> list[Trouble]:
    """The newest warning of each pod that is not ready: a probe's answer, a volume that cannot be mounted."""
    waiting = {pod["metadata"]["name"] for pod in pods if condition(pod, "Ready").get("status") != "True"}
    newest_of: dict[str, Object] = {}
    for event in sorted(events, key=event_time):
        name = event["involvedObject"].get("name", "")
        if name in waiting and event.get("type") == "Warning" and event.get("reason") not in _SAID_BY_THE_POD:
            newest_of[name] = event
    return [Trouble(words=sentence(event.get("message") or event["reason"])) for event in newest_of.values()]


def event_time(event: Object) -> str:
    """When it happened last, as RFC 3339; events have told this in three places."""
    series = event.get("series") or {}
    when = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
    return str(when or event["metadata"].get("creationTimestamp") or "")
