"""The adapters of one machine: everything runs here, with nothing to sign up for."""
