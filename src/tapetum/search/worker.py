"""A process that performs work for :mod:`tapetum.search.workers`, one line after another.

Each line of standard input is a task, each line of standard output says that it is done, or why
not. When the input is closed, because the command has ended or was killed, the process ends at
once: its work is performed again from the start.
"""

import json
import os
import sys
import threading
from queue import SimpleQueue
from typing import BinaryIO

from tapetum.errors import TapetumError, of_system
from tapetum.search.work import Task, perform
from tapetum.training import prepare_process

__all__ = ["main"]


def main() -> None:
    """Perform tasks until the input ends; the argument is the core to stay on, if any."""
    if len(sys.argv) > 1:
        os.sched_setaffinity(0, {int(sys.argv[1])})
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what a library prints is no answer
    prepare_process(threads=1)
    lines: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin.buffer, lines), daemon=True).start()
    while True:
        answers.write(json.dumps(_perform(lines.get())).encode() + b"\n")


def _perform(line: bytes) -> dict[str, str]:
    """Perform a task; return the words of an error, or nothing."""
    try:
        perform(Task.model_validate_json(line).work)
    except TapetumError as error:
        return {"problem": error.problem, "remedy": error.remedy}
    except OSError as error:  # such as a full disk: another worker would not help
        told = of_system(error)
        return {"problem": told.problem, "remedy": told.remedy}
    return {}


def _read(stream: BinaryIO, lines: "SimpleQueue[bytes]") -> None:
    for line in stream:
        if line.endswith(b"\n"):
            lines.put(line)
    os._exit(0)


if __name__ == "__main__":
    main()
