import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from cascade.cascade_file import read_cascade, write_cascade
from cascade.errors import FitError
from cascade.evaluate import evaluate
from cascade.scores_file import read_scores
from cascade.versions import kept_file, rolled_back
from export import pipeline
from export.policies import fit_policies
from tests.export.conftest import (
    CLASSES,
    OPTIONS,
    calibration_images,
    change_json,
    contents,
    error_line,
    write_member,
)
from tests.export.test_publish import is_locked

ROOT = Path(pipeline.__file__).parents[1]
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}

LAYOUT = {
    *("digits.cascade.json", "digits.scores.npz"),
    *("digits-0", "digits-0/1", "digits-0/1/model.onnx", "digits-0/config.pbtxt"),
    *("digits-0/warmup", "digits-0/warmup/input-0"),
    *("digits-1", "digits-1/1", "digits-1/1/model.onnx", "digits-1/config.pbtxt"),
    *("digits-1/warmup", "digits-1/warmup/input-0"),
}


def test_the_repository_holds_models_and_plain_files_alone(published: Path) -> None:
    assert set(contents(published)) == LAYOUT
    assert {path.name for path in published.parent.iterdir()} == {"models", ".models.lock"}


def test_the_cascade_pins_the_files_that_lie_there(published: Path) -> None:
    cascade = read_cascade(published / "digits.cascade.json")
    assert (cascade.name, cascade.version, cascade.classes) == ("digits", 1, CLASSES)
    assert cascade.stages == (("digits-0",), ("digits-1",))
    assert [(spec.name, spec.datatype, spec.shape) for spec in cascade.inputs] == [
        ("image", "UINT8", (-1, 8, 8, 1))
    ]
    for member in cascade.members:
        assert member.sha256 == sha256((published / member.file).read_bytes()).hexdigest()
        assert (member.version, member.macs, member.inputs) == (1, 763520, {"image": "image"})
        assert (member.output, member.output_kind) == ("logits", "logits")


def test_its_policies_judge_the_scores_beside_it(published: Path) -> None:
    cascade = read_cascade(published / "digits.cascade.json")
    scores = read_scores(published / "digits.scores.npz")
    figures = {name: evaluate(policy, cascade.stages, scores) for name, policy in cascade.policies.items()}
    assert list(figures) == ["first", "threshold", "window", "agreement", "full"]
    assert (figures["first"]["cost"], figures["full"]["cost"]) == (1, 2)
    assert 1.1 < figures["threshold"]["cost"] < 1.5
    assert 1.0 <= figures["window"]["cost"] < 1.5  # of so weak a second member it may make no use
    for name, policy in cascade.policies.items():
        assert (policy.kind, policy.objective) == (name, "risk@coverage=0.8")
        assert policy.members == dict(zip(scores.names, scores.sha256, strict=True))
        assert 0.6 < figures[name]["coverage"] < 0.95
    assert cascade.default_policy == "window"


def test_its_origin_is_told_without_paths(published: Path) -> None:
    text = (published / "digits.cascade.json").read_text()
    origin = json.loads(text)["provenance"]
    assert (origin["run"], origin["dataset"]) == ("tiny", {"name": "digits", "copies": 1})
    assert origin["training_versions"] == {"torch": "0.0.test"}
    assert origin["opsets"] == {"digits-0": 18, "digits-1": 18}
    assert {"torch", "onnx", "onnxruntime"} < set(origin["export_versions"])
    assert origin["exported_at"].endswith("+00:00")
    check = origin["checks"]["digits-1"]
    assert check["rows"] == 240 and 0 < check["max"] < 1e-5 and check["changed"] == 0
    assert "/home" not in text and str(published) not in text


