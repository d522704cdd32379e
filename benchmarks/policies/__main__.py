"""`python -m benchmarks.policies gains | certified | unequal | speed`: what fitted policies keep and gain."""

import argparse
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from benchmarks.policies import certified, gains, speed, unequal
from benchmarks.policies.population import Population, populations

RESULTS = Path(__file__).resolve().parent.parent / "results"
WORKERS = 2


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    result = options.command(options)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"policies_{options.name}.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"written: {path.relative_to(Path.cwd())}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.policies", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="WHAT")
    for name, command, text in (
        ("gains", _gains, "ours against the paper's rule at equal cost"),
        ("certified", _certified, "how often a certified risk is exceeded, and what it costs"),
        ("unequal", _unequal, "members of very unequal strength and price"),
        ("speed", _speed, "fitting and replaying 50,000 rows x 1,000 classes x 3 members"),
    ):
        sub = commands.add_parser(name, help=text)
        sub.set_defaults(command=command, name=name)
        if name in ("gains", "certified"):
            sub.add_argument("--scores", type=Path, required=True, help="a scores file of two members")
        if name != "speed":
            sub.add_argument("--draws", type=int, default=40)
        if name == "gains":
            sub.add_argument("--more", type=Path, help="another scores file, its members in its order")
            sub.add_argument("--more-draws", type=int, default=12)
        if name == "certified":
            text = "draws of 1,000 rows for the default way alone; default: %(default)s"
            sub.add_argument("--many", type=int, default=2000, help=text)
    return parser


Records = list[dict[str, Any]]


def _over_draws(work: Callable[..., Records], jobs: Sequence[tuple[Any, ...]]) -> Records:
    with ProcessPoolExecutor(WORKERS) as pool:
        futures = [pool.submit(work, *job) for job in jobs]
        return [record for future in futures for record in future.result()]


def _populations(options: argparse.Namespace) -> list[Population]:
    return populations(options.scores, options.scores.stem, both_orders=True)


def _more(options: argparse.Namespace) -> list[Population]:
    return populations(options.more, options.more.stem, both_orders=False) if options.more else []


def _gains(options: argparse.Namespace) -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = []
    two, more = _populations(options), _more(options)
    for population, draws in [
        *((each, options.draws) for each in two),
        *((each, options.more_draws) for each in more),
    ]:
        jobs = [(population, population.scores.num_rows, seed) for seed in range(draws)]
        new = gains.summary(population, _over_draws(gains.draw, jobs))
        print("\n".join(json.dumps(cell) for cell in new), flush=True)
        cells += new
    return [*cells, gains.pooled(cells)]


def _certified(options: argparse.Namespace) -> list[dict[str, Any]]:
    cells = []
    for population in _populations(options):
        for num_rows in certified.SIZES:
            jobs = [(population, num_rows, seed) for seed in range(options.draws)]
            cells += certified.summary(population, num_rows, _over_draws(certified.draw, jobs))
            print("\n".join(json.dumps(cell) for cell in cells[-len(certified.WAYS) :]), flush=True)
    first, rows = _populations(options)[0], certified.SIZES[0]
    many: Sequence[tuple[Any, ...]] = [
        (first, rows, seed, (certified.DEFAULT,)) for seed in range(1000, 1000 + options.many)
    ]
    cells += certified.summary(first, rows, _over_draws(certified.draw, many))
    print(json.dumps(cells[-1]), flush=True)
    return cells


def _unequal(options: argparse.Namespace) -> list[dict[str, Any]]:
    cells = []
    for case in unequal.CASES:
        records = _over_draws(unequal.draw, [(case, seed) for seed in range(options.draws)])
        cells += unequal.summary(case, records)
        print(
            "\n".join(json.dumps(cell) for cell in cells[-len(unequal.BUDGETS) * len(unequal.OBJECTIVES) :]),
            flush=True,
        )
    return cells


def _speed(options: argparse.Namespace) -> dict[str, Any]:
    result = speed.measure()
    print(json.dumps(result))
    return result


if __name__ == "__main__":
    main()
