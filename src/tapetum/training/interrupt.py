"""Ctrl-C and SIGTERM take effect between two steps, so that a complete state is kept.

In the middle of a step some weights have moved and others have not.
"""

import signal
import threading
from pathlib import Path
from types import FrameType, TracebackType

from tapetum.errors import TrainingError

__all__ = ["StopRequests", "interrupted"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequests:
    """A context in which the first Ctrl-C or SIGTERM only sets :attr:`requested`.

    A second one acts as without the context.  Outside of the main thread, where Python handles no
    signals, the context does nothing.
    """

    def __init__(self) -> None:
        self.requested = False
        self._handlers: dict[int, signal._HANDLER] = {}

    def __enter__(self) -> "StopRequests":
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._handlers[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - their signature
        self.requested = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()


def interrupted(step: int, total_steps: int, path: Path) -> TrainingError:
    """Return the error to raise once the state after ``step`` is kept in the folder ``path``."""
    return TrainingError(
        f"interrupted after step {step:,} of {total_steps:,}; the state is kept in {path}",
        "run the same command again with --resume to continue",
    )
