"""Adapters for external services: one Protocol per service, implemented for one machine and for the cloud."""

import os

# ONNX Runtime reads this when it is loaded. Its builds send usage data to their maker by default (see the Privacy.md
# in the package).
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
