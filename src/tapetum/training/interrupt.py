"""Ctrl-C and a polite kill, heard between two steps, so that a whole state can be kept.

In the middle of a step weights are half moved: a checkpoint of that moment would be worthless.
"""

import signal
import threading
from pathlib import Path
from types import FrameType, TracebackType

from tapetum.errors import TrainingError

__all__ = ["StopRequests", "interrupted"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequests:
    """While it is entered, the first Ctrl-C or SIGTERM only sets :attr:`requested`.

    The second one acts as it did before, for whoever cannot wait.  Outside the main thread, where
    Python hears no signals, it does nothing.
    """

    def __init__(self) -> None:
        self.requested = False
        self._handlers: dict[int, signal._HANDLER] = {}

    def __enter__(self) -> "StopRequests":
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._handlers[number] = signal.signal(number, self._hear)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._give_back()

    def _hear(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - their signature
        self.requested = True
        self._give_back()

    def _give_back(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()


def interrupted(step: int, total_steps: int, path: Path) -> TrainingError:
    """What is raised once the state of after ``step`` is kept in the folder ``path``.

    It does not know which command is going on: a whole fit and a table of the paper train, too.
    """
    return TrainingError(
        f"interrupted after step {step:,} of {total_steps:,}; all of it is kept in {path}",
        "type the same command again to go on, with --resume where it has that option",
    )
