"""What was measured of running members: how long their batches take, and how they ran fastest."""

from dataclasses import dataclass

from cascade.errors import FormatError
from cascade.fields import Fields, number


@dataclass(frozen=True)
class ServiceCurve:
    """A batch of n rows takes `per_row_s * n + per_batch_s` seconds on one worker, others being as busy."""

    per_row_s: float
    per_batch_s: float

    def __post_init__(self) -> None:
        if self.per_row_s <= 0 or self.per_batch_s < 0:
            raise FormatError(
                f"per_row_s {self.per_row_s:g} must be above 0, per_batch_s {self.per_batch_s:g} not below"
            )

    def seconds(self, rows: int) -> float:
        return self.per_row_s * rows + self.per_batch_s


@dataclass(frozen=True)
class Runtime:
    """Settings of the embedded runtime: workers that run a batch each, threads of one, rows of a batch."""

    num_workers: int
    num_threads: int
    is_spinning: bool
    max_batch_rows: int

    def __post_init__(self) -> None:
        for name in ("num_workers", "num_threads", "max_batch_rows"):
            if getattr(self, name) < 1:
                raise FormatError(f"{name} must be 1 or more, got {getattr(self, name)}")


def curve_from_json(value: object, where: str) -> ServiceCurve:
    fields = Fields(value, where)
    seconds = [number(fields.take(name, (int, float)), where) for name in ("per_row_s", "per_batch_s")]
    fields.close()
    try:
        return ServiceCurve(*seconds)
    except FormatError as error:
        raise FormatError(f"{where}: {error}") from None


def runtime_from_json(value: object, where: str) -> Runtime:
    fields = Fields(value, where)
    parts = {
        "num_workers": fields.take("num_workers", int),
        "num_threads": fields.take("num_threads", int),
        "is_spinning": fields.take("is_spinning", bool),
        "max_batch_rows": fields.take("max_batch_rows", int),
    }
    fields.close()
    try:
        return Runtime(**parts)
    except FormatError as error:
        raise FormatError(f"{where}: {error}") from None
