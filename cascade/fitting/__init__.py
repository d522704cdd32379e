"""Fitting policies to saved outputs."""
