"""The ``tapetum`` command: one file for each subcommand, without logic of its own."""

import os
import sys

from tapetum.cli.signals import exit_code, hold, listen, was_received

__all__ = ["main"]

TRAINING_COMMANDS = ("demo", "fit", "search", "train")


def main() -> None:
    """Run the command line.

    Commands that train start the program again in an environment in which the C library keeps freed
    memory (1.4 to 2 times faster; see :mod:`tapetum.allocator`): it reads these settings only when
    a process starts.  Latencies are the same with them as without.
    """
    try:
        listen()
        _open_standard_streams()
        if sys.argv[1:2] and sys.argv[1] in TRAINING_COMMANDS and "--help" not in sys.argv:
            _start_again_tuned()
        from tapetum.cli.app import app

        app(prog_name="tapetum")
    except BaseException as error:
        was_told = isinstance(error, SystemExit) and error.code != exit_code()
        if was_told or not (was_received() or isinstance(error, KeyboardInterrupt)):
            raise
        if sys.stderr is not None:
            sys.stderr.write("interrupted\n")
        sys.exit(exit_code())


def _open_standard_streams() -> None:
    """Open what the caller has closed, so that no file gets the number of a standard stream."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one


def _start_again_tuned() -> None:
    """Replace this process by itself with the settings of the allocator, at most once."""
    from tapetum.allocator import relaunch_environment

    environment = relaunch_environment()
    if environment is not None:
        # -P: a typer.py or json.py in the current folder is data and must not be imported.
        command = [sys.executable, "-P", "-m", "tapetum", *sys.argv[1:]]
        hold()
        os.execve(sys.executable, command, environment)  # noqa: S606
