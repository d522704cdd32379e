"""What can be wrong with a cascade, its files, or what is asked of it.

CascadeError
├── FormatError     a file is broken, foreign, or of an unknown version
├── PolicyError     a policy contradicts itself, its cascade, or the outputs it is given
└── FitError        an objective or a budget is unknown, or cannot be reached
"""


class CascadeError(Exception):
    """Base of everything this package raises on purpose."""


class FormatError(CascadeError):
    """A file is broken, foreign, or of an unknown version."""


class PolicyError(CascadeError):
    """A policy contradicts itself, its cascade, or the outputs it is given."""


class FitError(CascadeError):
    """An objective or a budget is unknown, or cannot be reached on the rows given."""
