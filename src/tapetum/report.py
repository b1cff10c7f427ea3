"""The page of a run: what was asked, what came out, and pictures to judge it by.

A :class:`Page` is plain data; :func:`render` turns it into one HTML file that asks nothing of any
other server: pictures are inline PNG, plots are inline SVG, the style is inside.  The same page
gives the same bytes.  Right and wrong answers differ in sign, line and words, not by colour alone.

The words and the look are in ``report.html.j2``; this module prepares what goes into them.  The
plots need the extra ``tapetum[demo]``; :func:`contact_sheet` works without it.
"""

import base64
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from tapetum.errors import InputError, MissingExtraError
from tapetum.records import write_atomically

__all__ = [
    "Curve",
    "Example",
    "ExampleGroup",
    "ExampleLabel",
    "Page",
    "Series",
    "Table",
    "contact_sheet",
    "render",
    "write_report",
]

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class ExampleLabel:
    """What the network read in one place of a picture.

    Args:
        name: What it said.
        true_name: What is there.
        confidence: Its probability for ``name``, in [0, 1].
        box: Where: left, top, right, bottom in pixels; none for the whole picture.
    """

    name: str
    true_name: str
    confidence: float
    box: Box | None = None

    @property
    def is_right(self) -> bool:
        """Whether the network said what is there."""
        return self.name == self.true_name


@dataclass(frozen=True, eq=False)
class Example:
    """One picture before and after.  All three have shape (c, h, w), grey or RGB, on [0, 1].

    Args:
        noisy: What the network was given; values outside [0, 1] are cut off when it is shown.
        cleaned: What it returned.
        truth: The picture before the noise.
        caption: A few words about it.
        labels: What was named in it, in the order in which people read.
        psnr_db: Of the cleaned picture.
        noisy_psnr_db: Of the noisy one.
    """

    noisy: NDArray[np.float32]
    cleaned: NDArray[np.float32]
    truth: NDArray[np.float32]
    caption: str
    labels: tuple[ExampleLabel, ...]
    psnr_db: float
    noisy_psnr_db: float


@dataclass(frozen=True, eq=False)
class ExampleGroup:
    """Examples of one noise level, under one heading."""

    title: str
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class Series:
    """One line of a plot; None or a value that is not finite leaves its point out."""

    name: str
    y: tuple[float | None, ...]


@dataclass(frozen=True)
class Curve:
    """One plot: every series against the same ``x``.

    Raises:
        InputError: A series has another number of points than ``x``.
    """

    title: str
    x_label: str
    y_label: str
    x: tuple[float, ...]
    series: tuple[Series, ...]
    note: str = ""

    def __post_init__(self) -> None:
        for series in self.series:
            if len(series.y) != len(self.x):
                raise InputError(
                    f"series {series.name!r} of the plot {self.title!r} has {len(series.y)} points"
                    f" where x has {len(self.x)}",
                    "give one for each x, None where there is no value",
                )


@dataclass(frozen=True)
class Table:
    """A table of finished text; the first column names the rows.

    Args:
        title: What it shows.
        header: One heading a column.
        rows: One text a column.
        note: What a reader must know to compare the rows.
        highlighted: Indices of the rows that stand out.

    Raises:
        InputError: A row has another number of columns than the header.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    highlighted: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for index, row in enumerate(self.rows):
            if len(row) != len(self.header):
                raise InputError(
                    f"row {index} of the table {self.title!r} has {len(row)} columns where its"
                    f" header has {len(self.header)}",
                    "give one text for each column",
                )


@dataclass(frozen=True, eq=False)
class Page:
    """Everything that a page shows, from top to bottom.

    Args:
        title: The heading.
        lead: One or two sentences that say what came out.
        highlights: The few numbers to remember, each under its name.
        tables: Results.
        curves: Plots.
        examples: Pictures, one group a noise level.
        commands: What to type to get this page again.
        facts: What was run on what: names and values, for instance of a provenance.
    """

    title: str
    lead: str
    highlights: Mapping[str, str] = field(default_factory=dict)
    tables: tuple[Table, ...] = ()
    curves: tuple[Curve, ...] = ()
    examples: tuple[ExampleGroup, ...] = ()
    commands: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)


def write_report(path: Path, page: Page) -> None:
    """Writes the page to ``path`` in one step; see :func:`render` for what it raises."""
    write_atomically(path, render(page).encode())


def render(page: Page) -> str:
    """The page as one self-contained HTML text.

    Raises:
        MissingExtraError: jinja2 or matplotlib is not installed.
        InputError: A picture is neither grey nor RGB.
    """
    with _demo_extra():
        import jinja2
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "data_uri": _data_uri,
        "decibels": _decibels,
        "percent": _percent,
        "placed_on": _placed_on,
        "values": _values,
    }
    template = resources.files("tapetum").joinpath("report.html.j2").read_text(encoding="utf-8")
    plots = [_plot(curve, prefix=f"plot{index}-") for index, curve in enumerate(page.curves)]
    return environment.from_string(template).render(page=page, plots=plots)


@contextmanager
def _demo_extra() -> Iterator[None]:
    """Turns the failed import of an optional package into the sentence that says what to do."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"the page of a run needs {error.name}, which is not installed here",
            "run: pip install 'tapetum[demo]'",
        ) from error


