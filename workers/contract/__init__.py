"""What the bot and the workers agree on: jobs, events, records, settings' shared tables and the queue.

All that the bot may import of `workers`. No Slack word in it, no cloud client, nothing but the standard
library, pydantic (decoding), redis and the queue engine.
"""
