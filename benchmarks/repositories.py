"""Repositories made for measuring: members that do nothing, and real networks with random weights."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from cascade.cascade_file import Cascade, Member, TensorSpec, write_cascade
from cascade.policy import Policy
from cascade.scores import msp, softmax

CLASSES = 10
NOOP_IMAGE = (64, 64, 3)  # 12,288 bytes
REAL_IMAGE = (32, 32, 3)


def noop_repository(path: Path) -> None:
    """Two members that hand back the first bytes of the image; policy `first`."""
    model = _noop_model()
    policies = {"first": Policy(kind="first", num_stages=2)}
    _write(path, "noop", NOOP_IMAGE, {"noop-0": model, "noop-1": model}, (1.0, 1.0), policies)


def _noop_model() -> bytes:
    constants = [
        numpy_helper.from_array(np.array([-1, int(np.prod(NOOP_IMAGE))], np.int64), "flat"),
        numpy_helper.from_array(np.array([0], np.int64), "start"),
        numpy_helper.from_array(np.array([CLASSES], np.int64), "end"),
        numpy_helper.from_array(np.array([1], np.int64), "axis"),
    ]
    nodes = [
        helper.make_node("Reshape", ["image", "flat"], ["bytes"]),
        helper.make_node("Slice", ["bytes", "start", "end", "axis"], ["head"]),
        helper.make_node("Cast", ["head"], ["logits"], to=TensorProto.FLOAT),
    ]
    graph = helper.make_graph(
        nodes,
        "noop",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["rows", *NOOP_IMAGE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["rows", CLASSES])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    serialised: bytes = model.SerializeToString()
    return serialised


def real_repository(
    path: Path, names: Sequence[str], images: NDArray[np.uint8], forwarded: float, *, is_spread: bool = False
) -> None:
    """Networks by timm's names as stages of one member each, for rows of the shape of `images`; the policy
    `window` is a threshold in disguise that forwards the share `forwarded` of `images` from every stage.

    Random weights give nearly one prediction for all images, which is as good as any where only time is
    measured; with `is_spread` the logits are brought to mean 0 and deviation 1 of each class.
    """
    height, width, channels = images.shape[1:]
    models, macs = {}, []
    for number, name in enumerate(names):
        content, member_macs = network(name, (height, width, channels), seed=number)
        models[f"real-{number}"] = _spread(content, images) if is_spread else content
        macs.append(member_macs)
    threshold = float(np.quantile(_msp(models["real-0"], images), forwarded))
    policies = {
        "window": Policy(kind="threshold", num_stages=len(names), thresholds=(threshold,) * (len(names) - 1)),
        "full": Policy(kind="full", num_stages=len(names)),
    }
    _write(path, "real", images.shape[1:], models, macs, policies)


def network(name: str, image: tuple[int, int, int], seed: int) -> tuple[bytes, float]:
    """An ONNX file of a network with random weights, and its multiply-adds a row."""
    import torch

    from export.graph import export_graph
    from export.signature import plain_signature
    from training.models import ModelSpec, build_model, count_macs

    torch.manual_seed(seed)
    height, width, channels = image
    spec = ModelSpec(
        name=name,
        height=height,
        width=width,
        channels=channels,
        num_classes=CLASSES,
        mean=(0.5,) * channels,
        std=(0.25,) * channels,
    )
    model = build_model(spec).eval()
    signature = plain_signature((_image_input(image),), CLASSES)
    return export_graph(model, signature), float(count_macs(model, spec))


def _spread(model: bytes, images: NDArray[np.uint8]) -> bytes:
    logits = _logits(model, images)
    parsed = onnx.load_from_string(model)
    graph = parsed.graph
    (last,) = (node for node in graph.node if "logits" in node.output)
    last.output[:] = ["raw_logits"]
    graph.node.append(helper.make_node("Sub", ["raw_logits", "logits_mean"], ["centred_logits"]))
    graph.node.append(helper.make_node("Div", ["centred_logits", "logits_deviation"], ["logits"]))
    for name, array in (("logits_mean", logits.mean(axis=0)), ("logits_deviation", logits.std(axis=0))):
        graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), name))
    onnx.checker.check_model(parsed)
    serialised: bytes = parsed.SerializeToString()
    return serialised


def _msp(model: bytes, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    return msp(softmax(_logits(model, images)))


def _logits(model: bytes, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    logits: NDArray[np.float32] = session.run(["logits"], {"image": images})[0]
    return logits


def _image_input(shape: tuple[int, ...]) -> TensorSpec:
    return TensorSpec(name="image", datatype="UINT8", shape=(-1, *shape))


def _write(
    path: Path,
    name: str,
    image: tuple[int, ...],
    models: Mapping[str, bytes],
    macs: Sequence[float],
    policies: Mapping[str, Policy],
) -> None:
    members = []
    for (member, content), member_macs in zip(models.items(), macs, strict=True):
        digest = hashlib.sha256(content).hexdigest()
        members.append(
            Member(name=member, version=1, sha256=digest, macs=member_macs, inputs={"image": "image"})
        )
        file = path / members[-1].file
        file.parent.mkdir(parents=True)
        file.write_bytes(content)
    cascade = Cascade(
        name=name,
        version=1,
        inputs=(_image_input(image),),
        classes=tuple(str(label) for label in range(CLASSES)),
        members=tuple(members),
        stages=tuple((member,) for member in models),
        policies=policies,
        default_policy=next(iter(policies)),
    )
    write_cascade(path / f"{name}.cascade.json", cascade)