def test_the_same_members_again_keep_their_versions(
    repository: Path, run_export: Callable[..., int], run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = repository / "digits.cascade.json"
    before = contents(repository)
    cascade = read_cascade(path)
    policies = {**cascade.policies, "mine": cascade.policies["first"]}
    mine = replace(cascade, version=7, policies=policies, default_policy="mine")
    write_cascade(path, mine)
    assert run_export(run_folder, "--default-policy", "full") == 0
    after = read_cascade(path)
    assert (after.version, after.default_policy, "mine" in after.policies) == (8, "full", False)
    assert [member.version for member in after.members] == [1, 1]
    assert rolled_back(path, after, 7) == replace(mine, version=9)
    kept_file(path, 7).unlink()
    assert contents(repository) | {"digits.cascade.json": before["digits.cascade.json"]} == before
    output = capsys.readouterr().out
    assert "dropped, since every export starts with its own policies: mine\n" in output
    assert "digits-0/1/model.onnx  unchanged, fp32, 763,520 MACs a row" in output


def test_a_changed_member_is_written_beside_the_old_one(
    repository: Path, run_export: Callable[..., int], own_run: Path
) -> None:
    before = contents(repository)
    write_member(own_run / "member-1", seed=9)
    assert run_export(own_run, "--stages", "1;0", "--max-batch-size", "16") == 0
    after = contents(repository)
    cascade = read_cascade(repository / "digits.cascade.json")
    assert (cascade.version, cascade.stages) == (2, (("digits-1",), ("digits-0",)))
    assert [(member.name, member.version) for member in cascade.members] == [("digits-0", 1), ("digits-1", 2)]
    added = {"digits-1/2", "digits-1/2/model.onnx", "digits.cascade.v1.json"}
    assert set(after) - set(before) == added
    for name in ("digits-0/1/model.onnx", "digits-1/1/model.onnx"):
        assert after[name] == before[name]
    for name in ("digits-0", "digits-1"):
        assert b"max_batch_size: 16" in (repository / name / "config.pbtxt").read_bytes()
    assert cascade.member("digits-1").sha256 == sha256(after["digits-1/2/model.onnx"] or b"").hexdigest()
    assert read_scores(repository / "digits.scores.npz").sha256[1] == cascade.member("digits-1").sha256


def test_fewer_members_leave_the_folders_of_the_others(
    repository: Path, run_export: Callable[..., int], own_run: Path
) -> None:
    before = contents(repository)
    change_json(own_run / "run.json", members=["member-0"])
    assert run_export(own_run) == 0
    cascade = read_cascade(repository / "digits.cascade.json")
    assert cascade.stages == (("digits-0",),)
    assert list(cascade.policies) == ["first", "threshold", "window", "full"]
    after = contents(repository)
    changed = {name for name in before if after[name] != before[name]}
    assert changed == {"digits.cascade.json", "digits.scores.npz"}


def test_a_failure_after_the_models_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    repository: Path,
    run_export: Callable[..., int],
    own_run: Path,
) -> None:
    def refuse(*_: object) -> None:
        raise FitError("no such luck")

    monkeypatch.setattr(pipeline, "fit_policies", refuse)
    write_member(own_run / "member-1", seed=9)
    before = contents(repository)
    assert run_export(own_run) == 2
    assert error_line(capsys.readouterr().err) == "no such luck"
    assert contents(repository) == before
    assert {path.name for path in repository.parent.iterdir()} == {"models", ".models.lock"}


def test_an_export_that_another_overtook_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    repository: Path,
    run_export: Callable[..., int],
    own_run: Path,
) -> None:
    """The other one publishes the same run, after this one planned and before it publishes."""
    overtaken: list[dict[str, bytes | None]] = []

    def overtake(*given: Any) -> Any:
        monkeypatch.setattr(pipeline, "fit_policies", fit_policies)
        assert run_export(own_run) == 0
        overtaken.append(contents(repository))
        return fit_policies(*given)

    monkeypatch.setattr(pipeline, "fit_policies", overtake)
    write_member(own_run / "member-1", seed=9)
    assert run_export(own_run) == 2
    assert (
        error_line(capsys.readouterr().err) == "cascade digits was changed by others meanwhile: export again"
    )
    assert contents(repository) == overtaken[0]
    assert read_cascade(repository / "digits.cascade.json").version == 2


