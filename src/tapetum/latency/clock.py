"""The clock of the processor, from the files of Linux: a hot machine lowers it."""

from contextlib import suppress
from pathlib import Path

__all__ = ["fastest_core_mhz", "throttling"]

CPUS = Path("/sys/devices/system/cpu")
THROTTLED = 0.9  # of the highest clock: what is lower is more than the noise of a reading


def fastest_core_mhz() -> list[float]:
    """Return the clock of the fastest core, in MHz; nothing where it cannot be read."""
    readings = []
    for path in CPUS.glob("cpu[0-9]*/cpufreq/scaling_cur_freq"):
        with suppress(OSError, ValueError):
            readings.append(int(path.read_text()) / 1000)
    return [max(readings)] if readings else []


def throttling(range_mhz: tuple[float, float] | None) -> str:
    """Say whether the clock fell by more than 10 % between its highest and its lowest reading."""
    if range_mhz is None:
        return "not readable"
    lowest, highest = range_mhz
    return "none" if lowest >= THROTTLED * highest else f"from {highest:.0f} to {lowest:.0f} MHz"
