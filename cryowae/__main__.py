"""`python -m cryowae` and the command `cryowae`."""

import os
import signal


def main() -> None:
    """Run the command line. Ctrl-C ends it at once, without a traceback, before and after its commands."""
    _end_early()
    try:
        from cryowae.cli import app

        app()
    finally:
        _end_early()


def _end_early() -> None:
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as in the background
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))


if __name__ == "__main__":
    main()
