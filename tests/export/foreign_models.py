"""Classifiers that nobody here trained: a text classifier over rows of unequal length, and a tabular one.

Both are made so that what is right is known: a text's class is the kind of word that it holds most, a table
row's class is where its numbers lie. The weaker of two models sees less of that.
"""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from export.cli import main

NUM_TEXTS = 400
VOCABULARY = 60
TOPICS = ("sport", "science", "politics")
LENGTHS = (4, 7, 12)


def save(
    path: Path, nodes: list[onnx.NodeProto], inputs: list, outputs: list, weights: dict[str, object]
) -> Path:
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, path.stem, inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())
    return path


def node(operator: str, inputs: str, output: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(operator, inputs.split(), [output], **attributes)


def value(name: str, kind: int, *shape: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, list(shape))


def text_classifier(path: Path, strength: float, seed: int) -> Path:
    """Logits: the masked mean of word vectors, times a matrix. The weaker, the noisier its vectors."""
    generator = np.random.default_rng(seed)
    topic = np.arange(VOCABULARY) % len(TOPICS)
    vectors = strength * np.eye(len(TOPICS))[topic] + generator.normal(0, 1, (VOCABULARY, len(TOPICS)))
    nodes = [
        node("Gather", "vectors input_ids", "words"),
        node("Cast", "attention_mask", "mask", to=TensorProto.FLOAT),
        node("Unsqueeze", "mask last", "weights"),
        node("Mul", "words weights", "kept"),
        node("ReduceSum", "kept middle", "sum", keepdims=0),
        node("ReduceSum", "weights middle", "count", keepdims=0),
        node("Div", "sum count", "mean"),
        node("MatMul", "mean head", "logits"),
    ]
    ids = value("input_ids", TensorProto.INT64, "batch", "length")
    mask = value("attention_mask", TensorProto.INT64, "batch", "length")
    logits = value("logits", TensorProto.FLOAT, "batch", len(TOPICS))
    weights = {
        "vectors": vectors.astype(np.float32),
        "head": (4 * np.eye(len(TOPICS))).astype(np.float32),
        "last": np.array([2]),
        "middle": np.array([1]),
    }
    return save(path, nodes, [ids, mask], [logits], weights)


def texts(path: Path, seed: int = 0) -> Path:
    """Rows of three lengths, stored flat; a third of each text's words are of any topic."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, len(TOPICS), NUM_TEXTS)
    lengths = generator.choice(LENGTHS, NUM_TEXTS)
    rows = [words(label, length, generator) for label, length in zip(labels, lengths, strict=True)]
    shapes = lengths[:, None]
    np.savez(
        path,
        allow_pickle=False,
        **{"input_ids": np.concatenate(rows), "input_ids.shapes": shapes},
        **{"attention_mask": np.ones(lengths.sum(), np.int64), "attention_mask.shapes": shapes},
        labels=labels,
        classes=np.array(TOPICS),
    )
    return path


def words(label: int, length: int, generator: np.random.Generator) -> NDArray[np.int64]:
    of_topic = label + len(TOPICS) * generator.integers(0, VOCABULARY // len(TOPICS), length)
    any_topic = generator.integers(0, VOCABULARY, length)
    return np.where(generator.random(length) < 0.4, of_topic, any_topic)


def tabular_classifier(path: Path, sees_colour: bool) -> Path:
    """Probabilities from numbers, a colour and a flag, each of a type of its own; and a label beside them."""
    nodes = [
        node("Cast", "colour", "index", to=TensorProto.INT64),
        node("OneHot", "index depth values", "hot", axis=1),
        node("Reshape", "hot flat", "colours"),
        node("Cast", "is_member", "flag", to=TensorProto.FLOAT),
        node("Cast", "numbers", "floats", to=TensorProto.FLOAT),
        node("Concat", "floats colours flag", "features", axis=1),
        node("Gemm", "features matrix bias", "logits"),
        node("Softmax", "logits", "probabilities", axis=1),
        node("ArgMax", "logits", "label", axis=1, keepdims=0),
    ]
    matrix = np.zeros((6, 2), np.float32)
    matrix[0, 1], matrix[1, 0] = 2, 2
    if sees_colour:
        matrix[2:5, 1] = (-2, 0, 2)
        matrix[5, 1] = 1
    inputs = [
        value("numbers", TensorProto.DOUBLE, "batch", 2),
        value("colour", TensorProto.INT32, "batch", 1),
        value("is_member", TensorProto.BOOL, "batch", 1),
    ]
    outputs = [
        value("label", TensorProto.INT64, "batch"),
        value("probabilities", TensorProto.FLOAT, "batch", 2),
    ]
    weights = {
        "depth": np.array(3),
        "values": np.array([0, 1], np.float32),
        "flat": np.array([-1, 3]),
        "matrix": matrix,
        "bias": np.zeros(2, np.float32),
    }
    return save(path, nodes, inputs, outputs, weights)


def table(path: Path, num_rows: int = 600, seed: int = 0) -> Path:
    generator = np.random.default_rng(seed)
    numbers = generator.normal(0, 1, (num_rows, 2))
    colour = generator.integers(0, 3, (num_rows, 1)).astype(np.int32)
    is_member = generator.random((num_rows, 1)) < 0.5
    score = numbers[:, 0] - numbers[:, 1] + (colour[:, 0] - 1) + is_member[:, 0] / 2
    labels = (score + generator.normal(0, 0.7, num_rows) > 0).astype(np.int64)
    np.savez(path, allow_pickle=False, numbers=numbers, colour=colour, is_member=is_member, labels=labels)
    return path


def write_all(folder: Path) -> Path:
    """A weaker and a better model of each kind, and rows for them."""
    text_classifier(folder / "small.onnx", strength=1, seed=1)
    text_classifier(folder / "large.onnx", strength=4, seed=2)
    texts(folder / "texts.npz")
    tabular_classifier(folder / "half.onnx", sees_colour=False)
    tabular_classifier(folder / "whole.onnx", sees_colour=True)
    table(folder / "table.npz")
    return folder


def add(place: Path, name: str, models: str, samples: str, *options: str) -> int:
    files = [str(place / f"{model}.onnx") for model in models.split()]
    where = [
        "--repository",
        str(place / "models"),
        "--name",
        name,
        "--samples",
        str(place / f"{samples}.npz"),
    ]
    return main(["add", *files, *where, *options])
