"""The command line: everything given is settled before torch is imported, errors are one line."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from cascade.errors import CascadeError
from export.errors import ExportError, SettingsError
from export.options import Parser, add_cascade_options, add_foreign_options, settings_of
from export.plan import Plan, make_plan
from export.publish import recover_interrupted
from export.repository import Repository
from export.run import read_run

BAD_INPUT = 2
BAD_REPOSITORY = 1
INTERRUPTED = 130

RUN = """Convert the members of a run, check them, fit policies, and publish them as a cascade.

Other commands, each with a --help of its own:
  python -m export add MODEL.onnx ...   publish ONNX files that are there already
  python -m export verify REPOSITORY    check hashes, load every member, run rows through it
  python -m export list REPOSITORY      what it holds
"""


def main(arguments: Sequence[str] | None = None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    command = COMMANDS.get(given[0]) if given else None
    try:
        _check_is_something(given)
        return _export_run(given) if command is None else command(given[1:])
    except ExportError as error:
        return _fail(error, error.exit_status)
    except (CascadeError, OSError) as error:
        return _fail(error, BAD_INPUT)
    except ModuleNotFoundError as error:
        return _fail(f"{error.name} is not installed: pip install '.[export]'", BAD_INPUT)
    except KeyboardInterrupt:
        return _fail("interrupted, nothing was published", INTERRUPTED)


def _check_is_something(given: Sequence[str]) -> None:
    """A command that is misspelt would be taken for a run, and told of the options that one needs."""
    is_known = not given or given[0] in COMMANDS or given[0].startswith("-")
    if not is_known and "/" not in given[0] and not Path(given[0]).exists():
        raise SettingsError(f"{given[0]!r} is no folder, and no command; there are: {', '.join(COMMANDS)}")


def _fail(error: object, status: int) -> int:
    print(f"error: {error}", file=sys.stderr)
    return status


def _export_run(arguments: Sequence[str]) -> int:
    parser = Parser(
        prog="python -m export",
        description=RUN,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="folder that training wrote")
    add_cascade_options(parser)
    parser.add_argument(
        "--resize",
        action="store_true",
        help="take images of any height and width, and resize them in the graph",
    )
    options = parser.parse_args(arguments)
    settings = settings_of(options)
    source = read_run(options.run, is_resized=options.resize)
    recover_interrupted(options.repository)
    plan = make_plan(source, Repository(options.repository), settings)
    # Before torch is imported: its idle threads are to sleep, since ONNX Runtime's run in between.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _say(f"{source.name}: {len(plan.members)} members to export, loading torch")
    return _publish(plan)


def _add(arguments: Sequence[str]) -> int:
    parser = Parser(
        prog="python -m export add",
        description="Publish ONNX classifiers as a cascade: check them, run the samples, fit policies.",
        allow_abbrev=False,
    )
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL.onnx", help="the cheapest first")
    add_cascade_options(parser)
    add_foreign_options(parser)
    options = parser.parse_args(arguments)
    settings = settings_of(options)
    from export.foreign import ForeignSettings, read_models

    foreign = ForeignSettings(
        models=tuple(options.models),
        samples=options.samples,
        classes=options.classes,
        output=options.output,
        output_kind=options.output_kind,
        macs=options.macs,
    )
    source = read_models(foreign)
    recover_interrupted(options.repository)
    return _publish(make_plan(source, Repository(options.repository), settings))


def _publish(plan: Plan) -> int:
    from export.pipeline import export
    from export.report import report

    done = export(plan, _say)
    for line in report(plan, done):
        _say(line)
    return 0


def _say(line: str) -> None:
    """Nobody may be listening any more (as behind `| head`), which is no reason to publish nothing."""
    try:
        print(line, flush=True)
    except BrokenPipeError:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115


def _verify(arguments: Sequence[str]) -> int:
    folder = _repository("verify", "Check a repository; exit status 1 where something is wrong.", arguments)
    from export.verify import verify

    num_problems = 0
    for finding in verify(folder):
        num_problems += finding.problem is not None
        _say(str(finding))
    _say(f"{folder}: {num_problems or 'nothing'} {'are' if num_problems > 1 else 'is'} wrong")
    return BAD_REPOSITORY if num_problems else 0


def _list(arguments: Sequence[str]) -> int:
    folder = _repository("list", "What a repository holds.", arguments)
    from export.listing import listing

    console = Console(width=None if sys.stdout.isatty() else 160)
    for part in listing(folder):
        console.print(part, highlight=False)
    return 0


def _repository(command: str, description: str, arguments: Sequence[str]) -> Path:
    parser = Parser(prog=f"python -m export {command}", description=description, allow_abbrev=False)
    parser.add_argument("repository", type=Path, metavar="REPOSITORY")
    folder: Path = parser.parse_args(arguments).repository
    return folder


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {"add": _add, "verify": _verify, "list": _list}
