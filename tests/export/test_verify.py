import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cascade.scores_file import read_scores, write_scores
from export.cli import main
from export.verify import verify
from tests.export.conftest import OPTIONS, change_json, contents, error_line

ROOT = Path(__file__).resolve().parents[2]
MODEL = "digits-0/1/model.onnx"


def problems(repository: Path) -> dict[str, str]:
    return {found.what: found.problem for found in verify(repository) if found.problem is not None}


def test_a_repository_as_exported_is_in_order(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(repository)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "ok    digits.cascade.json: version 1, 5 policies",
        "ok    digits-0/1/model.onnx",
        "ok    digits-1/1/model.onnx",
        "ok    digits.scores.npz",
        f"{repository}: nothing is wrong",
    ]


def change(name: str, old: str, new: str) -> Callable[[Path], None]:
    def write(repository: Path) -> None:
        text = (repository / name).read_text()
        assert old in text
        (repository / name).write_text(text.replace(old, new))

    return write


def remove(name: str) -> Callable[[Path], None]:
    return lambda repository: (repository / name).unlink()


def link_out(repository: Path) -> None:
    """The same bytes, but from a file that others may change."""
    outside = repository.parent / "outside.onnx"
    (repository / MODEL).rename(outside)
    (repository / MODEL).symlink_to(outside)


def link_beside(repository: Path) -> None:
    (repository / "digits-0/1/passwords").symlink_to("/etc/passwd")


def link_to_itself(repository: Path) -> None:
    (repository / MODEL).unlink()
    (repository / MODEL).symlink_to(repository / MODEL)


def change_bytes(name: str, content: bytes) -> Callable[[Path], None]:
    def write(repository: Path) -> None:
        (repository / name).write_bytes(content)

    return write


def other_scores(repository: Path) -> None:
    path = repository / "digits.scores.npz"
    scores = read_scores(path)
    path.unlink()
    write_scores(path, replace(scores, sha256=scores.sha256[::-1]))


def fewer_scores(repository: Path) -> None:
    path = repository / "digits.scores.npz"
    scores = read_scores(path)
    path.unlink()
    first = {name: getattr(scores, name)[:1] for name in ("outputs", "names", "macs", "sha256")}
    write_scores(path, replace(scores, **first))


def newer_version(repository: Path) -> None:
    """Triton is to load the newest alone, and the cascade pins the one before."""
    change("digits-0/config.pbtxt", "all {\n  }", "latest { num_versions: 1 }")(repository)
    (repository / "digits-0" / "2").mkdir()


def other_member(repository: Path) -> None:
    """Another model under the name, pinned as if it were right: its signature gives it away."""
    cascade = json.loads((repository / "digits.cascade.json").read_text())
    cascade["inputs"][0]["shape"] = [-1, 9, 9, 1]
    change_json(repository / "digits.cascade.json", inputs=cascade["inputs"])


