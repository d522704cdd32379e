"""What an export of a ResNet-50 takes: seconds and memory, of the command that a user types.

    python -m benchmarks.export_large

A ResNet-50 of timm at 224x224, random weights, 1,000 classes, as a run with 100 random calibration rows.
Exports it at each precision in a process of its own, checks and calibration included, then verifies the
repository. Prints a table and writes benchmarks/results/export_large.json. Takes about 5 minutes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "results" / "export_large.json"
SIZE, CLASSES, ROWS = 224, 1000, 100
PRECISIONS = ("fp32", "fp16", "int8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="resnet50", help="timm's name (default %(default)s)")
    parser.add_argument("--rows", type=int, default=ROWS, help="of calibration (default %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        write_run(run, options.model, options.rows)
        figures = {precision: measure(run, Path(folder) / precision, precision) for precision in PRECISIONS}
    for precision, figure in figures.items():
        print(
            f"{precision}: {figure['seconds']:.1f} s, {figure['peak_gib']:.2f} GiB at most, {figure['check']}"
        )
    result = {"model": options.model, "rows": options.rows, "cores": os.cpu_count(), "exports": figures}
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def write_run(folder: Path, name: str, rows: int) -> None:
    """In a process of its own, so that torch's memory here is not counted with the export's."""
    program = "import sys; from benchmarks.export_large import make_run; make_run(*sys.argv[1:])"
    subprocess.run([sys.executable, "-c", program, str(folder), name, str(rows)], cwd=ROOT, check=True)


def make_run(folder_name: str, name: str, rows: str) -> None:
    import torch
    from safetensors.torch import save_file

    from training.models import ModelSpec, build_model, count_macs

    folder = Path(folder_name)
    (folder / "member-0").mkdir(parents=True)
    (folder / "splits").mkdir()
    torch.manual_seed(0)
    colour: dict[str, Any] = {"channels": 3, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    spec = ModelSpec(name=name, height=SIZE, width=SIZE, num_classes=CLASSES, **colour)
    model = build_model(spec).eval()
    save_file(model.state_dict(), folder / "member-0" / "model.safetensors")
    member = {"format_version": 1, "model": spec.to_json(), "macs": count_macs(model, spec)}
    (folder / "member-0" / "member.json").write_text(json.dumps(member), encoding="utf-8")
    run = {
        "format_version": 1,
        "name": name,
        "dataset": {"name": "random"},
        "versions": {"torch": torch.__version__},
        "classes": [str(label) for label in range(CLASSES)],
        "input": {"name": "image", "datatype": "UINT8", "shape": [-1, SIZE, SIZE, 3]},
        "members": ["member-0"],
    }
    (folder / "run.json").write_text(json.dumps(run), encoding="utf-8")
    generator = np.random.default_rng(0)
    np.savez(
        folder / "splits" / "calibration.npz",
        allow_pickle=False,
        image=generator.integers(0, 256, (int(rows), SIZE, SIZE, 3), np.uint8),
        labels=generator.integers(0, CLASSES, int(rows)),
        groups=np.arange(int(rows)),
        format_version=np.int64(1),
    )


def measure(run: Path, repository: Path, precision: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "export", str(run), "--repository", str(repository), "--name", "large"]
    # Random weights tell no classes apart: what they predict changes with the last bits.
    command += ["--precision", precision, "--objective", "accuracy", "--max-changed", "1"]
    begin = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        # Of this child alone, which getrusage cannot tell.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - begin
    if process.returncode:
        raise SystemExit(f"the export at {precision} failed")
    verified = subprocess.run(
        [sys.executable, "-m", "export", "verify", str(repository)], cwd=ROOT, capture_output=True, check=True
    )
    check = next(line for line in output.splitlines() if "against the model" in line)
    return {
        "seconds": round(seconds, 1),
        "peak_gib": round(usage.ru_maxrss / 2**20, 2),
        "check": check.rpartition("against the model: ")[2],
        "verified": verified.returncode == 0,
    }


if __name__ == "__main__":
    main()
