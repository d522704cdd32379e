"""Exports that are cut off: by a kill at any step, and by a full disk."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np

from export.journal import Journal, roll_back
from tests.export.conftest import contents, error_line
from tests.export.foreign_models import table, tabular_classifier

ROOT = Path(__file__).resolve().parents[2]

KILLS = """
import json, os, shutil, signal, sys
from pathlib import Path
from export.publish import interrupted, locked, publish, staging_beside
from tests.export.conftest import contents
from tests.export.test_publish import SECOND, write

place = Path(sys.argv[1])
repository = place / "models"
FIRST = {"m-0/config.pbtxt": "a", "m-0/1/model.onnx": "one", "m-0/warmup/input-0": "row 1"}
FIRST |= {"other-0/1/model.onnx": "theirs", "m.scores.npz": "scores 1", "m.cascade.json": "cascade 1"}
NEW = SECOND | {"m-0/warmup/input-0": "row 2"}
STEPS = ("os.", "open", "shutil.")

def export(fatal):
    count = 0
    def hook(event, arguments):
        nonlocal count
        if event.startswith(STEPS):
            count += 1
            if count == fatal:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
    with staging_beside(repository) as staging:
        write(staging.new, NEW)
        with locked(repository):
            publish(staging, repository)
    os._exit(0)

fatal, seen = 0, {"before": 0, "after": 0}
while True:
    fatal += 1
    shutil.rmtree(repository, ignore_errors=True)
    write(repository, FIRST)
    before = contents(repository)
    child = os.fork()
    if child == 0:
        export(fatal)
    _, status = os.waitpid(child, 0)
    # What a server would find: a cascade, and all that it names.
    now = contents(repository)
    cascade = now["m.cascade.json"].decode()
    named = FIRST if cascade == "cascade 1" else NEW
    versions = {name: text for name, text in named.items() if name.endswith(".onnx")}
    assert {name: now[name].decode() for name in versions} == versions, fatal
    # What the next export finds.
    with locked(repository):
        pass
    after = contents(repository)
    if after == before:
        assert cascade == "cascade 1" or status, fatal
        seen["before"] += 1
    else:
        texts = {name: text.decode() for name, text in after.items() if text is not None}
        assert texts == FIRST | NEW, (fatal, texts)
        seen["after"] += 1
    assert not interrupted(repository)
    left = {path.name for path in place.iterdir()} - {"models", ".models.lock"}
    assert all(name.endswith(".begun") for name in left), left
    if os.WIFEXITED(status):
        assert os.WEXITSTATUS(status) == 0
        break
print(json.dumps(seen))
"""


def test_after_a_kill_at_any_step_the_old_cascade_or_the_new_one_is_whole(tmp_path: Path) -> None:
    """A process a step; the next export puts back what was half done, to the byte."""
    command = [sys.executable, "-c", KILLS, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["before"] > 50 and seen["after"] > 2, seen


def test_a_line_that_was_being_written_tells_of_nothing(tmp_path: Path) -> None:
    repository, staging = tmp_path / "models", tmp_path / "staging"
    repository.mkdir()
    staging.mkdir()
    for name in ("new", "kept"):
        (repository / name).write_text(name)
    Journal(staging, repository).will_make(repository / "new")
    with (staging / "journal.jsonl").open("a") as file:
        file.write('{"made": "kep')
    roll_back(staging, repository)
    assert set(contents(repository)) == {"kept"}


def test_a_full_disk_leaves_the_repository_as_it_was(tmp_path: Path) -> None:
    """Files may not grow beyond a limit, which stands for the disk: first the model's, then the scores'."""
    tabular_classifier(tmp_path / "half.onnx", sees_colour=False)
    table(tmp_path / "table.npz")
    command = [sys.executable, "-m", "export", "add", str(tmp_path / "half.onnx")]
    command += ["--repository", str(tmp_path / "models"), "--name", "one", "--objective", "accuracy"]
    command += ["--samples", str(tmp_path / "table.npz"), "--macs", "1"]
    for room in (100, 4000):
        done = subprocess.run(
            command,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=lambda room=room: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
        )
        assert done.returncode == 2
        assert "File too large" in error_line(done.stderr)
        assert {path.name for path in tmp_path.iterdir()} - {".models.lock"} == {"half.onnx", "table.npz"}
    assert (tmp_path / "half.onnx").stat().st_size > 100
    assert np.load(tmp_path / "table.npz")["labels"].nbytes > 4000
