"""The ``tapetum`` command: one file for each subcommand, without logic of its own."""

import os
import sys

__all__ = ["main"]

TRAINING_COMMANDS = ("demo", "fit", "search", "train")
INTERRUPTED = 130  # the exit code that shells use for Ctrl-C


def main() -> None:
    """Run the command line.

    Commands that train start the program again in an environment in which the C library keeps freed
    memory (1.4 to 2 times faster; see :mod:`tapetum.allocator`): it reads these settings only when
    a process starts.  Latencies are the same with them as without.
    """
    try:
        if sys.argv[1:2] and sys.argv[1] in TRAINING_COMMANDS and "--help" not in sys.argv:
            _start_again_tuned()
        from tapetum.cli.app import app

        app(prog_name="tapetum")
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(INTERRUPTED)


def _start_again_tuned() -> None:
    """Replace this process by itself with the settings of the allocator, at most once."""
    from tapetum.allocator import relaunch_environment

    environment = relaunch_environment()
    if environment is not None:
        # -P: a typer.py or json.py in the current folder is data and must not be imported.
        command = [sys.executable, "-P", "-m", "tapetum", *sys.argv[1:]]
        os.execve(sys.executable, command, environment)  # noqa: S606
