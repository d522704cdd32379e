"""What a cascade is: scores, policies, the files that hold them, and how well they do. NumPy and SciPy."""
