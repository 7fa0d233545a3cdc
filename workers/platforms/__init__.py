"""The outside world: one Protocol for each foreign thing, and its adapters for this machine and for the cloud."""
