"""Turns a run's members into a model repository: converted, checked, calibrated, and published at once."""
