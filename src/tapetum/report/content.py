"""The content of a report, as plain data without layout."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tapetum.errors import InputError

__all__ = [
    *("Bar", "Box", "Curve", "Diagram", "Example", "ExampleGroup", "ExampleLabel"),
    *("Matrix", "Mistake", "Report", "Series", "Table"),
    "task_title",
]

Box = tuple[float, float, float, float]


MOST_NAMED = 4  # classes in a title


def task_title(folder: str, class_names: Sequence[str]) -> str:
    """Return the task of a network as a title, such as ``steel: crack, dent, hole``.

    Args:
        folder: Name of the folder of its images; empty where it is not known.
        class_names: What it tells apart; empty for a denoiser.
    """
    task = ", ".join(class_names) or "denoised images"
    if len(class_names) > MOST_NAMED:
        task = f"{len(class_names):,} classes"
    return f"{folder}: {task}" if folder else f"{task[:1].upper()}{task[1:]}"


@dataclass(frozen=True)
class ExampleLabel:
    """The predicted and the true class of an image, or of a box of it, in pixels."""

    name: str
    true_name: str
    confidence: float
    box: Box | None = None

    @property
    def is_right(self) -> bool:
        """Whether the prediction is right."""
        return self.name == self.true_name


@dataclass(frozen=True, eq=False)
class Example:
    """One image before and after, with its labels in reading order and PSNR in dB.

    The images have shape (c, h, w), grey or RGB; values outside [0, 1] are clipped for display.
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
    """One line of a plot; values that are None or not finite leave their point out."""

    name: str
    y: tuple[float | None, ...]


@dataclass(frozen=True)
class Curve:
    """One plot: all series share the same ``x``, and have one value for each."""

    title: str
    x_label: str
    y_label: str
    x: tuple[float, ...]
    series: tuple[Series, ...]
    note: str = ""

    def points(self, series: Series) -> list[tuple[float, float]]:
        """Return the points of a series that have a finite value."""
        pairs = zip(self.x, series.y, strict=True)
        return [(x, y) for x, y in pairs if y is not None and math.isfinite(y)]


@dataclass(frozen=True)
class Table:
    """A table of text; the first column names the rows.

    Args:
        title: Title of the table.
        header: One heading per column.
        rows: One text per column.
        note: The facts that are needed to compare the rows.
        highlighted: Indices of the rows that stand out.
        is_prose: Whether the cells are sentences, which wrap, instead of numbers.

    Raises:
        InputError: A row has another number of columns than the header.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    highlighted: tuple[int, ...] = ()
    is_prose: bool = False

    def __post_init__(self) -> None:
        for index, row in enumerate(self.rows):
            if len(row) != len(self.header):
                raise InputError(
                    f"row {index} of the table {self.title!r} has {len(row)} columns where its"
                    f" header has {len(self.header)}",
                    "give one text for each column",
                )


@dataclass(frozen=True)
class Matrix:
    """A square of shares, from 0 to 1, drawn in shades.

    Args:
        title: Title of the picture.
        x_label: Meaning of the columns.
        y_label: Meaning of the rows.
        names: Name of each row and column.
        shares: Rows from top to bottom.
        note: What the shares are.
    """

    title: str
    x_label: str
    y_label: str
    names: tuple[str, ...]
    shares: tuple[tuple[float, ...], ...]
    note: str = ""


@dataclass(frozen=True, eq=False)
class Mistake:
    """A wrong label with its images of shape (c, h, w); there is no denoised one of a classifier.

    Args:
        noisy: The image that the network got.
        denoised: What it made of it.
        true_name: The true class.
        name: The predicted class.
        probability: Its probability.
        caption: Which image it is.
    """

    noisy: NDArray[np.float32]
    denoised: NDArray[np.float32] | None
    true_name: str
    name: str
    probability: float
    caption: str


@dataclass(frozen=True)
class Bar:
    """One part of a network.

    Args:
        label: Text of the bar, such as ``k5-e6, 96``.
        group: Neighbours of one group share a heading.
        length: Length of the bar.
        tone: Shade from 0 to 3, one for each kind of part.
    """

    label: str
    group: str
    length: float
    tone: int


@dataclass(frozen=True)
class Diagram:
    """A network from its input to its outputs, one bar per block.

    ``length_label`` and ``tones`` are the meaning of a bar's length, and of each tone.
    """

    title: str
    length_label: str
    bars: tuple[Bar, ...]
    tones: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Report:
    """The content of a report, from top to bottom.

    Args:
        title: The heading.
        lead: One sentence with the result.
        highlights: The few numbers that matter, each under its name.
        warning: Why these numbers are no measure, said before them; empty where they are one.
        doubtful: The highlights that the warning is about.
        advice: Sentences on what a reader should know before the result is used, what matters most
            first; those after the fifth are folded.
        usage: Commands or lines of Python that use the result.
        tables: Tables of results.
        diagrams: Diagrams of networks.
        curves: Plots.
        examples: Images, one group per noise level.
        matrices: Confusion matrices.
        mistakes: Wrong labels with their images.
        commands: The commands that reproduce the report.
        facts: Names and values, such as those of a provenance.
    """

    title: str
    lead: str
    highlights: Mapping[str, str] = field(default_factory=dict)
    warning: str = ""
    doubtful: Collection[str] = ()
    advice: tuple[str, ...] = ()
    usage: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    diagrams: tuple[Diagram, ...] = ()
    curves: tuple[Curve, ...] = ()
    examples: tuple[ExampleGroup, ...] = ()
    matrices: tuple[Matrix, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    commands: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
