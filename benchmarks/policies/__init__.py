"""Fitted policies judged on populations: `python -m benchmarks.policies`."""
