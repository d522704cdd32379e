"""Exports that are cut off: by a kill at any step, and by a full disk."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cascade.errors import FormatError
from export.journal import Journal, roll_back
from export.publish import interrupted, locked, publish, recover_interrupted, staging_beside
from tests.export.conftest import contents, error_line
from tests.export.foreign_models import table, tabular_classifier
from tests.export.test_publish import write

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
    assert {path.name for path in place.iterdir()} == {"models", ".models.lock"}
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


def cut_off(repository: Path, files: dict[str, str], moves: int) -> None:
    """A publication that dies before its cascade's file, after so many moves."""
    program = (
        "import json, os, sys; from pathlib import Path; from export import publish as p\n"
        "from tests.export.test_publish import write\n"
        "repository, files, moves = Path(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3])\n"
        "count, sync = 0, p.sync\n"
        "def die(path):\n"
        "    global count\n"
        "    sync(path)\n"
        "    count += 1\n"
        "    count > moves and os._exit(9)\n"
        "with p.staging_beside(repository) as staging:\n"
        "    write(staging.new, files)\n"
        "    with p.locked(repository):\n"
        "        for path in (staging.new, *staging.new.rglob('*')): moves += 1\n"
        "        p.sync = die\n"
        "        p.publish(staging, repository)\n"
    )
    command = [sys.executable, "-c", program, str(repository), json.dumps(files), str(moves)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 9


FILES = {"m-0/1/model.onnx": "one", "m-0/config.pbtxt": "b", "m.scores.npz": "s", "m.cascade.json": "c"}


def test_a_repository_whose_name_begins_alike_is_left_alone(tmp_path: Path) -> None:
    """`.models.v2.XXXXXXXX.staging` is none of those of `models`."""
    mine, other = tmp_path / "models", tmp_path / "models.v2"
    write(mine, {"m-0/1/model.onnx": "mine", "notes.txt": "mine"})
    cut_off(other, FILES, moves=1)
    before = contents(mine)
    assert interrupted(mine) == [] and len(interrupted(other)) == 1
    with locked(mine):
        pass
    assert contents(mine) == before and len(interrupted(other)) == 1


def test_what_others_put_there_since_is_kept(tmp_path: Path) -> None:
    repository = tmp_path / "models"
    cut_off(repository, FILES, moves=2)
    write(repository, {"theirs/1/model.onnx": "theirs"})
    recover_interrupted(repository)
    assert set(contents(repository)) == {"theirs", "theirs/1", "theirs/1/model.onnx"}


def test_a_file_that_others_changed_since_is_kept(tmp_path: Path) -> None:
    repository = tmp_path / "models"
    write(repository, FILES | {"m-0/config.pbtxt": "a"})
    cut_off(repository, {"m-0/config.pbtxt": "b", "m-0/2/model.onnx": "two", "m.cascade.json": "d"}, moves=1)
    assert (repository / "m-0/config.pbtxt").read_text() == "b"
    write(repository, {"m-0/config.pbtxt": "by hand"})
    recover_interrupted(repository)
    assert (repository / "m-0/config.pbtxt").read_text() == "by hand"
    assert not (repository / "m-0/2").exists()
    assert (repository / "m.cascade.json").read_text() == "c"


def test_links_are_not_followed_out_of_the_repository(tmp_path: Path) -> None:
    repository, outside = tmp_path / "models", tmp_path / "outside"
    write(repository, FILES)
    write(outside, {"input-0": "theirs"})
    (repository / "m-0" / "warmup").symlink_to(outside)
    before = contents(tmp_path)
    with staging_beside(repository) as staging:
        write(staging.new, {"m-0/warmup/input-0": "ours", "m.cascade.json": "d"})
        with pytest.raises(FormatError, match="leads out of the repository"), locked(repository):
            publish(staging, repository)
    assert contents(tmp_path) == before


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


LIMITED = """
import os, resource, sys
room = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_a_full_disk_leaves_the_repository_as_it_was(tmp_path: Path) -> None:
    """Files may not grow beyond a limit, which stands for the disk: first the model's, then the scores'."""
    tabular_classifier(tmp_path / "half.onnx", sees_colour=False)
    table(tmp_path / "table.npz")
    command = [sys.executable, "-m", "export", "add", str(tmp_path / "half.onnx")]
    command += ["--repository", str(tmp_path / "models"), "--name", "one", "--objective", "accuracy"]
    command += ["--samples", str(tmp_path / "table.npz"), "--macs", "1"]
    for room in (100, 4000):
        # In a process of its own: a fork of this one may carry gRPC's threads, which complain.
        limited = [sys.executable, "-c", LIMITED, str(room), *command]
        done = subprocess.run(limited, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "File too large" in error_line(done.stderr)
        assert {path.name for path in tmp_path.iterdir()} - {".models.lock"} == {"half.onnx", "table.npz"}
    assert (tmp_path / "half.onnx").stat().st_size > 100
    assert np.load(tmp_path / "table.npz")["labels"].nbytes > 4000
