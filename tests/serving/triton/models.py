"""Members of several kinds of input, in this process and in a real Triton."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from cascade.cascade_file import Cascade, TensorSpec
from cascade.cascade_file import Member as MemberSpec
from cascade.policy import Policy
from serving.members import OnnxMember
from serving.triton.loading import Triton
from serving.triton.member import TritonMember
from tests.repositories import linear_member, noisy_digits
from tests.triton.models import WIDTH, WORDS, mixed, write_model

MAX_ROWS = 32
COLOURS = ("red", "grün", "", "a rather long word " * 20)
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Model:
    """A graph, what a cascade says of it, and rows that it takes."""

    graph: bytes
    cascade: Cascade
    make: Callable[[np.random.Generator, int], Arrays]

    @property
    def spec(self) -> MemberSpec:
        return self.cascade.members[0]

    def embedded(self) -> OnnxMember:
        session = onnxruntime.InferenceSession(self.graph, providers=["CPUExecutionProvider"])
        return OnnxMember(self.spec, len(self.cascade.classes), MAX_ROWS, session)


def image() -> Model:
    train, _, test = noisy_digits(0)
    return Model(
        graph=(graph := linear_member(train, 1)),
        cascade=cascade_of("image", graph, {"image": ("UINT8", (-1, 8, 8, 1))}, 10),
        make=lambda rng, rows: {"image": test.image[rng.permutation(len(test.image))[:rows]]},
    )


def ids_and_numbers() -> Model:
    """Two inputs, one of them of any length. The cascade calls them otherwise than the member."""
    tensors = {"ids": ("INT64", (-1, -1)), "numbers": ("FP32", (-1, WIDTH))}
    return Model(
        graph=(graph := mixed()),
        cascade=cascade_of("mixed", graph, tensors, 3),
        make=lambda rng, rows: {
            "ids": rng.integers(0, WORDS, (rows, 3)),
            "numbers": rng.normal(size=(rows, WIDTH)).astype(np.float32),
        },
    )


def colours() -> Model:
    """Texts; FP64 logits."""
    encode = helper.make_node(
        "LabelEncoder",
        ["colour"],
        ["numbers"],
        domain="ai.onnx.ml",
        keys_strings=list(COLOURS),
        values_floats=[0.5, -1.5, 2.25, 3.0],
    )
    nodes = [
        encode,
        helper.make_node("MatMul", ["numbers", "weights"], ["product"]),
        helper.make_node("Cast", ["product"], ["logits"], to=TensorProto.DOUBLE),
    ]
    weights = np.array([[1, 2, 3], [-5, 7, 11]], np.float32)
    described = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("colour", TensorProto.STRING, ["rows", 2])],
        [helper.make_tensor_value_info("logits", TensorProto.DOUBLE, ["rows", 3])],
        [numpy_helper.from_array(weights, "weights")],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    graph = helper.make_model(described, opset_imports=opsets, ir_version=9).SerializeToString()
    onnx.checker.check_model(graph)
    return Model(
        graph=graph,
        cascade=cascade_of("colours", graph, {"colour": ("BYTES", (-1, 2))}, 3),
        make=lambda rng, rows: {"colour": rng.choice(np.array(COLOURS, object), (rows, 2))},
    )


def cascade_of(
    name: str, graph: bytes, tensors: Mapping[str, tuple[str, tuple[int, ...]]], num_classes: int
) -> Cascade:
    """Of one member."""
    spec = MemberSpec(
        name=name,
        version=1,
        sha256=hashlib.sha256(graph).hexdigest(),
        macs=1.0,
        inputs={f"the_{tensor}": tensor for tensor in tensors},
    )
    return Cascade(
        name=f"{name}-cascade",
        version=1,
        inputs=tuple(
            TensorSpec(name=f"the_{tensor}", datatype=datatype, shape=shape)
            for tensor, (datatype, shape) in tensors.items()
        ),
        classes=tuple(map(str, range(num_classes))),
        members=(spec,),
        stages=((name,),),
        policies={"full": Policy(kind="full", num_stages=1)},
        default_policy="full",
    )


def models() -> dict[str, Model]:
    return {model.spec.name: model for model in (image(), ids_and_numbers(), colours())}


def write_models(repository: Path, made: Mapping[str, Model]) -> None:
    for name, model in made.items():
        write_model(repository, name, model.graph, max_batch_size=MAX_ROWS)


def load(source: Triton, model: Model) -> TritonMember:
    return source.load_member(Path("not", "looked", "at"), model.spec, model.cascade, MAX_ROWS)
