"""Which rows to train next, as pure functions over a table of losses; usable without the loop."""
