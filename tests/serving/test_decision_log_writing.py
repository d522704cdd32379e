"""When the decision log is written, and what happens where it cannot be."""

import gc
import logging
import subprocess
import sys
import time
import weakref
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet as parquet
import pytest
import tritonclient.http as triton_http
from prometheus_client import CollectorRegistry

from cascade.decision_log import schema
from serving.decision_log import DecisionLog, write_file
from serving.decision_log_metrics import DecisionLogCollector
from serving.errors import StartupError
from serving.jobs import Job
from tests.repositories import Repository
from tests.servers import ROOT, serving
from tests.serving.decision_logs import digits, named, rows_of, served, until
from tests.serving.scheduling.test_scheduler import cascade
from tests.serving.scheduling.test_scheduler import job as scheduled_job


@pytest.fixture(scope="module")
def job(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """Answered, with four rows."""
    return served(repository, tmp_path_factory.mktemp("log"), digits(repository, 0, 4))[0]


def test_a_file_ends_with_its_rows_and_no_sooner(job: Job, tmp_path: Path) -> None:
    log = DecisionLog(tmp_path, max_rows=10, max_age_s=60.0)
    for number in range(2):
        log.record(named(job, f"a{number}"), None)
    time.sleep(0.3)
    assert log.num_files == 0
    log.record(named(job, "a2"), None)
    until(lambda: log.num_files == 1)
    (file,) = tmp_path.iterdir()
    assert parquet.read_metadata(file).num_rows == 12
    for number in range(3):
        log.record(named(job, f"b{number}"), None)
    until(lambda: log.num_files == 2)
    log.record(named(job, "c"), None)
    log.close()
    names = [f"{name}{k}" for name in "ab" for k in range(3)] + ["c"]
    assert [row["request_id"] for row in rows_of(tmp_path)] == [name for name in names for _ in range(4)]
    assert [file.suffix for file in tmp_path.iterdir()] == [".parquet"] * 3
    assert (log.num_files, log.num_written, log.waiting_bytes) == (3, 28, 0)


def test_a_file_ends_with_the_age_of_its_first_row(job: Job, tmp_path: Path) -> None:
    log = DecisionLog(tmp_path, max_age_s=0.3)
    begun_s = time.monotonic()
    log.record(named(job, "a"), None)
    until(lambda: log.num_files == 1)
    assert 0.3 <= time.monotonic() - begun_s < 2.0
    time.sleep(0.5)
    assert log.num_files == 1
    log.close()
    assert log.num_files == 1


def test_until_it_is_whole_a_file_has_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def write(table: Any, file: Any, **settings: Any) -> None:
        seen.append([path.name for path in tmp_path.iterdir()])
        raise OSError("the disk is full")

    monkeypatch.setattr(parquet, "write_table", write)
    with pytest.raises(OSError, match="full"):
        write_file(tmp_path / "d.parquet", [pyarrow.RecordBatch.from_pylist([], schema=schema())])
    assert seen == [["d.parquet.partial"]]
    assert list(tmp_path.iterdir()) == []


def test_members_are_let_go_while_their_rows_wait(tmp_path: Path) -> None:
    served = cascade(("a",))
    held = weakref.ref(served)
    finished = scheduled_job(rows=1, arrived_s=0.0, served=served)
    for name in ("label", "score", "confidence", "accepted", "exit_stage", "exit_reason"):
        getattr(finished.answer, name)[:] = 1
    log = DecisionLog(tmp_path)
    log.record(finished, None)
    del finished, served
    until(lambda: gc.collect() >= 0 and held() is None)
    assert log.num_files == 0
    log.close()
    assert rows_of(tmp_path)[0]["members"] == "a/1"


def test_what_cannot_be_written_waits_and_what_is_too_much_is_dropped(
    job: Job, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "log"
    log = DecisionLog(folder, max_age_s=0.1, max_waiting_bytes=16_000, retry_s=0.2)
    log.record(named(job, "first"), None)
    until(lambda: log.num_files == 1)
    folder.rename(tmp_path / "away")
    with caplog.at_level(logging.WARNING, "exitgate"):
        log.record(named(job, "waits"), None)
        time.sleep(0.8)
        assert (log.num_files, log.num_dropped) == (1, 0)
        begun_s = time.monotonic()
        for number in range(200):
            log.record(named(job, f"more-{number}"), None)
        assert time.monotonic() - begun_s < 0.5
        assert 0 < log.num_dropped < 800
        assert log.waiting_bytes <= 16_000
        (tmp_path / "away").rename(folder)
        until(lambda: log.num_files >= 2)
        log.record(named(job, "afterwards"), None)
        log.close()
    rows = rows_of(folder)
    assert len(rows) == log.num_written == 4 * 203 - log.num_dropped
    assert {"first", "waits", "more-0", "afterwards"} <= {row["request_id"] for row in rows}
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert said[0].startswith("decision log: cannot be written, rows wait while there is room: ")
    assert said[1] == f"decision log: it is written again; {log.num_dropped} rows were dropped so far"


def test_what_is_never_written_is_counted_at_the_end(
    job: Job, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = DecisionLog(tmp_path / "log")
    (tmp_path / "log").rmdir()
    log.record(named(job, "lost"), None)
    log.close()
    log.record(named(job, "late"), None)
    assert (log.num_written, log.num_dropped) == (0, 8)
    assert "decision log: 4 rows could not be written" in caplog.text


@pytest.mark.parametrize(
    ("error", "written", "dropped"), [(MemoryError(), 8, 0), (ValueError("a bug"), 4, 4)], ids=repr
)
def test_no_error_ends_the_log(
    job: Job,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    written: int,
    dropped: int,
) -> None:
    """Rows for which there was no memory wait; those that a bug meets are lost, and counted."""
    errors = [error]

    def failing_once(path: Path, batches: Any) -> None:
        if errors:
            raise errors.pop()
        write_file(path, batches)

    monkeypatch.setattr("serving.decision_log.write_file", failing_once)
    log = DecisionLog(tmp_path, max_rows=4, max_age_s=60.0, retry_s=0.05)
    log.record(named(job, "a"), None)
    until(lambda: not errors)
    log.record(named(job, "b"), None)
    until(lambda: log.num_written == written)
    log.close()
    assert (log.num_written, log.num_dropped) == (written, dropped)


def test_a_full_disk_is_waited_for(tmp_path: Path) -> None:
    """In a process of its own, whose files may be no larger than 2,000 bytes for a while."""
    command = [sys.executable, "-m", "tests.serving.full_disk", str(tmp_path / "log")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.splitlines() == ["full: 0 files, 0 dropped, []", "room: 1 files, 0 dropped"]
    assert result.stderr.count("File too large") == 1
    assert [row["request_id"] for row in rows_of(tmp_path / "log")] == [f"r{k}" for k in range(500)]


def test_a_bug_in_one_batch_costs_its_rows_alone(
    job: Job, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = DecisionLog(tmp_path)
    log.record(named(job, "\ud800"), None)  # no text that could be encoded
    until(lambda: log.num_dropped == 4)
    log.record(named(job, "good"), None)
    log.close()
    assert [row["request_id"] for row in rows_of(tmp_path)] == ["good"] * 4
    assert "decision log: 4 rows are lost" in caplog.text


def test_where_it_cannot_be_kept_the_server_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartupError, match=r"decision log .*/file: File exists"):
        DecisionLog(tmp_path / "file")
    with pytest.raises(StartupError, match=r"decision log .*/no/folder: No such file or directory"):
        DecisionLog(tmp_path / "no" / "folder")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(StartupError, match=r"decision log .*: cannot be written to"):
        DecisionLog(tmp_path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(StartupError, match=r"needs pyarrow: pip install '\.\[log\]'"):
        DecisionLog(tmp_path)


def test_a_server_that_is_told_to_stop_writes_what_it_answered(
    repository: Repository, tmp_path: Path
) -> None:
    folder = tmp_path / "log"
    image = repository.test.image[:7]
    with serving(repository.path, "--decision-log", str(folder)) as server:
        with triton_http.InferenceServerClient(server.http) as client:
            tensor = triton_http.InferInput("image", list(image.shape), "UINT8").set_data_from_numpy(image)
            answer = client.infer("digits", [tensor], request_id="mine", parameters={"policy": "window"})
        assert list(folder.iterdir()) == []
        assert server.terminate() == 0
    rows = rows_of(folder)
    assert [(row["request_id"], row["row"], row["policy"]) for row in rows] == [
        ("mine", k, "window") for k in range(7)
    ]
    for name in ("label", "score", "confidence", "accepted", "exit_stage"):
        assert [row[name] for row in rows] == answer.as_numpy(name).tolist(), name


def test_metrics_tell_what_became_of_the_rows(job: Job, tmp_path: Path) -> None:
    log = DecisionLog(tmp_path, max_waiting_bytes=4000)
    registry = CollectorRegistry()
    registry.register(DecisionLogCollector(log))
    for _ in range(5):
        log.record(named(job, ""), None)
    assert 2000 < (registry.get_sample_value("exitgate_decision_log_waiting_bytes") or 0) <= 4000
    log.close()
    rows = {
        outcome: registry.get_sample_value("exitgate_decision_log_rows_total", {"outcome": outcome})
        for outcome in ("written", "dropped")
    }
    assert rows == {"written": 12.0, "dropped": 8.0}
    assert registry.get_sample_value("exitgate_decision_log_waiting_bytes") == 0.0
