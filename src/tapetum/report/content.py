"""What a page shows, as plain data: nothing here knows how it will look."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tapetum.errors import InputError

__all__ = [
    "Bar",
    "Box",
    "Curve",
    "Diagram",
    "Example",
    "ExampleGroup",
    "ExampleLabel",
    "Report",
    "Series",
    "Table",
]

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class ExampleLabel:
    """What the network read in one place of an image.

    Args:
        name: What it said.
        true_name: What is there.
        confidence: Its probability for ``name``, in [0, 1].
        box: Where: left, top, right, bottom in pixels; none for the whole image.
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
    """One image before and after.  All three have shape (c, h, w), grey or RGB, on [0, 1].

    Args:
        noisy: What the network was given; values outside [0, 1] are cut off when it is shown.
        denoised: What it returned.
        truth: The image before the noise.
        caption: A few words about it.
        labels: What was named in it, in the order in which people read.
        psnr_db: Of the denoised image.
        noisy_psnr_db: Of the noisy one.
    """

    noisy: NDArray[np.float32]
    denoised: NDArray[np.float32]
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

    def points(self, series: Series) -> list[tuple[float, float]]:
        """The points of one of its series that have a finite value."""
        pairs = zip(self.x, series.y, strict=True)
        return [(x, y) for x, y in pairs if y is not None and math.isfinite(y)]


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


@dataclass(frozen=True)
class Bar:
    """One part of a network.

    Args:
        label: What it is, such as ``k5-e6, 96``.
        group: What it belongs to; neighbours of one group share a heading.
        length: How wide it is.
        tone: From 0 to 3; parts of one kind share one.
    """

    label: str
    group: str
    length: float
    tone: int


@dataclass(frozen=True)
class Diagram:
    """A network from its input to its outputs, one bar a block.

    Args:
        title: What it shows.
        length_label: What the length of a bar means.
        bars: From the input on.
        tones: What each tone means.
    """

    title: str
    length_label: str
    bars: tuple[Bar, ...]
    tones: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Report:
    """Everything that a page shows, from top to bottom.

    Args:
        title: The heading.
        lead: One or two sentences that say what came out.
        highlights: The few numbers to remember, each under its name.
        tables: Results.
        diagrams: Networks.
        curves: Plots.
        examples: Images, one group a noise level.
        commands: What to type to get this page again.
        facts: What was run on what: names and values, for instance of a provenance.
    """

    title: str
    lead: str
    highlights: Mapping[str, str] = field(default_factory=dict)
    tables: tuple[Table, ...] = ()
    diagrams: tuple[Diagram, ...] = ()
    curves: tuple[Curve, ...] = ()
    examples: tuple[ExampleGroup, ...] = ()
    commands: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
