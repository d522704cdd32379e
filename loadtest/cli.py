"""The command line: which command is meant, and errors to one line."""

import sys
from collections.abc import Callable, Sequence

from loadtest.commands import compare, plan, search, sweep
from loadtest.errors import LoadTestError

INTERRUPTED = 130
COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "search": search.run,
    "sweep": sweep.run,
    "plan": plan.run,
}


def main(argv: Sequence[str] | None = None) -> int:
    arguments = sys.argv[1:] if argv is None else list(argv)
    command = COMMANDS.get(arguments[0]) if arguments else None
    try:
        return compare.run(arguments) if command is None else command(arguments[1:])
    except LoadTestError as error:
        return _failed(error, str(error), error.exit_status)
    except OSError as error:
        return _failed(error, f"the report can't be written ({error})", 1)
    except KeyboardInterrupt as error:
        return _failed(error, "interrupted", INTERRUPTED)


def _failed(error: BaseException, text: str, exit_status: int) -> int:
    """One line, with what the error's notes add: where measurements were kept."""
    print(f"error: {'; '.join([text, *getattr(error, '__notes__', ())])}", file=sys.stderr)
    return exit_status
