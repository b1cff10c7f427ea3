"""Images as commands open them, and how scores and skipped files are shown to people."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tapetum.cli.common import say, table
from tapetum.progress import ProgressCallback

if TYPE_CHECKING:  # numpy loads with it, and --help must stay quick
    from tapetum.data import Dataset
    from tapetum.scores import Scores

__all__ = ["opened", "show_scores", "show_skipped"]


def opened(data: str, tick: ProgressCallback, **options: Any) -> "Dataset":
    """The images that were asked for; what could not be read is listed.

    Args:
        data: A folder, ``digits`` or ``digit-crops``.
        tick: Is told of the images read.
        options: Of :func:`tapetum.data.open_dataset`.
    """
    from tapetum.data import open_dataset

    images = open_dataset(data, progress=tick, **options)
    show_skipped(images.skipped)
    return images


def show_skipped(skipped: Sequence[tuple[Path, str]]) -> None:
    """Lists files that could not be read, each with its reason."""
    if not skipped:
        return
    say(f"{len(skipped)} file(s):", label="left out", style="yellow")
    for path, reason in skipped:
        say(f"  {path}: {reason}")


def show_scores(scores: "Scores | None") -> None:
    """Prints a row a noise level and their mean."""
    from tapetum.scores import SCORE_HEADER, score_cells, score_note

    if scores is not None:
        table(SCORE_HEADER, score_cells(scores), title=score_note(scores))
