"""The demo: every process on one machine, and a tour through the local Slack."""
