"""Decision logs whose every row is known."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from cascade.decision_log import schema

BEGIN = datetime(2026, 3, 1, 12, tzinfo=UTC)
ROW: dict[str, Any] = {
    "model": "m",
    "cascade_version": "1",
    "policy": "window",
    "members": "a/1",
    "label": 0,
    "score": 0.5,
    "confidence": 0.5,
    "accepted": True,
    "exit_stage": 1,
    "exit_reason": "window",
    "degraded": False,
    "max_stages": None,
    "gear": None,
    "audited": False,
    "audit_label": None,
}


def row(request_id: str, number: int = 0, **values: Any) -> dict[str, Any]:
    """Those of `values`, else what is usual; a second after the one before."""
    return {"request_id": request_id, "row": number, **ROW, **values}


def write_log(file: Path, *rows: dict[str, Any]) -> Path:
    timed = [{"time": BEGIN + timedelta(seconds=k), **each} for k, each in enumerate(rows)]
    parquet.write_table(pyarrow.Table.from_pylist(timed, schema=schema()), file)
    return file
