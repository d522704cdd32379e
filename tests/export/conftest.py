"""A run made by hand, so that nothing here waits for a training."""

import json
import shutil
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save, save_file
from sklearn.datasets import load_digits
from torch import nn

from export import torch_member
from export.cli import main
from export.graph import export_graph
from export.signature import MemberSignature
from training.models import ModelSpec, build_model, count_macs, load_member

CLASSES = tuple("0123456789")
NUM_ROWS = 240
SEEDS = (1, 2)

SPEC = ModelSpec(name="resnet8", height=8, width=8, channels=1, num_classes=10, mean=(0.305,), std=(0.376,))

# Random weights know nothing, so what is asked of the policies is left easy.
OPTIONS = ("--name", "digits", "--objective", "risk@coverage=0.8")


@pytest.fixture(scope="session", autouse=True)
def one_torch_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def graphs_made_once() -> Iterator[None]:
    """The same weights give the same bytes (test_graph shows it), and making them takes seconds."""
    made: dict[tuple[str, object], bytes] = {}

    def once(model: nn.Module, signature: MemberSignature) -> bytes:
        key = (weights_digest(model), repr((type(model), signature)))
        if key not in made:
            made[key] = export_graph(model, signature)
        return made[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch_member, "export_graph", once)
        yield


def weights_digest(model: nn.Module) -> str:
    return sha256(save(dict(model.state_dict()))).hexdigest()


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two members of random weights, on real digits. Copy it before changing it."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    (folder / "splits").mkdir(parents=True)
    write_splits(folder)
    for index, seed in enumerate(SEEDS):
        write_member(folder / f"member-{index}", seed)
    write_json(folder / "run.json", run_document())
    return folder


@pytest.fixture
def own_run(run_folder: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(run_folder, tmp_path / "runs" / "tiny"))


@pytest.fixture(scope="session")
def published(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run exported once. Copy it before changing it."""
    repository = tmp_path_factory.mktemp("published") / "models"
    assert main([str(run_folder), "--repository", str(repository), *OPTIONS]) == 0
    return repository


@pytest.fixture
def repository(published: Path, tmp_path: Path) -> Path:
    """A copy to export into again."""
    return Path(shutil.copytree(published, tmp_path / "place" / "models"))


@pytest.fixture
def run_export(repository: Path) -> Callable[..., int]:
    """The command, into `repository`."""

    def command(run: Path, *options: str) -> int:
        return main([str(run), "--repository", str(repository), *OPTIONS, *options])

    return command


def run_document() -> dict[str, object]:
    return {
        "format_version": 1,
        "name": "tiny",
        "dataset": {"name": "digits", "copies": 1, "data_root": "/home/someone/data"},
        "classes": list(CLASSES),
        "input": {"name": "image", "datatype": "UINT8", "shape": [-1, 8, 8, 1]},
        "members": [f"member-{index}" for index in range(len(SEEDS))],
        "versions": {"torch": "0.0.test"},
        "command": "python -m training",
    }


def write_member(folder: Path, seed: int) -> None:
    """Weights are drawn, and normalisation layers get statistics, so that nothing is at its neutral value."""
    torch.manual_seed(seed)
    model = build_model(SPEC)
    for name, tensor in model.state_dict().items():
        if name.endswith(("running_mean", "bias")):
            tensor.normal_(std=0.2)
        elif name.endswith(("running_var", "bn1.weight", "bn2.weight")):
            tensor.uniform_(0.5, 1.5)
    folder.mkdir(exist_ok=True)
    save_file(model.state_dict(), folder / "model.safetensors")
    document = {
        "format_version": 1,
        "name": folder.name,
        "model": SPEC.to_json(),
        "training": {"seed": seed},
        "metrics": {},
        "macs": count_macs(model, SPEC),
        "parameters": 1,
    }
    write_json(folder / "member.json", document)


def write_splits(folder: Path) -> None:
    """Real digits, two rows a group."""
    digits = load_digits()
    images = np.round(digits.images[:NUM_ROWS, :, :, None] * (255 / 16)).astype(np.uint8)
    np.savez(
        folder / "splits" / "calibration.npz",
        allow_pickle=False,
        image=images,
        labels=digits.target[:NUM_ROWS].astype(np.int64),
        groups=np.arange(NUM_ROWS, dtype=np.int64) // 2,
        format_version=np.int64(1),
    )


def write_json(path: Path, document: object) -> None:
    path.write_text(json.dumps(document), encoding="utf-8")


def change_json(path: Path, **changes: object) -> None:
    write_json(path, json.loads(path.read_text(encoding="utf-8")) | changes)


def calibration_images(run: Path) -> NDArray[np.uint8]:
    with np.load(run / "splits" / "calibration.npz") as split:
        images: NDArray[np.uint8] = split["image"]
    return images


def torch_logits(member: Path, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    model, _ = load_member(member)
    with torch.inference_mode():
        logits: NDArray[np.float32] = model(torch.from_numpy(images)).numpy()
    return logits


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every path below but the exports' lock, which stays for the next, with the bytes of the files."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if path.name != ".models.lock"
    }


def error_line(stderr: str) -> str:
    """The one line that an error is, without its prefix."""
    assert stderr.startswith("error: ") and stderr.count("\n") == 1, stderr
    return stderr.removeprefix("error: ").rstrip("\n")
