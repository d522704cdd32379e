"""Selections side by side at equal budgets: `python -m training compare`."""
