"""What keeps something from being published. Whatever it is, the repository is left as it was.

ExportError
├── SettingsError     a setting is out of range, or does not fit the models
├── RunError          the run is missing, broken, foreign, or contradicts itself
├── RowsError         the labelled rows are missing, broken, or do not fit the models
├── ModelError        an ONNX file cannot be a member: unsafe, broken, or no classifier
├── RepositoryError   the repository cannot hold what is to be published, or does not hold what it should
├── ToolError         a program or package that was asked for is not installed, or failed
├── GraphError        a model cannot be converted, or its graph is not what was asked for
└── CheckError        an exported file does not compute what its model computes
"""

from collections.abc import Iterator
from contextlib import contextmanager


class ExportError(Exception):
    """Base of everything this package raises on purpose; `exit_status` is a hint for a command line."""

    exit_status = 1


class SettingsError(ExportError):
    exit_status = 2


class RunError(ExportError):
    exit_status = 2


class RowsError(ExportError):
    exit_status = 2


class ModelError(ExportError):
    exit_status = 2


class RepositoryError(ExportError):
    exit_status = 2


class ToolError(ExportError):
    exit_status = 2


class GraphError(ExportError):
    pass


class CheckError(ExportError):
    pass


@contextmanager
def naming(what: object, kind: type[ExportError] | None = None) -> Iterator[None]:
    """Errors within begin with what they are about; `kind` replaces their own."""
    try:
        yield
    except ExportError as error:
        raise (kind or type(error))(f"{what}: {error}") from error
