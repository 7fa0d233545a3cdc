"""Endpoints on Kubernetes: a Deployment, Service, autoscaler and disruption budget each."""
