"""Adapters of cloud services: BigQuery ML, Cloud Storage, Docker and Kubernetes."""
