"""The whole loop on one machine: every process of its own, and a tour through the local Slack as a person would."""
