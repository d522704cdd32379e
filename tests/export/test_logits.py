from pathlib import Path

import pytest

from export.errors import GraphError
from export.logits import of_file


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(GraphError, match="ONNX Runtime cannot load it"):
        of_file(tmp_path / "model.onnx", "image")
