"""Adapters of one machine: everything runs here, without an account anywhere."""
