"""Cells and tables in Markdown, for the scripts that render results."""

import statistics
from collections.abc import Iterable, Sequence

__all__ = ["NOT_RUN", "spread", "table"]

NOT_RUN = "not run"


def table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table whose first column holds texts and the others numbers."""
    lines = [header, ("---", *("---:",) * (len(header) - 1)), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def spread(values: Sequence[float], digits: int, *, sign: str = "") -> str:
    """Return the mean, with the standard deviation where there are several seeds."""
    mean = f"{statistics.fmean(values):{sign}.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ± {statistics.stdev(values):.{digits}f}"
