"""The outside world: one Protocol for each foreign thing, and its adapters for this machine and for the cloud."""

import os

# ONNX Runtime's builds send usage data to their maker, unless they are told not to before they are loaded: see the
# Privacy.md that comes with them.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
