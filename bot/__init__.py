"""The bot: turns what people type and click in Slack into jobs, and what workers report into cards.

It holds the Slack tokens and no cloud credential. Of `workers` it may import `workers.contract` alone.
"""
