"""Load tests from this machine: Locust as child processes."""
