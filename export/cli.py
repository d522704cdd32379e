"""The command line: arguments and the run are settled before torch is imported, errors are one line."""

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import NoReturn

from cascade.errors import CascadeError
from cascade.scores import SCORES
from export.errors import ExportError, SettingsError
from export.plan import Plan, make_plan
from export.policies import KINDS
from export.repository import Repository
from export.settings import ExportSettings

BAD_INPUT = 2
INTERRUPTED = 130


class Parser(argparse.ArgumentParser):
    """Raises instead of printing its usage and leaving."""

    def error(self, message: str) -> NoReturn:
        raise SettingsError(message)


def main(arguments: Sequence[str] | None = None) -> int:
    try:
        _export(_parse(arguments))
    except ExportError as error:
        return _fail(error, error.exit_status)
    except (CascadeError, OSError) as error:
        return _fail(error, BAD_INPUT)
    except ModuleNotFoundError as error:
        return _fail(f"{error.name} is not installed: pip install '.[export]'", BAD_INPUT)
    except KeyboardInterrupt:
        return _fail("interrupted, nothing was published", INTERRUPTED)
    return 0


def _fail(error: object, status: int) -> int:
    print(f"error: {error}", file=sys.stderr)
    return status


def _parse(arguments: Sequence[str] | None) -> Plan:
    options = _make_parser().parse_args(arguments)
    settings = {field.name: getattr(options, field.name) for field in fields(ExportSettings)}
    return make_plan(options.run, Repository(options.repository), ExportSettings(**settings))


def _export(plan: Plan) -> None:
    # Before torch is imported: its idle threads are to sleep, since ONNX Runtime's run in between.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    print(f"{plan.run.name}: {len(plan.members)} members to export, loading torch")
    from export.pipeline import export_run
    from export.report import report

    export = export_run(plan, print)
    for line in report(plan, export):
        print(line)


def _make_parser() -> Parser:
    parser = Parser(
        prog="python -m export",
        description="Convert the members of a run, check them, fit policies, and publish them as a cascade.",
        allow_abbrev=False,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="folder that training wrote")
    parser.add_argument("--repository", type=Path, required=True, metavar="FOLDER", help="made when missing")
    parser.add_argument("--name", required=True, help="of the cascade; members are NAME-0, NAME-1, ...")
    parser.add_argument(
        "--stages", metavar="S", help="members of each stage, as in '0;1,2' (default: '0;1;2')"
    )
    _add_policy_options(parser.add_argument_group("policies"))
    _add_model_options(parser.add_argument_group("models"))
    return parser


def _add_policy_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--objective",
        default=ExportSettings.objective,
        help="coverage@risk=R, risk@coverage=C or accuracy (default %(default)s)",
    )
    group.add_argument(
        "--budget",
        default=ExportSettings.budget,
        help="1.2x (of stage 1), 0.6full or 3e6macs a row (default %(default)s)",
    )
    group.add_argument(
        "--score", default=ExportSettings.score, metavar="NAME", help=_choices(SCORES, "%(default)s")
    )
    group.add_argument(
        "--default-policy",
        default=ExportSettings.default_policy,
        metavar="NAME",
        help=_choices(KINDS, "%(default)s"),
    )
    group.add_argument(
        "--seed",
        type=int,
        default=ExportSettings.seed,
        help="divides the calibration rows (default %(default)s)",
    )


def _add_model_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--max-batch-size",
        type=int,
        default=ExportSettings.max_batch_size,
        metavar="N",
        help="rows that Triton may put together (default %(default)s)",
    )
    group.add_argument(
        "--max-difference",
        type=float,
        default=ExportSettings.max_difference,
        metavar="F",
        help="of any logit between a model and its exported file (default %(default)s)",
    )


def _choices(names: Iterable[str], default: str) -> str:
    return f"{' | '.join(names)} (default {default})"
