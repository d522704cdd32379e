"""`python -m training`."""

import sys

from training.cli import main

# Worker processes import this module again under another name; only the command itself may run.
if __name__ == "__main__":
    sys.exit(main())
