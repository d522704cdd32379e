"""What members said is taken as it is, or asked for anew."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

from benchmarks.study.outputs import _kept
from cascade.scores_file import ScoresFile, write_scores
from tests.benchmarks.study.outputs import made_outputs
from training.runs import FORMAT_VERSION


def made_run(folder: Path, weights: list[bytes | None]) -> Path:
    folder.mkdir()
    names = [f"member-{place}" for place in range(len(weights))]
    for name, content in zip(names, weights, strict=True):
        (folder / name).mkdir()
        if content is not None:
            (folder / name / "model.safetensors").write_bytes(content)
    manifest = {"format_version": FORMAT_VERSION, "settings": {}, "members": names}
    (folder / "run.json").write_text(json.dumps(manifest))
    return folder


def said(*weights: bytes) -> ScoresFile:
    hashes = tuple(hashlib.sha256(content).hexdigest() for content in weights)
    return replace(made_outputs((1.0, 2.0)).test, sha256=hashes, is_checked=False)


def test_weights_that_stayed_elsewhere_are_taken_at_their_word(tmp_path: Path) -> None:
    write_scores(tmp_path / "kept.npz", said(b"one", b"two"))
    for place, weights in enumerate(([b"one", b"two"], [None, None], [b"one", None])):
        run = made_run(tmp_path / f"run-{place}", weights)
        kept = _kept(tmp_path / "kept.npz", run, lambda: said(b"not", b"asked"))
        assert kept.sha256 == said(b"one", b"two").sha256


def test_other_weights_are_asked_anew(tmp_path: Path) -> None:
    write_scores(tmp_path / "kept.npz", said(b"one", b"two"))
    run = made_run(tmp_path / "run", [None, b"three"])
    assert _kept(tmp_path / "kept.npz", run, lambda: said(b"one", b"three")).sha256[1] == (
        hashlib.sha256(b"three").hexdigest()
    )


def test_a_run_of_more_members_is_asked_anew(tmp_path: Path) -> None:
    write_scores(tmp_path / "kept.npz", said(b"one", b"two"))
    run = made_run(tmp_path / "run", [b"one", b"two", b"three"])
    asked: list[str] = []

    def ask() -> ScoresFile:
        asked.append("again")
        return said(b"one", b"two")

    _kept(tmp_path / "kept.npz", run, ask)
    assert asked == ["again"]
