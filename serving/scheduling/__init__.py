"""Which rows run next, and which requests are taken at all. Pure: no clock, no I/O."""
