"""Slack's stand-in on one machine: the Web API, signed deliveries, and a page in the browser.

`make demo` shows it to people and every test of the bot runs against it, so it has one duty: to behave as Slack
does. It delivers as Slack delivers and refuses what Slack refuses, with Slack's own error names. It knows nothing
of the bot that talks to it: neither `bot` nor `workers` is imported here.
"""
