"""`python -m training`."""

import signal
import sys

INTERRUPTED = 130

# Worker processes import this module again under another name; only the command itself may run.
if __name__ == "__main__":
    # Whoever asks it to end wants it tidied up as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        # Long enough to be interrupted in itself.
        from training.cli import main

        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
