"""Reading a decision log, and refusing what is none."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from cascade import decision_log
from cascade.decision_log import log_files, read_log, schema
from cascade.errors import FormatError
from tests.cascade.logs import row, write_log


def test_rows_are_read_in_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_log(
        tmp_path / "a.parquet",
        row("x", 0, label=3, confidence=0.25, policy="full", exit_reason="last", exit_stage=2),
        row("x", 1, accepted=False),
        row("y", 0, model="n", degraded=True),
    )
    (rows,) = read_log(file)
    assert rows.request_id.to_pylist() == ["x", "x", "y"]
    assert rows.row.tolist() == [0, 1, 0]
    assert [rows.groups[place] for place in rows.group] == [
        ("m", "1", "full"),
        ("m", "1", "window"),
        ("n", "1", "window"),
    ]
    assert [rows.reasons[place] for place in rows.reason] == ["last", "window", "window"]
    assert rows.label.tolist() == [3, 0, 0]
    assert rows.confidence.tolist() == [0.25, 0.5, 0.5]
    assert rows.accepted.tolist() == [True, False, True]
    assert rows.exit_stage.tolist() == [2, 1, 1]
    assert rows.degraded.tolist() == [False, False, True]
    assert rows.time[1] == np.datetime64("2026-03-01T12:00:01")
    monkeypatch.setattr(decision_log, "BATCH_ROWS", 2)
    assert [len(part.row) for part in read_log(file)] == [2, 1]


def test_a_folder_is_its_complete_files_each_once(tmp_path: Path) -> None:
    for name in ("b.parquet", "a.parquet", "c.parquet.partial"):
        (tmp_path / name).touch()
    assert log_files([tmp_path, tmp_path / "a.parquet"]) == [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    with pytest.raises(FormatError, match=r"gone: no such file or folder"):
        log_files([tmp_path / "gone"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError, match=r"empty: holds no \*\.parquet"):
        log_files([tmp_path / "empty"])


def test_files_that_others_merged_are_read_too(tmp_path: Path) -> None:
    """With names as plain strings, without the version, and with a column more."""
    table = parquet.read_table(write_log(tmp_path / "a.parquet", row("x"), row("y", policy="full")))
    plain = {
        name: table[name].cast(pyarrow.string())
        if pyarrow.types.is_dictionary(table.schema.field(name).type)
        else table[name]
        for name in table.column_names
    }
    parquet.write_table(pyarrow.table({**plain, "site": ["s", "t"]}), tmp_path / "merged.parquet")
    (rows,) = read_log(tmp_path / "merged.parquet")
    assert [rows.groups[place][2] for place in rows.group] == ["window", "full"]


def changed(table: Any, name: str, values: list[Any]) -> Any:
    return table.set_column(table.column_names.index(name), name, pyarrow.array(values))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: t.replace_schema_metadata({"format_version": "9"}),
            "format_version 9 is unknown; this reads 1",
        ),
        (lambda t: t.drop_columns(["row", "policy"]), "not a decision log: columns are missing: row, policy"),
        (lambda t: changed(t, "label", [None]), "column 'label' has nulls"),
        (lambda t: changed(t, "label", ["cat"]), "column 'label' is string; it must be int64"),
    ],
)
def test_what_is_no_log_is_refused_by_name(change: Any, message: str, tmp_path: Path) -> None:
    table = parquet.read_table(write_log(tmp_path / "a.parquet", row("x")))
    parquet.write_table(change(table), tmp_path / "bad.parquet")
    with pytest.raises(FormatError) as caught:
        list(read_log(tmp_path / "bad.parquet"))
    assert str(caught.value) == f"{tmp_path / 'bad.parquet'}: {message}"


def test_half_a_file_is_refused_by_name(tmp_path: Path) -> None:
    whole = write_log(tmp_path / "a.parquet", row("x")).read_bytes()
    (tmp_path / "half.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError, match=r"half\.parquet: not a Parquet file \("):
        list(read_log(tmp_path / "half.parquet"))


def test_only_what_may_be_missing_is_nullable() -> None:
    assert [field.name for field in schema() if field.nullable] == ["max_stages", "gear", "audit_label"]
