"""Drawings that know what they show.

A drawing carries the fingerprint of what it shows in its PNG header, so that one can tell whether
it is of today's results without drawing it again (another version of matplotlib gives other bytes).
"""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image

from tapetum.records import write_atomically
from tapetum_paper.compare import NOT_RUN

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Drawing", "fingerprint", "fingerprint_of", "say_not_run"]

_KEY = "Results"  # of the fingerprint in the header


class Drawing(NamedTuple):
    """A figure that can be drawn.

    Attributes:
        name: Of its file, such as ``figure_3_small.png``.
        fingerprint: Changes with everything that it shows.
        draw: Makes the figure.
    """

    name: str
    fingerprint: str
    draw: Callable[[], "Figure"]

    def write(self, path: Path) -> None:
        """Draws into a PNG.

        Raises:
            OSError: The file cannot be written.
        """
        import matplotlib

        buffer = io.BytesIO()
        with matplotlib.rc_context({"font.size": 9, "axes.grid": True, "grid.alpha": 0.3}):
            self.draw().savefig(buffer, dpi=150, metadata={_KEY: self.fingerprint})
        write_atomically(path, buffer.getvalue())


def say_not_run(axes: "Axes") -> None:
    """Writes in the middle of an empty panel why it is empty."""
    axes.text(0.5, 0.5, NOT_RUN, ha="center", va="center", transform=axes.transAxes)


def fingerprint(shown: object) -> str:
    """Of values that a figure shows, which their ``repr`` tells apart."""
    return hashlib.sha256(repr(shown).encode()).hexdigest()


def fingerprint_of(path: Path) -> str | None:
    """The fingerprint that a drawing carries; ``None`` where there is no drawing."""
    if not path.exists():
        return None
    with Image.open(path) as image:
        return image.info.get(_KEY)
