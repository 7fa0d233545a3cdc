"""Docker: container images of model versions, built, tested and pushed."""
