"""BigQuery ML: the data warehouse in the cloud."""
