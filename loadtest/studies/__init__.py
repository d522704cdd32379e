"""Many short loads for one question: a search, a sweep, a plan."""
