"""What an experiment is: rows of a table, each made of trainings that can run one by one.

A *cell* is one training with all that decides its result: architecture, recipe, pictures, seed.
It is data, so that it can be compared with the cell of a result file, and two experiments that
need the same training share it.  A *row* is what the paper prints about one network, beside the
cells that measure it here, one a seed.  An *experiment* is a table or a figure at one scale.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, NamedTuple

from pydantic import PositiveInt

from tapetum.arch import Architecture
from tapetum.experiments.example import Example
from tapetum.records import Record
from tapetum.training import Recipe, Result

__all__ = [
    "Cell",
    "CellResult",
    "Experiment",
    "Measure",
    "Outcome",
    "Row",
    "Scale",
    "Spread",
    "spread",
]


class Scale(StrEnum):
    """How much of an experiment is run.

    Results of two scales never share a column.
    """

    smoke = "smoke"
    """Seconds: shows that it runs, not what comes out."""
    small = "small"
    """Minutes a cell on two cores, with a quick recipe."""
    paper = "paper"
    """As published."""


class Cell(Record):
    """One training, with all that decides its result.

    Attributes:
        architecture: Of the network.
        recipe: How it is trained; its seed is that of weights, order and noise.
        data: ``digits``, or ``digit-crops`` for classifiers alone.
        train_count: Two-digit pictures to train on.
        test_count: Two-digit pictures to score on, at each noise level.
    """

    architecture: Architecture
    recipe: Recipe
    data: Literal["digits", "digit-crops"] = "digits"
    train_count: PositiveInt = 30_000
    test_count: PositiveInt = 2_000

    @property
    def slug(self) -> str:
        """Names the files of this cell; derived, so that it cannot disagree with them."""
        return f"{self.architecture.name}_{self.recipe.name}_seed{self.recipe.seed}"


class CellResult(Record):
    """A cell that has been run.

    Attributes:
        cell: What was asked.
        source: Where the digits come from.
        result: What came out, with scores and provenance.
        example: What it makes of one picture; ``None`` for networks that do not clean.
        ssim_as_printed: By sigma, with the data range that the paper seems to have used; as above.
    """

    schema_version: Literal[1] = 1
    cell: Cell
    source: str
    result: Result
    example: Example | None = None
    ssim_as_printed: dict[float, float] | None = None


@dataclass(frozen=True)
class Measure:
    """A column of a table.

    Attributes:
        title: With its unit.
        digits: Behind the point, of what we measured; the paper's own are kept as printed.
        read: Takes the value out of a result; ``None`` where it has none.
        is_counted: Whether it is the same for every seed.
    """

    title: str
    digits: int
    read: Callable[[CellResult], float | None]
    is_counted: bool = False


@dataclass(frozen=True)
class Row:
    """A network in a table.

    Attributes:
        title: As people call it.
        cells: The trainings that measure it: the same one with different seeds.
        printed: What the paper prints, by the title of the measure.
    """

    title: str
    cells: tuple[Cell, ...]
    printed: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """A table or a figure of the paper at one scale.

    Attributes:
        name: Such as ``table_1``.
        scale: How much of it is run.
        title: What it shows.
        measures: The columns.
        rows: The networks.
    """

    name: str
    scale: Scale
    title: str
    measures: tuple[Measure, ...]
    rows: tuple[Row, ...]

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Every training of every row, each once."""
        return tuple({cell.slug: cell for row in self.rows for cell in row.cells}.values())


@dataclass(frozen=True)
class Outcome:
    """An experiment and what has been run of it.

    Attributes:
        experiment: What was asked.
        by_slug: The results that there are, by the names of their cells.
    """

    experiment: Experiment
    by_slug: Mapping[str, CellResult]

    def of(self, row: Row) -> list[CellResult]:
        """The results of a row, one a seed; none where it has not been run."""
        return [self.by_slug[cell.slug] for cell in row.cells if cell.slug in self.by_slug]

    @property
    def done(self) -> list[CellResult]:
        """All results, in the order of the cells."""
        return list(self.by_slug.values())


class Spread(NamedTuple):
    """The mean of a value over seeds, and how far they lie apart.

    Attributes:
        mean: Over the seeds.
        deviation: The sample standard deviation; ``None`` where there is one seed.
    """

    mean: float
    deviation: float | None


def spread(values: Sequence[float | None]) -> Spread | None:
    """The spread of the values that there are; ``None`` where there is none."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return Spread(statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else None)
