"""The router: protocol edges, the row scheduler, and the members it feeds. Never imports torch."""
