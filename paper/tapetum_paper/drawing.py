"""Drawings with a fingerprint of their data.

The PNG header of a drawing contains the fingerprint of its data.  So a test can compare it with the
results without drawing again, since another version of matplotlib gives other bytes.
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
        name: File name, such as ``figure_3_small.png``.
        fingerprint: Fingerprint of the data.
        draw: Draws the figure.
    """

    name: str
    fingerprint: str
    draw: Callable[[], "Figure"]

    def write(self, path: Path) -> None:
        """Draw into a PNG file.

        Raises:
            OSError: The file cannot be written.
        """
        import matplotlib

        buffer = io.BytesIO()
        with matplotlib.rc_context({"font.size": 9, "axes.grid": True, "grid.alpha": 0.3}):
            self.draw().savefig(buffer, dpi=150, metadata={_KEY: self.fingerprint})
        write_atomically(path, buffer.getvalue())


def say_not_run(axes: "Axes") -> None:
    """Write into an empty panel that nothing was run."""
    axes.text(0.5, 0.5, NOT_RUN, ha="center", va="center", transform=axes.transAxes)


def fingerprint(shown: object) -> str:
    """Return the fingerprint of values; different values have a different ``repr``."""
    return hashlib.sha256(repr(shown).encode()).hexdigest()


def fingerprint_of(path: Path) -> str | None:
    """Read the fingerprint of a drawing; return ``None`` without a drawing."""
    if not path.exists():
        return None
    with Image.open(path) as image:
        return image.info.get(_KEY)
