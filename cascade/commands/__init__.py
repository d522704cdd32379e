"""The commands of `python -m cascade`, one a file."""
