"""An ensemble trained, exported, served and load-tested on CIFAR-10, by the commands that a user types.

    python -m benchmarks.cifar_cascade --data-root FOLDER

FOLDER holds cifar-10-batches-py/. Trains three members by the recipe `small-cpu`, exports them as a cascade
of three stages, serves it and sends it the test split under four policies. Prints a table and writes
benchmarks/results/cifar_cascade.json; what was trained stays in runs/cifar-cascade, and is gone on with or
taken as it is when the command runs again.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.server_process import measured_server

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "results" / "cifar_cascade.json"
RUN = Path("runs/cifar-cascade")
REPOSITORY = Path("runs/cifar-cascade-repository")
REPORT = Path("reports/cifar-cascade")
POLICIES = ("first", "threshold", "window", "full")
KEPT = ("accuracy", "coverage", "risk", "exits", "cost", "ood_accepted")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-root", required=True, type=Path, metavar="FOLDER")
    parser.add_argument("--model", default="resnet8x0.5", help="of all members (default %(default)s)")
    parser.add_argument("--selection", default="none", help="of all members (default %(default)s)")
    parser.add_argument("--budget", default="1.3x", help="of the policies (default %(default)s)")
    options = parser.parse_args()
    train(options.data_root, options.model, options.selection)
    command(
        f"export {RUN} --repository {REPOSITORY} --name cifar10"
        f" --objective coverage@risk=0.05 --budget {options.budget}"
    )
    with measured_server(ROOT / REPOSITORY) as server:
        command(
            f"loadtest http://{server.http} --model cifar10 --policies {','.join(POLICIES)}"
            f" --samples {RUN}/splits/test.npz --ood {RUN}/splits/ood.npz"
            f" --rate 100 --duration 8 --capacity-seconds 5 --out {REPORT} --overwrite"
        )
    summary = json.loads((ROOT / REPORT / "summary.json").read_text(encoding="utf-8"))
    write_result(options, summary)


def train(data_root: Path, model: str, selection: str) -> None:
    """Takes a whole run as it is, goes on with an unfinished one, or begins."""
    if (ROOT / RUN).exists():
        return
    if (ROOT / f"{RUN}.partial").exists():
        command(f"training --resume --out {RUN}")
    else:
        command(
            f"training --dataset cifar10 --data-root {data_root} --recipe small-cpu"
            f" --models {model},{model},{model} --selection {selection} --out {RUN}"
        )


def command(text: str) -> None:
    print(f"$ python -m {text}", flush=True)
    code = subprocess.run([sys.executable, "-m", *text.split()], cwd=ROOT, check=False).returncode
    if code != 0:
        sys.exit(f"`python -m {text.split()[0]}` ended with exit code {code}")


def write_result(options: argparse.Namespace, summary: dict[str, Any]) -> None:
    result = {
        "machine": summary["machine"],
        "budget": options.budget,
        "members": [member_facts(index) for index in range(3)],
        "rows": summary["rows"],
        "cases": [
            {
                "policy": case["contender"],
                **{key: case["quality"][key] for key in KEPT},
                "capacity": case["capacity"],
            }
            for case in summary["cases"]
        ],
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"{RESULT.relative_to(ROOT)}, {REPORT}/report.html")


def member_facts(index: int) -> dict[str, Any]:
    manifest = json.loads((ROOT / RUN / f"member-{index}" / "member.json").read_text(encoding="utf-8"))
    facts = {key: manifest[key] for key in ("macs", "parameters", "spent")}
    made = {"model": manifest["model"]["name"], "selection": manifest["training"]["selection"]["name"]}
    return {**made, **facts, **manifest["metrics"]}


if __name__ == "__main__":
    main()
