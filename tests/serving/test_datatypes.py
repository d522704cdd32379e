"""Every datatype from the wire to the model, and requests that a model cannot bear beside those it can."""

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import grpc
import numpy as np
import onnx
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from onnx import TensorProto, helper, numpy_helper
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc
from tritonclient.utils import InferenceServerException

from cascade.cascade_file import Cascade, Member, TensorSpec, write_cascade
from cascade.policy import Policy
from tests.servers import Server, serving
from tests.serving.malformed import PATHS
from tests.serving.raw_http import post

NUMBERS = (
    "BOOL",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "FP16",
    "FP32",
    "FP64",
)
ONNX = {
    **{name: getattr(TensorProto, name) for name in NUMBERS if "INT" in name or name == "BOOL"},
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
}
WORDS = ["ab", "é", ""]
TABLE = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]], np.float32)


def write(path: Path, name: str, nodes: list, datatype: str, onnx_type: int, constants: tuple = ()) -> None:
    graph = helper.make_graph(
        nodes,
        name,
        [
            helper.make_tensor_value_info(
                "x", onnx_type, ["rows", 2 if datatype in NUMBERS and name not in ("lookup", "shapes") else 1]
            )
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["rows", 2])],
        list(constants),
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    onnx.checker.check_model(model)
    content = model.SerializeToString()
    width = graph.input[0].type.tensor_type.shape.dim[1].dim_value
    member = f"{name}-0"
    file = path / member / "1" / "model.onnx"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    cascade = Cascade(
        name=name,
        version=1,
        inputs=(TensorSpec(name="x", datatype=datatype, shape=(-1, width)),),
        classes=("a", "b"),
        members=(
            Member(
                name=member,
                version=1,
                sha256=hashlib.sha256(content).hexdigest(),
                macs=1.0,
                inputs={"x": "x"},
            ),
        ),
        stages=((member,),),
        policies={"full": Policy(kind="full", num_stages=1, score="max_logit")},
        default_policy="full",
    )
    write_cascade(path / f"{name}.cascade.json", cascade)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    path = tmp_path_factory.mktemp("datatypes")
    for name in NUMBERS:
        cast = helper.make_node("Cast", ["x"], ["logits"], to=TensorProto.FLOAT)
        write(path, name.lower(), [cast], name, ONNX[name])
    encode = helper.make_node(
        "LabelEncoder",
        ["x"],
        ["number"],
        domain="ai.onnx.ml",
        keys_strings=WORDS,
        values_floats=[3.0, 5.0, 7.0],
        default_float=-1.0,
    )
    both = helper.make_node("Concat", ["number", "number"], ["logits"], axis=1)
    write(path, "bytes", [encode, both], "BYTES", TensorProto.STRING)
    nodes = [
        helper.make_node("Squeeze", ["x", "axis"], ["index"]),
        helper.make_node("Gather", ["table", "index"], ["logits"]),
    ]
    constants = (numpy_helper.from_array(TABLE, "table"), numpy_helper.from_array(np.array([1]), "axis"))
    write(path, "lookup", nodes, "INT64", TensorProto.INT64, constants)
    nodes = [
        helper.make_node("Cast", ["x"], ["number"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["number", "number"], ["pairs"], axis=1),
        helper.make_node("ReduceMax", ["x", "rows"], ["largest"]),
        helper.make_node("Squeeze", ["largest", "rows"], ["extent"]),
        helper.make_node("Concat", ["extent", "extent"], ["shape"], axis=0),
        helper.make_node("Reshape", ["pairs", "shape"], ["logits"]),
    ]
    constants = (numpy_helper.from_array(np.array([0]), "rows"),)
    write(path, "shapes", nodes, "INT64", TensorProto.INT64, constants)
    with serving(path, "--workers", "1") as running:
        yield running


def infer(
    module: ModuleType, server: Server, model: str, datatype: str, values: np.ndarray, **kwargs: bool
) -> float:
    """The score of the first row: its largest logit."""
    tensor = module.InferInput("x", list(values.shape), datatype).set_data_from_numpy(values, **kwargs)
    with module.InferenceServerClient(server.http if module is triton_http else server.grpc) as client:
        return float(client.infer(model, [tensor]).as_numpy("score")[0])


VARIANTS = [
    pytest.param(triton_http, {}, id="http-binary"),
    pytest.param(triton_http, {"binary_data": False}, id="http-json"),
    pytest.param(triton_grpc, {}, id="grpc"),
]


@pytest.mark.parametrize(("module", "kwargs"), VARIANTS)
@pytest.mark.parametrize("datatype", NUMBERS)
def test_numbers_arrive_with_their_values(
    module: ModuleType, kwargs: dict[str, bool], datatype: str, server: Server
) -> None:
    if datatype == "FP16" and kwargs:
        pytest.skip("tritonclient sends FP16 as binary alone")
    dtype = np.dtype({"BOOL": "?"}.get(datatype, datatype.lower().replace("fp", "float")))
    largest = (
        1
        if datatype == "BOOL"
        else np.array(min(np.iinfo(dtype).max, 1 << 20) if dtype.kind in "iu" else 1.5)
    )
    values = np.array([[0, largest]], dtype)
    assert infer(module, server, datatype.lower(), datatype, values, **kwargs) == float(largest)


@pytest.mark.parametrize(("module", "kwargs"), VARIANTS)
@pytest.mark.parametrize(("word", "number"), [("ab", 3.0), ("é", 5.0), ("", 7.0), ("other", -1.0)])
def test_strings_arrive_as_text(
    module: ModuleType, kwargs: dict[str, bool], word: str, number: float, server: Server
) -> None:
    values = np.array([[word.encode()]], np.object_)
    assert infer(module, server, "bytes", "BYTES", values, **kwargs) == number


@pytest.mark.parametrize("module", [triton_http, triton_grpc], ids=["http", "grpc"])
def test_numbers_that_are_not_finite_are_refused(module: ModuleType, server: Server) -> None:
    with pytest.raises(InferenceServerException, match="'x' holds values that are not finite"):
        infer(module, server, "fp32", "FP32", np.array([[1.0, np.nan]], np.float32))


def test_what_a_library_says_of_itself_is_told_to_no_client(server: Server) -> None:
    """ONNX Runtime names its own source files where a Reshape does not fit."""
    for module in (triton_http, triton_grpc):
        assert infer(module, server, "shapes", "INT64", np.array([[0]])) == 0.0
        with pytest.raises(InferenceServerException) as caught:
            infer(module, server, "shapes", "INT64", np.array([[3]]))
        assert "'shapes-0'" in str(caught.value)
        assert not any(path in str(caught.value) for path in PATHS)


LYING = [b"\xff\xff\xff\xffa", b"\x01\0\0\0ab", b"\x01\0", b""]


@pytest.mark.parametrize("data", LYING, ids=["too large", "too small", "half a length", "none"])
def test_lengths_of_strings_that_lie(data: bytes, server: Server) -> None:
    tensor = {"name": "x", "datatype": "BYTES", "shape": [1, 1]}
    head = json.dumps({"inputs": [tensor | {"parameters": {"binary_data_size": len(data)}}]}).encode()
    path, length = "/v2/models/bytes/infer", str(len(head))
    status, answer = post(server, head + data, path, Inference_Header_Content_Length=length)
    assert (status, answer) == (
        400,
        {"error": f"input 'x': {len(data)} bytes do not hold 1 length-prefixed strings"},
    )
    message = pb.ModelInferRequest(model_name="bytes", raw_input_contents=[data])
    message.inputs.add(**tensor)
    with grpc.insecure_channel(server.grpc) as channel, pytest.raises(grpc.RpcError) as caught:
        service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(message, timeout=10)
    assert caught.value.details() == answer["error"]


def test_rows_that_a_member_cannot_bear_harm_no_neighbour(server: Server) -> None:
    """Index 9 is not in the member's table, so a batch with such a row raises."""

    def send(number: int) -> bool:
        index = 9 if number % 4 == 0 else number % 3
        try:
            score = infer(triton_http, server, "lookup", "INT64", np.array([[index]]))
        except InferenceServerException as error:
            assert index == 9, error
            assert error.status() == "400"
            return False
        assert score == TABLE[index].max()
        return True

    with ThreadPoolExecutor(16) as pool:
        answered = list(pool.map(send, range(200)))
    assert answered.count(False) == 50
