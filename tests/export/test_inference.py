import subprocess
import sys
from pathlib import Path

import pytest

from export.errors import GraphError
from export.inference import open_session

ROOT = Path(__file__).parents[2]


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(GraphError, match="ONNX Runtime cannot load it"):
        open_session(tmp_path / "model.onnx")


def test_outputs_are_compared_without_torch() -> None:
    program = "import sys; import export.check, export.inference; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=60)
