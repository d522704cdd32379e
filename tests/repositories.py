"""Small real repositories: linear classifiers on scikit-learn's digits as ONNX members, with no torch.

Each member sees its own half of the training images through its own blind spots, so members differ and an
ensemble helps; noise makes rows differ in difficulty.
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits

from cascade.cascade_file import Cascade, Member, TensorSpec, write_cascade
from cascade.fitting.fit import FitSettings, fit
from cascade.policy import Policy
from cascade.scores import softmax
from cascade.scores_file import ScoresFile
from cascade.stages import Stages

PIXELS = 64
CLASSES = 10
MACS = (640.0, 1280.0, 1920.0, 2560.0)


@dataclass(frozen=True)
class Digits:
    """Noisy digits as on the wire, `(rows, 8, 8, 1)` uint8, with labels."""

    image: NDArray[np.uint8]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Repository:
    """A repository on disk, with rows that nothing was fitted on and the members' outputs on them."""

    path: Path
    cascade: Cascade
    test: Digits
    scores: ScoresFile

    @property
    def file(self) -> Path:
        return self.path / f"{self.cascade.name}.cascade.json"


def noisy_digits(seed: int, noise: float = 70.0) -> tuple[Digits, Digits, Digits]:
    """Disjoint thirds of the digits: to train on, to calibrate on, to test on."""
    data = load_digits()
    rng = np.random.default_rng(seed)
    clean = data.data.reshape(-1, 8, 8, 1) * (255 / 16)
    noisy = np.clip(clean + rng.normal(0, noise, clean.shape), 0, 255).round().astype(np.uint8)
    thirds = np.array_split(rng.permutation(len(noisy)), 3)
    train, calibration, test = (Digits(noisy[rows], data.target[rows].astype(np.int64)) for rows in thirds)
    return train, calibration, test


def linear_member(train: Digits, seed: int) -> bytes:
    """Nearest class mean as a linear model, on half of the rows and half of the pixels."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(train.labels))[: len(train.labels) // 2]
    flat = train.image[rows].reshape(-1, PIXELS).astype(np.float64)
    seen = rng.permutation(PIXELS) < PIXELS // 2
    means = np.stack([flat[train.labels[rows] == label].mean(axis=0) for label in range(CLASSES)]) * seen
    sharpness = 1 / 16000
    weights = (means.T * sharpness).astype(np.float32)
    bias = (-0.5 * np.square(means).sum(axis=1) * sharpness).astype(np.float32)
    return classifier(weights, bias)


def classifier(weights: NDArray[np.float32], bias: NDArray[np.float32]) -> bytes:
    """An ONNX file: raw pixels in, `pixels @ weights + bias` out."""
    constants = [
        numpy_helper.from_array(weights, "weights"),
        numpy_helper.from_array(bias, "bias"),
        numpy_helper.from_array(np.array([-1, PIXELS], np.int64), "flat"),
    ]
    nodes = [
        helper.make_node("Reshape", ["image", "flat"], ["pixels"]),
        helper.make_node("Cast", ["pixels"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["numbers", "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["rows", 8, 8, 1])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["rows", CLASSES])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    serialised: bytes = model.SerializeToString()
    return serialised


def outputs_of(model: bytes, rows: Digits) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    logits: NDArray[np.float32] = session.run(["logits"], {"image": rows.image})[0]
    return logits


def make_repository(
    path: Path,
    *,
    name: str = "digits",
    stages: tuple[tuple[int, ...], ...] = ((0,), (1,), (2,)),
    seed: int = 0,
) -> Repository:
    """Members, cascade file and policies of every kind. `stages` holds the members' numbers."""
    train, calibration, test = noisy_digits(seed)
    numbers = [number for stage in stages for number in stage]
    models = {f"{name}-{number}": linear_member(train, 100 + number) for number in numbers}
    named: Stages = tuple(tuple(f"{name}-{number}" for number in stage) for stage in stages)
    fitted_on = _scores(models, calibration)
    policies = _policies(fitted_on, named)
    cascade = Cascade(
        name=name,
        version=1,
        inputs=(TensorSpec(name="image", datatype="UINT8", shape=(-1, 8, 8, 1)),),
        classes=tuple(str(label) for label in range(CLASSES)),
        members=tuple(
            Member(name=member, version=1, sha256=_sha256(model), macs=macs, inputs={"image": "image"})
            for (member, model), macs in zip(models.items(), fitted_on.macs, strict=True)
        ),
        stages=named,
        policies=policies,
        default_policy="window",
    )
    for member, model in models.items():
        file = path / member / "1" / "model.onnx"
        file.parent.mkdir(parents=True)
        file.write_bytes(model)
    write_cascade(path / f"{name}.cascade.json", cascade)
    return Repository(path, cascade, test, _scores(models, test))


def _policies(scores: ScoresFile, stages: Stages) -> dict[str, Policy]:
    """Windows by the paper's rule: a choice among others would take seconds."""
    kinds = ("window", "threshold", "agreement", "first", "full")
    settings = FitSettings(method="paper", objective="coverage@risk=0.1", budget="2x")
    return {kind: fit(scores, stages, replace(settings, kind=kind)) for kind in kinds}


def _scores(models: dict[str, bytes], rows: Digits) -> ScoresFile:
    logits = np.stack([outputs_of(model, rows) for model in models.values()])
    return ScoresFile(
        outputs=logits,
        kind="logits",
        labels=rows.labels,
        names=tuple(models),
        macs=MACS[: len(models)],
        sha256=tuple(_sha256(model) for model in models.values()),
    )


def accuracy_of(scores: ScoresFile) -> list[float]:
    return [float((softmax(member).argmax(axis=1) == scores.labels).mean()) for member in scores.outputs]


def _sha256(model: bytes) -> str:
    return hashlib.sha256(model).hexdigest()
