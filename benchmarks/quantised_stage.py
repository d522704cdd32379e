"""What a quantised copy of a member gives as a cheaper first stage of its own cascade.

    python -m benchmarks.quantised_stage --run RUN

RUN is of three members (benchmarks.cifar_cascade leaves one in runs/cifar-cascade). Exports it with an int8
copy of the first member, tuned, so that seconds are known; fits the policy `window` for coverage at 5% risk
over stages with and without the copy, at the same budgets in seconds; judges on the test split, with the
outputs of the exported files. Then measures rows/s of larger networks (random weights) at each precision.
Prints tables and writes benchmarks/results/quantised_stage.json.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.repositories import network
from cascade.cascade_file import TensorSpec, read_cascade
from cascade.errors import FitError
from cascade.evaluate import evaluate
from cascade.fitting.fit import FitSettings, fit
from cascade.scores_file import ScoresFile, read_scores
from cascade.stages import Stages
from export.cli import main as export
from export.inference import classifier_of, open_session
from export.precision import convert
from export.rows import Rows, load_arrays, run_over
from export.signature import plain_signature
from export.tune import tune

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "results" / "quantised_stage.json"
NAME = "q"
OBJECTIVE = "coverage@risk=0.05"
BUDGETS = (1.0, 1.15, 1.3, 1.6, 2.0)
"""Multiples of the seconds of the first member at fp32."""

CASCADES: Mapping[str, Stages] = {
    "0 > 1 > 2": (("q-0",), ("q-1",), ("q-2",)),
    "0:int8 > 1 > 2": (("q-0-int8",), ("q-1",), ("q-2",)),
    "0:int8 > 0 > 1 > 2": (("q-0-int8",), ("q-0",), ("q-1",), ("q-2",)),
}
NETWORKS = (("resnet10t", 32), ("resnet18", 64), ("resnet50", 224))
PRECISIONS = ("fp32", "fp16", "int8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", required=True, type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = compare(options.run, Path(folder) / "models")
    result["networks"] = {f"{name} at {size}": rates(name, size) for name, size in NETWORKS}
    show(result)
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def compare(run: Path, repository: Path) -> dict[str, Any]:
    arguments = ["--repository", str(repository), "--name", NAME, "--stages", "0:int8;0;1;2", "--tune"]
    if export([str(run), *arguments]):
        raise SystemExit("the export failed")
    scores = read_scores(repository / f"{NAME}.scores.npz")
    test = outputs_on(run / "splits" / "test.npz", repository, scores)
    accuracy = (test.outputs.argmax(axis=2) == test.labels).mean(axis=1)
    stage = scores.seconds[scores.member("q-0")]
    return {
        "run": run.name,
        "members": {
            name: {
                "rows_per_s": round(1 / scores.seconds[place]),
                "accuracy": round(float(accuracy[place]), 4),
            }
            for place, name in enumerate(scores.names)
        },
        "cascades": {
            label: [judged(budget * stage, stage, stages, scores, test) for budget in BUDGETS]
            for label, stages in CASCADES.items()
        },
    }


def outputs_on(path: Path, repository: Path, scores: ScoresFile) -> ScoresFile:
    """What the published files say of the test split."""
    cascade, arrays = read_cascade(repository / f"{NAME}.cascade.json"), load_arrays(path)
    rows = Rows(inputs={"image": arrays["image"]}, labels=arrays["labels"], groups=arrays["groups"])
    signature = plain_signature(cascade.inputs, len(cascade.classes))
    outputs = [
        run_over(classifier_of(open_session(repository / cascade.member(name).file), signature), rows, 64)
        for name in scores.names
    ]
    return replace(scores, outputs=np.stack(outputs), labels=rows.labels, groups=rows.groups)


def judged(
    seconds: float, unit: float, stages: Stages, scores: ScoresFile, test: ScoresFile
) -> dict[str, Any] | None:
    """Figures on the test split; None where the first stage alone costs more than that."""
    settings = FitSettings(
        kind="window", objective=OBJECTIVE, budget=f"{seconds * 1e6:.3f}us", score="msp", seed=0
    )
    try:
        figures = evaluate(fit(scores, stages, settings), stages, test)
    except FitError:
        return None
    return {
        "coverage": round(figures["objective"]["value"], 4),
        "accuracy": round(figures["accuracy"], 4),
        "seconds": round(cost(figures["forwarded"], stages, scores) / unit, 3),
        "macs": round(figures["cost"], 3),
    }


def cost(forwarded: Sequence[float], stages: Stages, scores: ScoresFile) -> float:
    """Seconds per row: every row runs stage 1, and what is forwarded the next."""
    reach = (1.0, *forwarded)
    return sum(
        share * scores.seconds[scores.member(name)]
        for share, stage in zip(reach, stages, strict=False)
        for name in stage
    )


def rates(name: str, size: int) -> dict[str, int]:
    """Rows per second of a network with random weights, at the best setting and batch."""
    shape = (size, size, 3)
    content, _ = network(name, shape, seed=0)
    generator = np.random.default_rng(0)
    rows = Rows(
        inputs={"image": generator.integers(0, 256, (64, *shape), np.uint8)}, labels=np.zeros(64, np.int64)
    )
    spec = TensorSpec(name="image", datatype="UINT8", shape=(-1, *shape))
    signature = plain_signature((spec,), 10)
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for precision in PRECISIONS:
            file = Path(folder) / f"{precision}.onnx"
            file.write_bytes(convert(content, precision, rows, signature))
            tuning = tune({name: (file, signature)}, rows, 16)
            found[precision] = round(max(measurement.best for measurement in tuning.measurements))
    return found


def show(result: Mapping[str, Any]) -> None:
    for name, figures in result["members"].items():
        print(f"{name:10}  {figures['rows_per_s']:>8,} rows/s  {figures['accuracy']:.1%}")
    for label, cells in result["cascades"].items():
        told = ["-" if cell is None else f"{cell['coverage']:.1%} at {cell['seconds']:.2f}" for cell in cells]
        print(f"{label:20}  " + "   ".join(told))
    for label, found in result["networks"].items():
        print(f"{label:18}  " + "  ".join(f"{precision} {rate:,}" for precision, rate in found.items()))


if __name__ == "__main__":
    main()
