"""Client of the Kubernetes API that knows neither endpoints nor load tests."""