# --- pictures ------------------------------------------------------------------------------------


def _to_image(pixels: NDArray[np.float32]) -> Image.Image:
    """An 8-bit picture of (c, h, w) floats; what lies outside [0, 1] is cut off."""
    if pixels.ndim != 3 or pixels.shape[0] not in (1, 3):
        raise InputError(
            f"a picture of shape {pixels.shape} cannot be shown", "give (1, h, w) or (3, h, w)"
        )
    levels = np.rint(pixels.clip(0, 1) * 255).astype(np.uint8)
    return Image.fromarray(levels[0] if len(levels) == 1 else levels.transpose(1, 2, 0).copy())


def _to_png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _data_uri(pixels: NDArray[np.float32]) -> str:
    """The picture as an address that holds the picture."""
    return f"data:image/png;base64,{base64.b64encode(_to_png(_to_image(pixels))).decode()}"


def _placed_on(box: Box, pixels: NDArray[np.float32]) -> str:
    """The place of a box over a picture of any displayed size, as CSS."""
    height, width = pixels.shape[-2:]
    left, top, right, bottom = box
    return (
        f"left:{left / width:.2%};top:{top / height:.2%};"
        f"width:{(right - left) / width:.2%};height:{(bottom - top) / height:.2%}"
    )


def contact_sheet(examples: Sequence[Example], *, tile_px: int = 192) -> bytes:
    """A PNG with a row for each example: noisy, cleaned, truth, and a line of words below.

    Args:
        examples: What to show, at least one.
        tile_px: Room for each picture; a smaller one grows by a whole factor, so that its pixels
            stay square, a larger one shrinks.

    Raises:
        InputError: There is no example, or a picture is neither grey nor RGB.
    """
    if not examples:
        raise InputError("a contact sheet of no examples cannot be drawn", "give at least one")
    gap_px, line_px = 8, 22
    row_px = tile_px + line_px + gap_px
    size = (3 * tile_px + 4 * gap_px, line_px + gap_px + len(examples) * row_px)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=14)
    lefts = [gap_px + column * (tile_px + gap_px) for column in range(3)]
    for left, heading in zip(lefts, ("noisy", "cleaned", "truth"), strict=True):
        draw.text((left + tile_px / 2, line_px / 2 + 3), heading, "black", font, anchor="mm")
    for index, example in enumerate(examples):
        top = line_px + gap_px + index * row_px
        pictures = (example.noisy, example.cleaned, example.truth)
        for left, pixels in zip(lefts, pictures, strict=True):
            tile = _fit(_to_image(pixels), tile_px)
            spare = ((tile_px - tile.width) // 2, (tile_px - tile.height) // 2)
            sheet.paste(tile, (left + spare[0], top + spare[1]))
        draw.text((gap_px, top + tile_px + line_px / 2), _in_words(example), "black", font, "lm")
    return _to_png(sheet)


def _fit(image: Image.Image, side_px: int) -> Image.Image:
    """The picture grown by a whole factor, or shrunk, to fit a square."""
    factor = side_px // max(image.size)
    if factor >= 1:
        size = (image.width * factor, image.height * factor)
        return image.resize(size, Image.Resampling.NEAREST)
    scale = side_px / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS)


