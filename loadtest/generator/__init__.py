"""Sends what a schedule says, on time, and watches itself."""
