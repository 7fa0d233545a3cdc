"""The Kubernetes API, without knowledge of endpoints or load tests."""
