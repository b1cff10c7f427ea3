"""How long things take, without the pauses between a kill and a resume."""

import time

__all__ = ["Clock"]


class Clock:
    """Measures laps."""

    def __init__(self) -> None:
        self.then = time.perf_counter()

    def lap(self) -> float:
        """Seconds since the last call, or since the beginning."""
        now = time.perf_counter()
        seconds, self.then = now - self.then, now
        return seconds
