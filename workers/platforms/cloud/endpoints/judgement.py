"""The state of a Deployment's rollout, judged like `kubectl rollout status`. Pure.

Objects are the API's own JSON:
https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status
"""

from dataclasses import dataclass

from workers.platforms.cloud.kubernetes.pods import Object, condition, sentence


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """Where a rollout stands. `waits_for` says in words what is missing, or is "" when it is done.

    `failed` is why it will not be done any more, or "".
    """

    waits_for: str = ""
    failed: str = ""

    @property
    def done(self) -> bool:
        """Whether every replica is of the newest template and available, and no other is left."""
        return not self.waits_for and not self.failed


def judge(deployment: Object) -> Judgement:
    """Judge a Deployment as `kubectl rollout status` does; one that is paused will never be done, and fails."""
    spec, status = deployment["spec"], deployment.get("status", {})
    if deployment["metadata"]["generation"] > status.get("observedGeneration", 0):
        return Judgement(waits_for="the Deployment's controller to see the change")
    if spec.get("paused"):
        return Judgement(failed="The Deployment is paused; resume it with kubectl rollout resume.")
    progressing = condition(deployment, "Progressing")
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return Judgement(failed=sentence(progressing.get("message") or "The progress deadline was exceeded"))
    wanted, updated = spec.get("replicas", 1), status.get("updatedReplicas", 0)
    running, available = status.get("replicas", 0), status.get("availableReplicas", 0)
    if updated < wanted:
        return Judgement(waits_for=f"{wanted - updated} of {wanted} replicas to be replaced")
    if running > updated:
        return Judgement(waits_for=f"{running - updated} old replicas to end")
    if available < updated:
        return Judgement(waits_for=f"{updated - available} of {updated} replicas to become available")
    return Judgement()
