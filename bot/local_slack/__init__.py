"""Local stand-in for Slack: the Web API, signed deliveries, and a page in the browser.

The demo and the tests of the bot run against it. It must deliver as Slack delivers and refuse what Slack refuses,
with Slack's own error names. It must not import the bot or the workers.
"""
