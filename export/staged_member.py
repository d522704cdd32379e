"""One member: converted, written to the staging folder, and checked against its model."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import torch

from cascade.cascade_file import Member
from export.check import Differences, measure
from export.errors import ExportError, RunError
from export.graph import export_graph
from export.logits import Classifier, Images, Logits, of_file
from export.plan import Plan
from export.repository import CONFIG, MODEL
from export.triton_config import config_text
from training.models import load_member


@dataclass(frozen=True, kw_only=True)
class StagedMember:
    """`logits` (N, classes) are those of the file on the calibration rows.

    A member whose bytes are published already `is_new` no more, and keeps its version.
    """

    name: str
    version: int
    is_new: bool
    sha256: str
    macs: float
    differences: Differences
    logits: Logits

    @property
    def newest_before(self) -> int:
        """The newest version there was when this one got its number; 0 for none."""
        return self.version - 1 if self.is_new else self.version

    def to_cascade(self, input_name: str) -> Member:
        return Member(
            name=self.name,
            version=self.version,
            sha256=self.sha256,
            macs=self.macs,
            inputs={input_name: input_name},
        )


def stage_member(plan: Plan, index: int, folder: Path) -> StagedMember:
    """Write `NAME/config.pbtxt`, and the model where it is new; ExportError names the member."""
    name, source = plan.members[index], plan.run.members[index]
    with _naming(name):
        model = _load(source.folder)
        content = export_graph(model, plan.signature)
        digest = sha256(content).hexdigest()
        version, is_new = plan.repository.place(name, digest)
        _write_config(folder / name, plan)
        file = _write_model(folder / name / str(version) / MODEL, content) if is_new else None
        published = plan.repository.folder / name / str(version) / MODEL
        exported = of_file(file or published, plan.run.input.name)
        differences, outputs = measure(_of_model(model), exported, plan.run.calibration.images)
        differences.check_within(plan.settings.max_difference)
    return StagedMember(
        name=name,
        version=version,
        is_new=is_new,
        sha256=digest,
        macs=source.macs,
        differences=differences,
        logits=outputs,
    )


def _load(folder: Path) -> torch.nn.Module:
    try:
        model, _ = load_member(folder)
    # Whatever keeps training's own reader from reading a member, the run is to blame.
    except Exception as error:
        raise RunError(f"cannot be rebuilt: {' '.join(str(error).split())}") from error
    return model


def _of_model(model: torch.nn.Module) -> Classifier:
    def run(images: Images) -> Logits:
        with torch.inference_mode():
            logits: Logits = model(torch.from_numpy(images)).numpy()
        return logits

    return run


def _write_config(folder: Path, plan: Plan) -> None:
    folder.mkdir()
    text = config_text(folder.name, plan.signature, plan.settings.max_batch_size)
    (folder / CONFIG).write_text(text, encoding="utf-8")


def _write_model(path: Path, content: bytes) -> Path:
    path.parent.mkdir()
    path.write_bytes(content)
    return path


@contextmanager
def _naming(member: str) -> Iterator[None]:
    try:
        yield
    except ExportError as error:
        raise type(error)(f"{member}: {error}") from error
