"""What each run's members say of the calibration rows, the test rows and those out of distribution.

Kept beside the run's name in runs/study/SIZE/outputs, as two scores files: `calibration`, whose rows out of
distribution are patches of photographs (what policies may be fitted on), and `test`, whose are the families
of `strange` (what they are judged on, and have never seen).
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.study.members import study_folder
from benchmarks.study.sizes import Size
from benchmarks.study.strange import Images, strange_images
from cascade.scores_file import ScoresFile, read_scores, write_scores
from training.evaluation import logits_of
from training.members import WEIGHTS
from training.models import load_member
from training.runs import member_folder, read_manifest
from training.step import pick_device

PATCHES = "patches"


@dataclass(frozen=True)
class Outputs:
    calibration: ScoresFile
    test: ScoresFile

    def members(self, indices: Sequence[int]) -> "Outputs":
        return Outputs(_members(self.calibration, indices), _members(self.test, indices))

    def beside(self, others: "Outputs") -> "Outputs":
        """Members of another run after these."""
        return Outputs(_joined(self.calibration, others.calibration), _joined(self.test, others.test))

    @property
    def names(self) -> tuple[str, ...]:
        return self.test.names


class Archive:
    """Reads what a run's members say, and has them say it where nobody asked before."""

    def __init__(self, size: Size, data_root: Path) -> None:
        self._size, self._data_root = size, data_root

    @cached_property
    def _strange(self) -> Mapping[str, Images]:
        return strange_images(self._data_root, self._size.ood_rows)

    def outputs(self, run: Path) -> Outputs:
        size = self._size
        folder = study_folder(size) / "outputs" / run.relative_to(study_folder(size))
        folder.mkdir(parents=True, exist_ok=True)

        def calibration() -> ScoresFile:
            return _said(
                run, "calibration", size.calibration_rows, {PATCHES: _images(run, "ood")[: size.ood_rows]}
            )

        def test() -> ScoresFile:
            return _said(run, "test", size.test_rows, self._strange)

        return Outputs(
            _kept(folder / f"calibration-{size.calibration_rows}-{size.ood_rows}.npz", run, calibration),
            _kept(folder / f"test-{size.test_rows}-{size.ood_rows}.npz", run, test),
        )


def _kept(path: Path, run: Path, make: Callable[[], ScoresFile]) -> ScoresFile:
    """What is kept in the file, made anew where it is of other weights than the run now has.

    Of a run trained on another machine the weights may have stayed there: what they said is taken then.
    """
    if path.exists():
        scores = read_scores(path)
        if _is_of(scores, run):
            return scores
        path.unlink()
    write_scores(path, make())
    return read_scores(path)


def _is_of(scores: ScoresFile, run: Path) -> bool:
    """Whether the run's members, as far as their weights are there, are those that said it."""
    paths = [folder / WEIGHTS for folder in _folders(run)]
    return len(paths) == len(scores.sha256) and all(
        not path.exists() or _hash(path) == said for path, said in zip(paths, scores.sha256, strict=True)
    )


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _folders(run: Path) -> list[Path]:
    return [member_folder(run, index) for index in range(len(read_manifest(run)["members"]))]


def _said(run: Path, split: str, num_rows: int, strange: Mapping[str, Images]) -> ScoresFile:
    folders = _folders(run)
    with np.load(run / "splits" / f"{split}.npz") as arrays:
        images, labels = arrays["image"][:num_rows], arrays["labels"][:num_rows]
    outside = np.concatenate(list(strange.values()))
    device = pick_device("auto")
    macs: list[float] = []
    inside_outputs: list[NDArray[np.float32]] = []
    outside_outputs: list[NDArray[np.float32]] = []
    for folder in folders:
        model, manifest = load_member(folder)
        model.to(device)
        macs.append(float(manifest["macs"]))
        for rows, outputs in ((images, inside_outputs), (outside, outside_outputs)):
            outputs.append(logits_of(model, torch.from_numpy(rows).to(device)).cpu().numpy())
    return ScoresFile(
        outputs=np.stack(inside_outputs),
        kind="logits",
        labels=labels,
        names=tuple(f"{run.name}-{index}" for index in range(len(folders))),
        macs=tuple(macs),
        sha256=tuple(_hash(folder / WEIGHTS) for folder in folders),
        ood_outputs=np.stack(outside_outputs),
        ood_families=tuple(name for name, rows in strange.items() for _ in rows),
    )


def _images(run: Path, split: str) -> Images:
    with np.load(run / "splits" / f"{split}.npz") as arrays:
        images: Images = arrays["image"]
    return images


def _members(scores: ScoresFile, indices: Sequence[int]) -> ScoresFile:
    places = list(indices)
    assert scores.ood_outputs is not None
    return replace(
        scores,
        outputs=scores.outputs[places],
        names=tuple(scores.names[place] for place in places),
        macs=tuple(scores.macs[place] for place in places),
        sha256=tuple(scores.sha256[place] for place in places),
        ood_outputs=scores.ood_outputs[places],
        is_checked=True,
    )


def _joined(first: ScoresFile, second: ScoresFile) -> ScoresFile:
    """Both were asked of the same rows."""
    assert np.array_equal(first.labels, second.labels)
    assert first.ood_outputs is not None and second.ood_outputs is not None
    return replace(
        first,
        outputs=np.concatenate([first.outputs, second.outputs]),
        names=(*first.names, *second.names),
        macs=(*first.macs, *second.macs),
        sha256=(*first.sha256, *second.sha256),
        ood_outputs=np.concatenate([first.ood_outputs, second.ood_outputs]),
        is_checked=True,
    )
