"""A cascade of several inputs, which its member knows by other names, and of rows that vary in length."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from onnx import TensorProto, helper, numpy_helper
from tritonclient.utils import InferenceServerException

from cascade.cascade_file import Cascade, Member, TensorSpec, write_cascade
from cascade.policy import Policy
from tests.servers import Server, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """logits = [sum of the tokens, offset]; rows of a batch have equal lengths, batches do not."""
    path = tmp_path_factory.mktemp("inputs")
    nodes = [
        helper.make_node("ReduceSum", ["ids", "axis"], ["total"], keepdims=1),
        helper.make_node("Cast", ["total"], ["number"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["number", "bias"], ["logits"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "sums",
        [
            helper.make_tensor_value_info("ids", TensorProto.INT64, ["rows", "length"]),
            helper.make_tensor_value_info("bias", TensorProto.FLOAT, ["rows", 1]),
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["rows", 2])],
        [numpy_helper.from_array(np.array([1]), "axis")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    write(path, model.SerializeToString())
    with serving(path) as running:
        yield running


def write(path: Path, content: bytes) -> None:
    file = path / "sums-0" / "1" / "model.onnx"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    names = {"tokens": "ids", "offset": "bias"}
    cascade = Cascade(
        name="sums",
        version=1,
        inputs=(
            TensorSpec(name="tokens", datatype="INT64", shape=(-1, -1)),
            TensorSpec(name="offset", datatype="FP32", shape=(-1, 1)),
        ),
        classes=("sum", "offset"),
        members=(Member(name="sums-0", version=1, sha256=digest, macs=1.0, inputs=names),),
        stages=(("sums-0",),),
        policies={"full": Policy(kind="full", num_stages=1, score="max_logit")},
        default_policy="full",
    )
    write_cascade(path / "sums.cascade.json", cascade)


def inputs(module, tokens: np.ndarray, offset: np.ndarray) -> list:
    first = module.InferInput("tokens", list(tokens.shape), "INT64").set_data_from_numpy(tokens)
    second = module.InferInput("offset", list(offset.shape), "FP32").set_data_from_numpy(offset)
    return [second, first]


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_rows_of_every_length_get_their_own_answer(protocol: str, server: Server) -> None:
    module = triton_http if protocol == "http" else triton_grpc

    def send(number: int) -> list[float]:
        tokens = np.arange(number % 7 + 1, dtype=np.int64)[None] * np.array([[1], [2]])
        offset = np.full((2, 1), 3.0, np.float32)
        with module.InferenceServerClient(getattr(server, protocol)) as client:
            return client.infer("sums", inputs(module, tokens, offset)).as_numpy("score").tolist()

    with ThreadPoolExecutor(8) as pool:
        for number, scores in enumerate(pool.map(send, range(64))):
            total = sum(range(number % 7 + 1))
            assert scores == [max(total, 3.0), max(2 * total, 3.0)]


@pytest.mark.parametrize(
    ("tokens", "offset", "message"),
    [
        (np.zeros((2, 3), np.int64), np.zeros((1, 1), np.float32), "different numbers of rows"),
        (np.zeros((2, 3), np.int64), np.zeros((2, 2), np.float32), r"'offset' has shape \[-1, 1\]"),
        (np.zeros((2, 3, 1), np.int64), np.zeros((2, 1), np.float32), r"'tokens' has shape \[-1, -1\]"),
    ],
)
def test_inputs_must_fit_each_other(
    tokens: np.ndarray, offset: np.ndarray, message: str, server: Server
) -> None:
    with (
        triton_http.InferenceServerClient(server.http) as client,
        pytest.raises(InferenceServerException, match=message),
    ):
        client.infer("sums", inputs(triton_http, tokens, offset))


def test_every_input_must_be_there(server: Server) -> None:
    only = inputs(triton_http, np.zeros((1, 1), np.int64), np.zeros((1, 1), np.float32))[1:]
    with (
        triton_http.InferenceServerClient(server.http) as client,
        pytest.raises(InferenceServerException, match="takes inputs offset, tokens; got tokens"),
    ):
        client.infer("sums", only)
