import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from cascade.cascade_file import read_cascade, write_cascade
from cascade.errors import FitError
from cascade.evaluate import evaluate
from cascade.scores_file import read_scores
from export import pipeline
from tests.export.conftest import CLASSES, change_json, contents, error_line, write_member

LAYOUT = {
    *("digits.cascade.json", "digits.scores.npz"),
    *("digits-0", "digits-0/1", "digits-0/1/model.onnx", "digits-0/config.pbtxt"),
    *("digits-1", "digits-1/1", "digits-1/1/model.onnx", "digits-1/config.pbtxt"),
}


def test_the_repository_holds_models_and_plain_files_alone(published: Path) -> None:
    assert set(contents(published)) == LAYOUT
    assert [path.name for path in published.parent.iterdir()] == [published.name]


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
    for name in ("threshold", "window"):
        assert 1.1 < figures[name]["cost"] < 1.5
    for name, policy in cascade.policies.items():
        assert (policy.kind, policy.objective) == (name, "risk@coverage=0.8")
        assert policy.members == dict(zip(scores.names, scores.sha256, strict=True))
        assert 0.6 < figures[name]["coverage"] < 0.95
    assert cascade.default_policy == "window"


def test_its_origin_is_told_without_paths(published: Path) -> None:
    text = (published / "digits.cascade.json").read_text()
    origin = json.loads(text)["provenance"]
    assert (origin["run"], origin["dataset"]) == ("tiny", {"name": "digits", "copies": 1})
    assert (origin["training_versions"], origin["opset"]) == ({"torch": "0.0.test"}, 18)
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
    write_cascade(path, replace(cascade, version=7, policies=policies, default_policy="mine"))
    assert run_export(run_folder, "--default-policy", "full") == 0
    after = read_cascade(path)
    assert (after.version, after.default_policy, "mine" in after.policies) == (8, "full", False)
    assert [member.version for member in after.members] == [1, 1]
    assert contents(repository) | {"digits.cascade.json": before["digits.cascade.json"]} == before
    output = capsys.readouterr().out
    assert "dropped, since fitted on the members before: mine\n" in output
    assert "digits-0/1/model.onnx  unchanged, 763,520 MACs a row" in output


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
    assert set(after) - set(before) == {"digits-1/2", "digits-1/2/model.onnx"}
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
    assert [path.name for path in repository.parent.iterdir()] == ["models"]
