"""Several processes that serve the same repository at the same ports, and their parent."""