@pytest.mark.parametrize(("member", "version"), [("digits-0", "2"), ("digits-1", "2"), ("digits-1", "3")])
def test_a_member_that_came_meanwhile_is_not_mistaken_for_ours(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    repository: Path,
    run_export: Callable[..., int],
    own_run: Path,
    member: str,
    version: str,
) -> None:
    """This export keeps version 1 of the first member and adds version 2 of the second."""

    def add_version(*given: Any) -> Any:
        (repository / member / version).mkdir()
        return fit_policies(*given)

    monkeypatch.setattr(pipeline, "fit_policies", add_version)
    write_member(own_run / "member-1", seed=9)
    before = contents(repository)
    assert run_export(own_run) == 2
    line = error_line(capsys.readouterr().err)
    assert line == f"member {member} was published by others meanwhile: export again"
    assert contents(repository) == before | {f"{member}/{version}": None}


def test_what_is_checked_is_published_under_one_lock(
    monkeypatch: pytest.MonkeyPatch, repository: Path, run_export: Callable[..., int], run_folder: Path
) -> None:
    seen: list[tuple[str, bool]] = []

    def watched(name: str, step: Callable[..., object]) -> Callable[..., object]:
        def run(*given: object) -> object:
            seen.append((name, is_locked(repository)))
            return step(*given)

        return run

    for name in ("fit_policies", "_check_unchanged", "publish"):
        monkeypatch.setattr(pipeline, name, watched(name, getattr(pipeline, name)))
    assert run_export(run_folder) == 0
    assert seen == [("fit_policies", False), ("_check_unchanged", True), ("publish", True)]


def test_of_two_exports_at_once_none_is_lost(repository: Path, run_folder: Path) -> None:
    """Both may succeed, one after the other; what may not be is two of one version."""
    command = [sys.executable, "-m", "export", str(run_folder), "--repository", str(repository), *OPTIONS]
    exports = [
        subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=ONE_THREAD
        )
        for _ in range(2)
    ]
    errors = [export.communicate(timeout=120)[1] for export in exports]
    statuses = [export.returncode for export in exports]
    assert sorted(statuses) in ([0, 0], [0, 2]), errors
    assert read_cascade(repository / "digits.cascade.json").version == 1 + statuses.count(0)
    for status, error in zip(statuses, errors, strict=True):
        assert status == 0 or error_line(error).endswith("was changed by others meanwhile: export again")


def test_scores_are_the_published_files_own_outputs(published: Path, run_folder: Path) -> None:
    scores = read_scores(published / "digits.scores.npz")
    images = calibration_images(run_folder)
    assert (scores.kind, scores.names, scores.macs) == ("logits", ("digits-0", "digits-1"), (763520, 763520))
    for index, name in enumerate(scores.names):
        file = published / name / "1" / "model.onnx"
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        np.testing.assert_allclose(
            scores.outputs[index], session.run(None, {"image": images})[0], atol=1e-6, rtol=0
        )
        assert scores.sha256[index] == sha256(file.read_bytes()).hexdigest()
    assert np.abs(scores.outputs[0] - scores.outputs[1]).max() > 0.1


def test_labels_and_groups_are_the_splits(published: Path, run_folder: Path) -> None:
    scores = read_scores(published / "digits.scores.npz")
    with np.load(run_folder / "splits" / "calibration.npz") as split:
        np.testing.assert_array_equal(scores.labels, split["labels"])
        assert scores.groups is not None
        np.testing.assert_array_equal(scores.groups, split["groups"])


def test_probabilities_stand_beside_the_logits(published: Path) -> None:
    with np.load(published / "digits.scores.npz") as arrays:
        assert {name: arrays[name].dtype.str for name in ("probabilities", "logits", "labels", "macs")} == {
            "probabilities": "<f4",
            "logits": "<f4",
            "labels": "<i8",
            "macs": "<f8",
        }
        assert int(arrays["format_version"]) == 1
        exponentials = np.exp(arrays["logits"][1, 3].astype(np.float64))
        assert arrays["probabilities"][1, 3].tolist() == pytest.approx(
            (exponentials / exponentials.sum()).tolist(), rel=1e-6
        )
