"""Handlers, one for each kind of job: `(job, context) → outcome`. They do not import each other.

The handler of a kind is the function of the kind's name, in the module of the kind's name. The other modules are
shared by the handlers of load tests and of capacity searches.
"""

from collections.abc import Mapping
from importlib import import_module

from workers.contract.jobs import KINDS
from workers.runner import Handler

HANDLERS: Mapping[str, Handler] = {kind: getattr(import_module(f"{__name__}.{kind}"), kind) for kind in KINDS}
