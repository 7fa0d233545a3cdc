"""Validation of manifests by the Kubernetes client's models, like an API server with strict field validation.

Other modules use `mistakes`. https://kubernetes.io/docs/reference/using-api/api-concepts/#field-validation
"""

import re
from datetime import datetime
from typing import Any

from kubernetes.client import Configuration, models

_PLAIN: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (float, int),
    "bool": (bool,),
    "datetime": (str, datetime),
    "object": (object,),
}
_LIST = re.compile(r"list\[(.+)\]")
_DICT = re.compile(r"dict\[str, (.+)\]")
_CHECKED = Configuration()


def mistakes(document: dict[str, Any]) -> list[str]:
    """Return a sentence for each unknown field, wrong type, missing field and invalid value.

    `apiVersion` and `kind` select the model. A kind without a model (a custom resource) is a mistake.
    """
    version = str(document.get("apiVersion", "")).rpartition("/")[2]
    model = f"{version[:1].upper()}{version[1:]}{document.get('kind', '')}"
    if not hasattr(models, model):
        return [f"there is no model of {document.get('apiVersion')} {document.get('kind')}"]
    found: list[str] = []
    _read(document, model, str(document["kind"]), found)
    return found


def _read(value: Any, kind: str, path: str, found: list[str]) -> Any:
    """Read `value` as the model `kind`, and append every mistake to `found`."""
    if match := _LIST.fullmatch(kind):
        if not isinstance(value, list):
            return _wrong(value, "a list", path, found)
        return [_read(item, match[1], f"{path}[{number}]", found) for number, item in enumerate(value)]
    if match := _DICT.fullmatch(kind):
        if not isinstance(value, dict):
            return _wrong(value, "a map", path, found)
        return {key: _read(item, match[1], f"{path}.{key}", found) for key, item in value.items()}
    if kind in _PLAIN:
        right = isinstance(value, _PLAIN[kind]) and (kind in ("bool", "object") or not isinstance(value, bool))
        return value if right else _wrong(value, kind, path, found)
    return _model(value, kind, path, found)


def _model(value: Any, kind: str, path: str, found: list[str]) -> Any:
    if not isinstance(value, dict):
        return _wrong(value, kind, path, found)
    model = getattr(models, kind)
    names = {field: name for name, field in model.attribute_map.items()}
    found.extend(f"{path}.{field}: {kind} has no such field" for field in value if field not in names)
    fields = {
        names[field]: _read(item, model.openapi_types[names[field]], f"{path}.{field}", found)
        for field, item in value.items()
        if field in names
    }
    try:
        # The model itself refuses what is missing and what is not among the allowed values.
        return model(**fields, local_vars_configuration=_CHECKED)
    except ValueError as error:
        found.append(f"{path}: {error}")
        return None


def _wrong(value: Any, wanted: str, path: str, found: list[str]) -> object:
    found.append(f"{path}: wanted {wanted}, found {value!r:.60}")
    return object()  # there, but of no type: its model does not call it missing
