"""The bot: turns commands and clicks in Slack into jobs, and the workers' events into cards.

It holds the Slack tokens and no cloud credentials. It may import only `workers.contract` from `workers`.
"""
