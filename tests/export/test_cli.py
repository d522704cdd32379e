import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from export.cli import main
from tests.export.conftest import change_json, error_line, write_json

ROOT = Path(__file__).parents[2]


def changed_run(**changes: object) -> Callable[[Path], None]:
    return lambda run: change_json(run / "run.json", **changes)


def changed_member(**changes: object) -> Callable[[Path], None]:
    return lambda run: change_json(run / "member-1" / "member.json", **changes)


def changed_model(**changes: object) -> Callable[[Path], None]:
    model = {"height": 8, "width": 8, "channels": 1, "num_classes": 10}
    return changed_member(model=model | changes)


def changed_rows(**changes: object) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        path = run / "splits" / "calibration.npz"
        with np.load(path) as split:
            changed = {name: split[name] for name in split.files} | changes
        arrays = {name: array for name, array in changed.items() if array is not None}
        np.savez(path, **arrays)

    return change


def without(name: str) -> Callable[[Path], None]:
    return lambda run: (run / name).unlink()


def with_text(name: str, text: str) -> Callable[[Path], None]:
    def write(run: Path) -> None:
        (run / name).write_text(text)

    return write


def image(**changes: object) -> dict[str, object]:
    return {"name": "image", "datatype": "UINT8", "shape": [-1, 8, 8, 1]} | changes


def rows(number: int) -> dict[str, object]:
    labels = np.zeros(number, np.int64)
    return {"image": np.zeros((number, 8, 8, 1), np.uint8), "labels": labels, "groups": np.arange(number)}


BROKEN_RUNS: dict[str, tuple[Callable[[Path], None], str]] = {
    "no run.json": (without("run.json"), "run.json: no such file"),
    "no JSON": (with_text("run.json", "{"), "run.json: not JSON"),
    "a list": (with_text("run.json", "[]"), "run.json: expected an object, got a list"),
    "another file": (lambda run: write_json(run / "run.json", {"a": 1}), "'format_version' is missing"),
    "newer run": (changed_run(format_version=2), "run.json: format_version 2 is unknown"),
    "no classes": (changed_run(classes=5), "run.json: 'classes' is "),
    "float input": (changed_run(input=image(datatype="FP32")), "datatype 'FP32' is not UINT8"),
    "flat input": (changed_run(input=image(shape=[-1, 64])), "shape [-1, 64] is not of the form"),
    "text in shape": (changed_run(input=image(shape=[-1, "8", 8, 1])), "is not of the form [-1, H, W, C]"),
    "no members": (changed_run(members=[]), "members [] must be one or more different names"),
    "a member twice": (changed_run(members=["member-0", "member-0"]), "one or more different names"),
    "a member outside": (changed_run(members=["../member-0"]), "name '../member-0' is not"),
    "a member missing": (changed_run(members=["member-5"]), "member-5/member.json: no such file"),
    "newer member": (changed_member(format_version=3), "member-1/member.json: format_version 3 is unknown"),
    "no macs": (changed_member(macs=0), "member-1/member.json: macs must be above 0, got 0"),
    "macs as text": (changed_member(macs="many"), "'macs' is a string"),
    "other height": (changed_model(height=9), "takes [-1, 9, 8, 1], and the run's input is [-1, 8, 8, 1]"),
    "other classes": (changed_model(num_classes=9), "gives 9 classes, and the run has 10"),
    "no weights": (without("member-0/model.safetensors"), "member-0/model.safetensors: no such file"),
    "no rows": (without("splits/calibration.npz"), "calibration.npz: no such file"),
    "rows as text": (
        with_text("splits/calibration.npz", "rows"),
        "calibration.npz: not an .npz of plain arrays",
    ),
    "pickled rows": (
        changed_rows(labels=np.array([{}] * 240)),
        "calibration.npz: not an .npz of plain arrays",
    ),
    "no labels": (changed_rows(labels=None), "calibration.npz: no array 'labels'; there are: image, groups"),
    "newer rows": (changed_rows(format_version=np.int64(4)), "calibration.npz: format_version 4 is unknown"),
    "versions of rows": (
        changed_rows(format_version=np.array([1, 1])),
        "calibration.npz: format_version is an array of shape (2,), not a number",
    ),
    "few rows": (changed_rows(**rows(39)), "calibration.npz: 39 rows are too few to fit on; at least 40"),
    "large images": (
        changed_rows(image=np.zeros((240, 9, 9, 1), np.uint8)),
        "image: shape [240, 9, 9, 1], and the model takes [-1, 8, 8, 1]",
    ),
    "float images": (
        changed_rows(image=np.zeros((240, 8, 8, 1))),
        "image is float64, and the model takes UINT8",
    ),
    "short labels": (
        changed_rows(labels=np.zeros(3, np.int64)),
        "image has shape [240, 8, 8, 1], and there are 3 labels",
    ),
    "float groups": (changed_rows(groups=np.zeros(240)), "groups is float64 (240,)"),
    "label 10": (changed_rows(labels=np.full(240, 10)), "calibration.npz: labels lie outside 0..9"),
    "one group": (
        changed_rows(groups=np.zeros(240, np.int64)),
        "calibration.npz: the rows form a single group",
    ),
}


