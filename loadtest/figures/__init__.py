"""Figures of what was measured. Pure: sends nothing, draws nothing."""
