"""Pipelines that the tests of plans share."""

from collections.abc import Sequence

from loadtest.plan.pipeline import Pipeline, cascade_pipeline
from loadtest.plan.service_curve import ServiceCurve

CONSTANT_1MS = ServiceCurve(per_batch_s=1e-3)


def one_member(curve: ServiceCurve = CONSTANT_1MS, max_batch_rows: int = 1, num_workers: int = 1) -> Pipeline:
    return cascade_pipeline(
        [["a"]], {"a": curve}, [1.0], max_batch_rows=max_batch_rows, num_workers=num_workers
    )


def in_line(
    curves: Sequence[ServiceCurve], exits: Sequence[float], num_workers: int | None = None, rows: int = 32
) -> Pipeline:
    """Stages of one member each: a, b, c..."""
    names = [chr(ord("a") + number) for number in range(len(curves))]
    by_name = dict(zip(names, curves, strict=True))
    return cascade_pipeline(
        [[name] for name in names], by_name, exits, max_batch_rows=rows, num_workers=num_workers
    )
