"""Members that run in a Triton: one that is there already, or the one that comes from the package index."""
