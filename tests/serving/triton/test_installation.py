"""Whether the bundled Triton can serve what is there is known before it is started."""

from pathlib import Path

import pytest

from serving.errors import StartupError
from serving.triton.config import BundledConfig
from serving.triton.installation import unknown_backends
from serving.triton.supervised import Supervised


def configured(repository: Path, **models: str) -> Path:
    for name, line in models.items():
        (repository / name).mkdir()
        (repository / name / "config.pbtxt").write_text(f'name: "{name}"\n{line}\nmax_batch_size: 8\n')
    return repository


def test_its_own_backend_is_fine(tmp_path: Path) -> None:
    configured(tmp_path, a='backend: "python"', b="# backend: none is named")
    assert unknown_backends(tmp_path) is None


def test_models_for_others_are_named(tmp_path: Path, installed: None) -> None:
    configured(tmp_path, b='backend: "onnxruntime"', a='platform: "tensorrt_plan"', c='backend: "python"')
    with pytest.raises(
        StartupError, match=r"exported for another: a, b; export them with --triton-backend py"
    ):
        Supervised(BundledConfig(repository=tmp_path)).start()
