"""Benchmarks: Seatrial's speed as ratios within one run. They assert no limits; that is the task of tests."""
