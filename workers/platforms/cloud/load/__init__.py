"""Load tests on Kubernetes: a Locust master and workers as pods."""
