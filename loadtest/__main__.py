"""`python -m loadtest URL...`, and `search`, `sweep` and `plan` before the URLs."""

import sys

from loadtest.cli import main

if __name__ == "__main__":
    sys.exit(main())
