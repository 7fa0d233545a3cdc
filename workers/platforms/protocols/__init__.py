"""Protocols of the external services that jobs use, one module each, with the values they exchange.

Every adapter wraps the errors of its SDK in `PermanentError` or `TemporaryError` (workers.errors) and raises no other.
Long calls take a `Progress`, through which they report and are cancelled: they pass its Interrupted on.
"""
