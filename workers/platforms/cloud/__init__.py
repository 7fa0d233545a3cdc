"""The adapters of the real cloud: BigQuery ML, Cloud Storage, Docker and Kubernetes."""
