import subprocess
import sys
from pathlib import Path

import pytest

from export.errors import GraphError
from export.logits import of_file

ROOT = Path(__file__).parents[2]


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(GraphError, match="ONNX Runtime cannot load it"):
        of_file(tmp_path / "model.onnx", "image")


def test_logits_are_compared_without_torch() -> None:
    program = "import sys; import export.check, export.logits; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=60)
