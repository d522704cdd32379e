"""Drives a server from outside, over the wire, and reports what its early exits cost and save."""
