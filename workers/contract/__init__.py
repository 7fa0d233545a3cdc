"""The contract between bot and workers: jobs, events, records, the settings file and the queue.

This is the only part of `workers` that the bot may import. It must not depend on Slack or on a cloud SDK.
"""
