"""What each run's members say of the calibration rows, the test rows and those out of distribution.

Kept beside the run's name in runs/study/SIZE/outputs, as two scores files: `calibration`, whose rows out of
distribution are patches of photographs (what policies may be fitted on), and `test`, whose are the families
of `strange` (what they are judged on, and have never seen).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from benchmarks.study.members import study_folder
from benchmarks.study.sizes import Size
from benchmarks.study.strange import Images, strange_images
from cascade.scores_file import ScoresFile, read_scores, write_scores
from training.evaluation import logits_of
from training.models import load_member
from training.runs import read_manifest

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
        folder = study_folder(self._size) / "outputs" / run.relative_to(study_folder(self._size))
        folder.mkdir(parents=True, exist_ok=True)
        paths = {part: folder / f"{part}.npz" for part in ("calibration", "test")}
        if not paths["calibration"].exists():
            patches = {PATCHES: _images(run, "ood")[: self._size.ood_rows]}
            write_scores(paths["calibration"], _said(run, "calibration", None, patches))
        if not paths["test"].exists():
            write_scores(paths["test"], _said(run, "test", self._size.test_rows, self._strange))
        return Outputs(read_scores(paths["calibration"]), read_scores(paths["test"]))


def _said(run: Path, split: str, num_rows: int | None, strange: Mapping[str, Images]) -> ScoresFile:
    names = [f"{run.name}-{index}" for index in range(len(read_manifest(run)["members"]))]
    folders = [run / f"member-{index}" for index in range(len(names))]
    with np.load(run / "splits" / f"{split}.npz") as arrays:
        images, labels = arrays["image"][:num_rows], arrays["labels"][:num_rows]
    outside = np.concatenate(list(strange.values()))
    inside_outputs, outside_outputs, macs = [], [], []
    for folder in folders:
        model, manifest = load_member(folder)
        macs.append(float(manifest["macs"]))
        inside_outputs.append(logits_of(model, torch.from_numpy(images)).numpy())
        outside_outputs.append(logits_of(model, torch.from_numpy(outside)).numpy())
    return ScoresFile(
        outputs=np.stack(inside_outputs),
        kind="logits",
        labels=labels,
        names=tuple(names),
        macs=tuple(macs),
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
        ood_outputs=np.concatenate([first.ood_outputs, second.ood_outputs]),
        is_checked=True,
    )
