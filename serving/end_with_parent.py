"""Commands that are asked to stop when the process that started them is no more, even if that was killed."""

import sys

BECOME = """
import ctypes, os, signal, sys
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
os.execv(sys.argv[1], sys.argv[1:])
"""


def ending_with_parent(command: list[str]) -> list[str]:
    """The same command, which gets SIGTERM then. Its first word is a path."""
    return [sys.executable, "-I", "-S", "-c", BECOME, *command]