def refused(run: Path, repository: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """The line of an export that wrote nothing."""
    before = sorted(repository.parent.rglob("*"))
    given = options if "--name" in options else ("--name", "digits", *options)
    assert main([str(run), "--repository", str(repository), *given]) == 2
    assert sorted(repository.parent.rglob("*")) == before
    return error_line(capsys.readouterr().err)


@pytest.mark.parametrize("case", BROKEN_RUNS)
def test_a_broken_run_is_refused_in_one_line(
    case: str, own_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    break_run, message = BROKEN_RUNS[case]
    break_run(own_run)
    assert message in refused(own_run, tmp_path / "models", capsys)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--name", "a b"), "name 'a b' is not"),
        (("--name", "a" * 127), "is not 1 to 128"),
        (("--budget", "0.9x"), "budget 0.9x is below the cost of stage 1"),
        (("--budget", "cheap"), "budget 'cheap' is not of the form"),
        (("--objective", "profit"), "unknown objective 'profit'; there are: coverage@risk=R"),
        (("--score", "luck"), "unknown score 'luck'; there are: msp, "),
        (("--default-policy", "best"), "'best' is none of first, threshold, window, agreement, full"),
        (("--default-policy", "agreement", "--stages", "0,1"), "none of first, threshold, window, full"),
        (("--stages", "0;2"), "stages '0;2' must hold each of the members 0 to 1, and no other"),
        (("--stages", "0;1:fp8"), "stages '0;1:fp8' are not of the form '0;1,2'"),
        (("--stages", "0;1;0"), "'0;1;0': a member stands twice at one precision (fp32"),
        (("--stages", "0:int8;0;1", "--precision", "int8"), "'0:int8;0;1': a member stands twice"),
        (("--budget", "2ms"), "budget 2ms counts seconds, which are only measured with --tune"),
        (("--preferred-batch-sizes", "1,x"), "'1,x' is not of the form 1,2"),
        (("--preferred-batch-sizes", "128"), "preferred_batch_sizes must lie within 1..64"),
        (("--version-policy", "newest"), "version_policy 'newest' is neither 'all' nor 'latest:N'"),
        (("--accelerator", "tensorrt"), "accelerator tensorrt needs triton_backend onnxruntime"),
        (("--format", "tensorrt"), "needs the Python package 'tensorrt' or the program 'trtexec'"),
        (("--max-batch-size", "0"), "max_batch_size must be 1 or more, got 0"),
        (("--max-batch-size", "big"), "argument --max-batch-size: invalid int value: 'big'"),
        (("--max-difference", "nan"), "max_difference must be 0 or a finite number"),
        (("--seed", "-1"), "seed must be 0 or more, got -1"),
        (("--sede", "1"), "unrecognized arguments: --sede 1"),
    ],
)
def test_bad_settings_are_refused_in_one_line(
    options: tuple[str, ...],
    message: str,
    run_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert message in refused(run_folder, tmp_path / "models", capsys, *options)


def test_a_missing_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(tmp_path / "none", tmp_path / "models", capsys) == f"{tmp_path / 'none'}: no such run"


def test_a_repository_that_cannot_be_filled_is_refused(
    run_folder: Path, tmp_path: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = tmp_path / "none" / "models"
    assert main([str(run_folder), "--repository", str(nowhere), "--name", "digits"]) == 2
    assert error_line(capsys.readouterr().err) == f"{nowhere}: {nowhere.parent} is no folder"
    (repository / "digits-1" / "config.pbtxt").write_text('backend: "python"')
    assert "backend differs from what is to be exported" in refused(run_folder, repository, capsys)


def test_a_broken_cascade_file_is_not_written_over(
    run_folder: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (repository / "digits.cascade.json").write_text("{}")
    assert "digits.cascade.json: 'format_version' is missing" in refused(run_folder, repository, capsys)


def test_bad_input_is_refused_without_torch(run_folder: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from export.cli import main; status = main(sys.argv[1:]); "
        "print(status, 'torch' in sys.modules, 'onnxruntime' in sys.modules)"
    )
    options = ["--repository", str(tmp_path / "models"), "--name", "digits", "--budget", "0.5x"]
    done = subprocess.run(
        [sys.executable, "-c", program, str(run_folder), *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "2 False False\n"
    assert error_line(done.stderr).startswith("budget 0.5x is below")


def test_the_package_runs_and_tells_its_options() -> None:
    command = [sys.executable, "-m", "export", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "--max-difference F" in done.stdout and done.stderr == ""
