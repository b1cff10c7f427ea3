"""The ``tapetum`` command; one file a command, no logic."""

import os
import sys

__all__ = ["main"]

TRAINING_COMMANDS = ("demo", "fit", "search", "train")


def main() -> None:
    """Runs the command line.

    The commands that train first start the program again in an environment in which the C library
    keeps freed memory, which it reads only when a process starts (1.4 to 2 times faster; see
    :mod:`tapetum.allocator`).  ``tapetum doctor`` tells whether this has happened.  Those that also
    measure latencies get the same ones with these settings as without (docs/log.md).
    """
    if sys.argv[1:2] and sys.argv[1] in TRAINING_COMMANDS and "--help" not in sys.argv:
        _start_again_tuned()
    from tapetum.cli.app import app

    app(prog_name="tapetum")


def _start_again_tuned() -> None:
    """Replaces this process by itself with the allocator's settings; at most once."""
    from tapetum.allocator import relaunch_environment

    environment = relaunch_environment()
    if environment is not None:
        # -P: a typer.py or json.py in the current folder is data and must not be imported.
        command = [sys.executable, "-P", "-m", "tapetum", *sys.argv[1:]]
        os.execve(sys.executable, command, environment)  # noqa: S606
