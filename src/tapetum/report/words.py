"""How a page and a contact sheet write their numbers."""

import math

__all__ = ["decibels", "percent"]


def decibels(value_db: float) -> str:
    """A ratio to a tenth of a decibel; an image equal to the truth is ``exact``."""
    return "exact" if math.isinf(value_db) else f"{value_db:.1f}\N{NO-BREAK SPACE}dB"


def percent(share: float) -> str:
    """A share in [0, 1] as whole percents."""
    return f"{100 * share:.0f}\N{NO-BREAK SPACE}%"
