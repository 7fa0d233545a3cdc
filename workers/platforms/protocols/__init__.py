"""Protocols of the external services that jobs use, one module each, with the values they exchange.

Every adapter raises `PermanentError` or `TemporaryError` (workers.errors) from the SDK's own error, and nothing else.
Long calls take a `Progress`, through which they report and are cancelled.
"""
