"""Format the numbers of reports and contact sheets."""

import math

__all__ = ["decibels", "percent"]


def decibels(value_db: float) -> str:
    """Format a ratio with a tenth of a decibel; ``exact`` for an image equal to the truth."""
    return "exact" if math.isinf(value_db) else f"{value_db:.1f}\N{NO-BREAK SPACE}dB"


def percent(share: float) -> str:
    """Format a share in [0, 1] as whole percents."""
    return f"{100 * share:.0f}\N{NO-BREAK SPACE}%"