@pytest.mark.parametrize(
    ("spoil", "what", "message"),
    [
        (remove(MODEL), MODEL, "no such file"),
        (link_out, MODEL, "leads out of the repository"),
        (other_member, MODEL, r"input 'image' is TYPE_UINT8 \[8, 8, 1\]; the cascade says UINT8 \[9, 9, 1\]"),
        (remove("digits-0/config.pbtxt"), MODEL, "config.pbtxt: not a model configuration"),
        (change("digits-0/config.pbtxt", 'name: "digits-0"', 'name: "digits-1"'), MODEL, "is of 'digits-1'"),
        (
            change("digits-0/config.pbtxt", '"image"', '"picture"'),
            MODEL,
            "describes inputs picture; the cascade",
        ),
        (
            change("digits-0/config.pbtxt", "TYPE_FP32\n  dims: 10", "TYPE_FP32\n  dims: 9"),
            MODEL,
            "the output is not",
        ),
        (change("digits-0/config.pbtxt", "max_batch_size: 64", ""), MODEL, "max_batch_size is 0"),
        (
            change("digits-0/config.pbtxt", '"onnxruntime"', '"pytorch"'),
            MODEL,
            "'pytorch' does not run onnx files",
        ),
        (
            change("digits-0/config.pbtxt", "  all {\n  }", "  specific { versions: 7 }"),
            MODEL,
            "version 1 is none of",
        ),
        (newer_version, MODEL, "version 1 is none of those that Triton is to load"),
        (fewer_scores, "digits.scores.npz", "no outputs of member 'digits-1'"),
        (remove("digits-0/warmup/input-0"), MODEL, "warmup/input-0: cannot be read"),
        (
            change_bytes("digits-0/warmup/input-0", b"short"),
            MODEL,
            "warmup/input-0: does not hold what is said",
        ),
        (link_beside, MODEL, "leads out of the repository"),
        (link_to_itself, MODEL, "its links form a loop"),
        (
            change("digits.cascade.json", '"window"', '"windw"'),
            "digits.cascade.json",
            "digits.cascade.json: ",
        ),
        (other_scores, "digits.scores.npz", "holds outputs of another 'digits-0' than the cascade's"),
        (
            lambda path: (path / "notes").mkdir(),
            "notes",
            "a folder without config.pbtxt, on which Triton fails",
        ),
    ],
)
def test_what_is_wrong_is_named(
    spoil: Callable[[Path], None],
    what: str,
    message: str,
    repository: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoil(repository)
    found = problems(repository)
    assert what in found and re.search(message, found[what]), found
    assert main(["verify", str(repository)]) == 1
    assert f"WRONG {what}: " in capsys.readouterr().out


def test_nothing_to_look_at_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("verify", "list"):
        assert main([command, str(tmp_path / "none")]) == 2
        assert error_line(capsys.readouterr().err) == f"{tmp_path / 'none'}: no such folder"
        assert main([command, str(tmp_path)]) == 2
        assert "holds no *.cascade.json" in error_line(capsys.readouterr().err)


def test_a_list_tells_stages_members_and_policies(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list", str(repository)]) == 0
    output = capsys.readouterr().out
    title = "digits, version 1: 10 classes, policies first, threshold, window*, agreement, full"
    assert output.splitlines()[0].rstrip() == title
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in output.splitlines() if "│" in line]
    assert [row[:7] for row in rows] == [
        ["1", "digits-0", "1", "onnx", "fp32", "763,520", "-"],
        ["2", "digits-1", "1", "onnx", "fp32", "763,520", "-"],
    ]


CORRUPT = """
import sys
from pathlib import Path
import numpy as np
from export.verify import verify
from serving.errors import StartupError
from serving.loading import Loader, read_cascades

repository, model, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
path = repository / model
whole = path.read_bytes()
generator = np.random.default_rng(7)
passed = 0
for number in range(count):
    content = bytearray(whole)
    if number % 2:
        content[generator.integers(len(whole))] ^= 1 << generator.integers(8)
    else:
        del content[generator.integers(len(whole)):]
    path.write_bytes(content)
    refused = [finding.what for finding in verify(repository) if finding.problem is not None]
    try:
        Loader(repository, 1).load_all(read_cascades(repository))
        passed += 1
    except StartupError:
        passed += refused != [model]
print(passed)
"""


def test_a_thousand_corruptions_are_refused_by_verify_and_by_the_server(
    own_run: Path, tmp_path: Path
) -> None:
    """In a process of its own, which a broken model must not bring down; on a copy, beside what is served."""
    repository = tmp_path / "models"
    change_json(own_run / "run.json", members=["member-0"])
    assert main([str(own_run), "--repository", str(repository), *OPTIONS]) == 0
    copy = Path(shutil.copytree(repository, tmp_path / "copy"))
    served = contents(repository)
    command = [sys.executable, "-c", CORRUPT, str(copy), MODEL, "1000"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr
    assert contents(repository) == served


UNKNOWN = """
import sys
from pathlib import Path
import numpy as np
from export.cli import main

model, samples, repository, count = sys.argv[1:]
whole = Path(model).read_bytes()
generator = np.random.default_rng(7)
statuses = []
for number in range(int(count)):
    content = bytearray(whole)
    if number % 2:
        content[generator.integers(len(whole))] ^= 1 << generator.integers(8)
    else:
        del content[generator.integers(len(whole)):]
    broken = Path(samples).with_name("broken.onnx")
    broken.write_bytes(content)
    statuses.append(main(["add", str(broken), "--repository", repository, "--name", "broken",
                          "--samples", samples, "--objective", "accuracy"]))
assert set(statuses) <= {0, 1, 2}, statuses
sys.stderr.write(f"{statuses.count(0)} still models")
"""


def test_models_of_unknown_origin_that_are_broken_change_nothing(
    repository: Path, run_folder: Path, tmp_path: Path
) -> None:
    """No hash is known of them: some are still models, and become members; others are refused in one line,
    and what stood in the repository stays."""
    samples = shutil.copy(run_folder / "splits" / "calibration.npz", tmp_path / "rows.npz")
    before = contents(repository)
    arguments = [str(repository / MODEL), str(samples), str(repository), "40"]
    done = subprocess.run(
        [sys.executable, "-c", UNKNOWN, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert all(line.startswith("error: ") for line in lines[:-1])
    after = contents(repository)
    assert {name: after[name] for name in before} == before
    assert problems(repository) == {}
    assert len(lines) - 1 >= 20
