"""How scores and skipped files are shown to people."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tapetum.cli.common import say, table

if TYPE_CHECKING:  # torch loads with it, and --help must stay quick
    from tapetum.training import Scores

__all__ = ["show_scores", "show_skipped"]

FIRST_SHOWN = 10


def show_skipped(skipped: Sequence[tuple[Path, str]]) -> None:
    """Lists files that could not be read, each with its reason."""
    if not skipped:
        return
    say(f"[yellow]skipped {len(skipped)} file(s) that cannot be read:[/]")
    for path, reason in skipped[:FIRST_SHOWN]:
        say(f"  {path}: {reason}")
    if len(skipped) > FIRST_SHOWN:
        say(f"  and {len(skipped) - FIRST_SHOWN} more")


def show_scores(scores: "Scores | None") -> None:
    """Prints a row a noise level and their mean."""
    if scores is None:
        return
    rows = [
        (
            row.title,
            _number(row.noisy_psnr_db, 2),
            _number(row.psnr_db, 2),
            _number(row.ssim, 3),
            _number(row.accuracy, 1, 100),
            _number(row.macro_accuracy, 1, 100),
            _number(row.calibration_error, 3),
        )
        for row in (*scores.rows, scores.mean)
    ]
    header = ("noise", "noisy dB", "PSNR dB", "SSIM", "accuracy %", "macro %", "calibration error")
    table(header, rows, title=f"{scores.mean.num_pictures} pictures, protocol {scores.protocol}")


def _number(value: float | None, digits: int, scale: float = 1) -> str:
    return "-" if value is None else f"{scale * value:.{digits}f}"
