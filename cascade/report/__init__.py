"""Reports on policies: what they cost and give on rows they have not seen, on one self-contained page."""