def _in_words(example: Example) -> str:
    """The line below a row of a contact sheet, in letters that every font has."""
    labels = ", ".join(
        f"{label.name} {_percent(label.confidence)}"
        + ("" if label.is_right else f" (wrong: {label.true_name})")
        for label in example.labels
    )
    psnr = f"{_decibels(example.noisy_psnr_db)} to {_decibels(example.psnr_db)}"
    return "   ".join(part for part in (example.caption, psnr, labels) if part)


# --- numbers -------------------------------------------------------------------------------------


def _decibels(value_db: float) -> str:
    return "exact" if math.isinf(value_db) else f"{value_db:.1f}\N{NO-BREAK SPACE}dB"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}\N{NO-BREAK SPACE}%"


def _values(curve: Curve) -> Table:
    """The numbers behind a plot, for those who want them exactly or cannot see it."""
    columns = [dict(_points(curve.x, series)) for series in curve.series]
    rows = tuple(
        (f"{x:g}", *(f"{column[x]:.4g}" if x in column else "" for column in columns))
        for x in curve.x
    )
    header = (curve.x_label, *(series.name for series in curve.series))
    return Table(title=curve.title, header=header, rows=rows)


def _points(x: Sequence[float], series: Series) -> list[tuple[float, float]]:
    """The points of a series that have a finite value."""
    pairs = zip(x, series.y, strict=True)
    return [(at, value) for at, value in pairs if value is not None and math.isfinite(value)]


# --- plots ---------------------------------------------------------------------------------------

# matplotlib draws in these colours, and the page's style says what they are, by day and by night.
_INK, _LINE = "#010203", "#010204"
_SERIES = ("#010210", "#010211", "#010212", "#010213")
_MARKERS = ("o", "s", "^", "D")
_DASHES = ("-", "--", ":", "-.")


def _plot(curve: Curve, *, prefix: str) -> str:
    """The plot as an ``<svg>`` element whose ids start with ``prefix``."""
    with _demo_extra():
        import matplotlib
        from matplotlib.figure import Figure
    buffer = io.StringIO()
    with matplotlib.rc_context(_plot_style()):
        figure = Figure(figsize=(4.0, 2.9), layout="constrained")
        axes = figure.subplots()
        for index, series in enumerate(curve.series):
            style = index % len(_SERIES)
            points = _points(curve.x, series)
            axes.plot(
                [x for x, _ in points],
                [y for _, y in points],
                label=series.name,
                color=_SERIES[style],
                marker=_MARKERS[style],
                linestyle=_DASHES[style],
            )
        axes.set(xlabel=curve.x_label, ylabel=curve.y_label)
        if len(curve.series) > 1:
            figure.legend(loc="outside upper left", ncols=2)
        # Without date, creator and kind matplotlib leaves the metadata out altogether.
        blank = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=blank)
    return _for_page(buffer.getvalue(), prefix=prefix)


def _plot_style() -> dict[Any, Any]:
    """Settings of matplotlib: the page's colours and type, and ids that do not vary.

    Newer versions of matplotlib list every key in its type, older ones take any text.
    """
    ink = ("text.color", "axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor")
    line = ("axes.edgecolor", "grid.color", "xtick.color", "ytick.color")
    return {
        **dict.fromkeys(ink, _INK),
        **dict.fromkeys(line, _LINE),
        "axes.grid": True,
        "axes.spines.left": False,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "font.size": 9,
        "legend.frameon": False,
        "lines.linewidth": 1.6,
        "lines.markersize": 4,
        "svg.fonttype": "none",  # letters stay letters: the page's font, and findable
        "svg.hashsalt": "tapetum",
        "text.parse_math": False,
        "xtick.major.size": 0,
        "ytick.major.size": 0,
    }


def _for_page(svg: str, *, prefix: str) -> str:
    """Only the element, sized by the page, in the page's colours, with ids of its own."""
    element = svg[svg.index("<svg") :]
    element = re.sub(r'(<svg\b[^>]*?) width="[^"]*"', r"\1", element, count=1)
    element = re.sub(r'(<svg\b[^>]*?) height="[^"]*"', r"\1", element, count=1)
    element = re.sub(r'\bid="|(?<=href=")#|(?<=url\()#', rf"\g<0>{prefix}", element)
    colours = {_INK: "ink", _LINE: "line"}
    colours |= {colour: f"series-{index}" for index, colour in enumerate(_SERIES)}
    for colour, name in colours.items():
        element = element.replace(colour, f"var(--{name})")
    return element
