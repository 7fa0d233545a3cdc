"""Comparison of used rights with the Role that k8s/environment grants a worker."""

from pathlib import Path

import yaml

_RBAC = Path(__file__).parents[2] / "k8s" / "environment" / "rbac.yaml"


def beyond_the_role(rights: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return the `rights` (verb and resource) of a worker inside the cluster that the Role does not grant."""
    role = yaml.safe_load(_RBAC.read_text().split("---")[0])
    granted = {(verb, resource) for rule in role["rules"] for verb in rule["verbs"] for resource in rule["resources"]}
    return {right for right in rights - granted if right[1] != "services/proxy"}
