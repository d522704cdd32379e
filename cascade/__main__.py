"""`python -m cascade`: policies from saved outputs, without running a model."""

import sys
from collections.abc import Sequence

from cascade.commands import evaluate, fit, gears, refit, report, rollback
from cascade.commands.parser import Parser
from cascade.errors import CascadeError

BAD_INPUT = 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    try:
        options = _parser().parse_args(arguments)
        options.command(options)
    except (CascadeError, OSError) as error:
        return _fail(error, BAD_INPUT)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    return 0


def _fail(error: object, status: int) -> int:
    print(f"error: {error}", file=sys.stderr)
    return status


def _parser() -> Parser:
    parser = Parser(prog="python -m cascade", description=__doc__)
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (fit, evaluate, refit, rollback, gears, report):
        command.add(subparsers)
    return parser


if __name__ == "__main__":
    sys.exit(main())
