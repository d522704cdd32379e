"""What early exits cost and save on CIFAR-10: policies, difficulty, brown-out, search and plan, in one study.

    python -m benchmarks.exits_study --data-root FOLDER

FOLDER holds cifar-10-batches-py/. Trains a small first member and a larger second one by the recipe
`small-cpu` (hours on 2 busy cores; what is in runs/cifar10-study is gone on with or taken as it is), exports
them as a cascade of two stages with gears, serves it on one core and loads it from another, by the commands
that a user types. Reports go to reports/cifar10-study, and what is kept of them to
benchmarks/results/exits_study/. 15 minutes with --seconds 3, once the members are trained.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.server_process import MeasuredServer, measured_server

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "benchmarks" / "results" / "exits_study"
RUN = Path("runs/cifar10-study")
REPOSITORY = Path("runs/cifar10-study-repository")
REPORTS = Path("reports/cifar10-study")
KEPT_FILES = ("report.html", "summary.json", "summary.csv")
# The dearest first: what the server shifts through under load.
GEARS = ("full", "window", "first")
OBJECTIVE_MS = 100


@dataclass(frozen=True)
class Part:
    """One command of the load test, its report in a folder of the same name."""

    name: str
    command: str
    is_kept: bool = True


def parts(seconds: float, capacity: float) -> list[Part]:
    """`capacity` is what `full` serves, in rows a second: rates are multiples of it."""

    def rates(*shares: float) -> str:
        return ",".join(f"{share * capacity:.0f}" for share in shares)

    calm = f"{0.5 * capacity:.0f}"
    return [
        Part(
            "policies",
            f"--policies first,threshold,window,full --ood {RUN}/splits/ood.npz --rate {calm} --duration "
            f"{12 * seconds:g} --block-seconds {seconds:g} --objective {OBJECTIVE_MS}",
        ),
        Part(
            "hard-bursts",
            f"--policies window,full --rate {calm} --duration {6 * seconds:g} --block-seconds "
            f"{6 * seconds:g} --hard-bursts {seconds:g}/{3 * seconds:g} --objective {OBJECTIVE_MS} "
            "--capacity-seconds 0",
        ),
        Part(
            "difficulty",
            f"sweep --policies window,full --rates {rates(0.4, 0.7, 1.0, 1.4)} --hard-shares 0,0.25,0.5,1 "
            f"--objective p99<{OBJECTIVE_MS}ms --probe-seconds {seconds:g}",
        ),
        Part(
            "brown-out",
            f"sweep --policies @server,window,full --rates {rates(0.5, 0.8, 1.0, 1.3, 1.7, 2.2, 3.0)} "
            f"--deadline {OBJECTIVE_MS} --objective p99<{OBJECTIVE_MS}ms --probe-seconds {seconds:g}",
        ),
        Part(
            "search",
            f"search --policies first,window,full --objective p99<{OBJECTIVE_MS}ms --goodput 0.98 "
            f"--start-rate {calm} --probe-seconds {seconds:g}",
        ),
        Part(
            "plan",
            f"plan --policies window --rate {10 * capacity:.0f} --objective p99<{OBJECTIVE_MS}ms --workers 1 "
            f"--check {rates(0.3, 0.6, 1.0)} --check-seconds {4 * seconds:g} --learning-seconds 3",
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data-root", type=Path, metavar="FOLDER", help="needed while members are not trained"
    )
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="of a block or probe (default %(default)g)"
    )
    parser.add_argument("--only", metavar="A,B,...", help="parts of the study (default: all)")
    options = parser.parse_args()
    train(options.data_root)
    publish()
    chosen = options.only.split(",") if options.only else None
    server_core, generator_core = cores()
    os.sched_setaffinity(0, {server_core})
    with measured_server(ROOT / REPOSITORY, "--workers", "1") as server:
        os.sched_setaffinity(0, {generator_core})
        for part in parts(options.seconds, full_capacity(server)):
            if chosen is None or part.name in chosen:
                run_part(part, server)


def cores() -> tuple[int, int]:
    """One for the server and one for the generator, so that neither slows the other."""
    available = sorted(os.sched_getaffinity(0))
    if len(available) < 2:
        sys.exit("the study needs two cores")
    return available[0], available[1]


def train(data_root: Path | None) -> None:
    if (ROOT / RUN).exists():
        return
    if (ROOT / f"{RUN}.partial").exists():
        command(["training", "--resume", "--out", str(RUN)])
    elif data_root is None:
        sys.exit("members are not trained yet: --data-root FOLDER")
    else:
        command(
            f"training --dataset cifar10 --data-root {data_root} --recipe small-cpu --models resnet8,resnet20"
            f" --members 2 --epochs 10 --out {RUN}".split()
        )


def publish() -> None:
    command(
        f"export {RUN} --repository {REPOSITORY} --name cifar10 --objective coverage@risk=0.05"
        " --budget 0.5full --default-policy full".split()
    )
    command(["cascade", "gears", str(REPOSITORY / "cifar10.cascade.json"), *GEARS])


def full_capacity(server: MeasuredServer) -> float:
    """Rows a second of `full`, one a request, in a closed loop: what the rates of all parts go by."""
    run_part(
        Part(
            "capacity",
            "--policies full --rate 5 --duration 2 --capacity-seconds 6 --capacity-rows 1",
            is_kept=False,
        ),
        server,
    )
    summary = json.loads((ROOT / REPORTS / "capacity" / "summary.json").read_text(encoding="utf-8"))
    rows_per_s: float = summary["cases"][0]["capacity"]["rows_per_s"]
    return rows_per_s


def run_part(part: Part, server: MeasuredServer) -> None:
    word, _, rest = part.command.partition(" ")
    verb = [] if word.startswith("--") else [word]
    arguments = rest.split() if verb else part.command.split()
    out = REPORTS / part.name
    command(
        [
            *("loadtest", *verb, f"http://{server.http}", "--model", "cifar10"),
            *("--samples", str(RUN / "splits" / "test.npz"), *arguments),
            *("--out", str(out), "--overwrite"),
        ]
    )
    if part.is_kept:
        keep(part)


def keep(part: Part) -> None:
    out, kept = REPORTS / part.name, KEPT / part.name
    kept.mkdir(parents=True, exist_ok=True)
    for name in KEPT_FILES:
        shutil.copyfile(ROOT / out / name, kept / name)


def command(arguments: Sequence[str]) -> None:
    print(f"$ python -m {' '.join(arguments)}", flush=True)
    code = subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT, check=False).returncode
    if code != 0:
        sys.exit(f"`python -m {arguments[0]}` ended with exit code {code}")


if __name__ == "__main__":
    main()
