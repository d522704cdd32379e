"""`python -m loadtest URL...`: quality, latency and capacity of each policy over each protocol."""

import sys

from loadtest.cli import main

if __name__ == "__main__":
    sys.exit(main())
