"""Comparisons that take longer than tests. Each module is run as `python -m benchmarks.NAME`."""
