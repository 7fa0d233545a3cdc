"""Cloud Storage: the model store in the cloud."""
