"""What an experiment is: rows of a table, each made of trainings that can run one by one.

A *cell* is one training with all that decides its result: network, recipe, images, seed.  Its
network is given, or a search finds it first (:mod:`~tapetum_paper.searched`).  It is data, so
that it can be compared with the cell of a result file, and two experiments that need the same
training share it.  A *row* is what the paper prints about one network, beside the
cells that measure it here, one a seed.  An *experiment* is a table or a figure at one scale.
"""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, PositiveInt

from tapetum.arch import Architecture, NetworkFacts
from tapetum.latency import Timing
from tapetum.records import Record
from tapetum.search import SearchResult
from tapetum.training import Recipe, Result
from tapetum_paper.deployment import Deployment
from tapetum_paper.example import Example
from tapetum_paper.searched import Searched

__all__ = [
    "Cell",
    "CellResult",
    "Experiment",
    "Measure",
    "Outcome",
    "Row",
    "Scale",
    "Spread",
    "at_scale",
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
        network: That is trained, or how it is found.
        recipe: How it is trained; its seed is that of weights, order and noise.
        data: ``digits``; ``digit-crops`` for networks without boxes; or a folder of the data root.
        train_count: Two-digit images to train on; of no effect on a folder.
        test_count: Two-digit images to score on, at each noise level; likewise.
        size_px: Side of the images of a folder.
    """

    network: Architecture | NetworkFacts | Searched
    recipe: Recipe
    data: Literal["digits", "digit-crops", "imagenette128", "imagenet100"] = "digits"
    train_count: PositiveInt = 30_000
    test_count: PositiveInt = 2_000
    size_px: PositiveInt | None = None

    @property
    def slug(self) -> str:
        """Names the files of this cell; derived, so that it cannot disagree with them."""
        return f"{self.network.name}_{self.recipe.name}_seed{self.recipe.seed}"


class CellResult(Record):
    """A cell that has been run.

    Attributes:
        cell: What was asked.
        source: Where the images come from.
        result: What came out, with scores and provenance.
        examples: What it makes of one image, by noise; none for networks that do not clean.
        ssim_as_printed: By sigma, with the data range that the paper seems to have used; of digits.
        search: How the network was found, where it was searched.
        trained: What was trained, where a search has decided it.
        timing: How long it takes, beside the others of its table; kept in a file of its own.
    """

    schema_version: Literal[2] = 2
    cell: Cell
    source: str
    result: Result
    examples: tuple[Example, ...] = ()
    ssim_as_printed: dict[float, float] | None = None
    search: SearchResult | None = None
    trained: Architecture | NetworkFacts | None = None
    timing: Annotated[Timing | None, Field(exclude=True)] = None

    @property
    def architecture(self) -> Architecture | NetworkFacts:
        """What was trained."""
        if self.trained is not None:
            return self.trained
        assert not isinstance(self.cell.network, Searched)  # noqa: S101  (else it was found)
        return self.cell.network


@dataclass(frozen=True)
class Measure:
    """A column of a table.

    Attributes:
        title: With its unit.
        digits: Behind the point, of what we measured; the paper's own are kept as printed.
        read: Takes the value out of a result; ``None`` where it has none.
        is_counted: Whether it is the same for every seed.
        absent: What is shown where a network that was run has no such value.
    """

    title: str
    digits: int
    read: Callable[[CellResult], float | None]
    is_counted: bool = False
    absent: str = "-"


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
        deployment: Where latencies hold; ``None`` where they are not looked at.
    """

    name: str
    scale: Scale
    title: str
    measures: tuple[Measure, ...]
    rows: tuple[Row, ...]
    deployment: Deployment | None = None

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


def at_scale(outcomes: Iterable[Outcome], scale: Scale) -> dict[str, Outcome]:
    """Those of one scale, by the names of their experiments."""
    of_scale = (outcome for outcome in outcomes if outcome.experiment.scale == scale)
    return {outcome.experiment.name: outcome for outcome in of_scale}


class Spread(NamedTuple):
    """The mean of a value over seeds, and how far they lie apart.

    Attributes:
        mean: Over the seeds.
        deviation: The sample standard deviation; ``None`` where there is one seed.
    """

    mean: float
    deviation: float | None

    def shown(self, digits: int) -> str:
        """``27.74``, or ``27.74 ± 0.05`` of several seeds."""
        mean = f"{self.mean:.{digits}f}"
        return mean if self.deviation is None else f"{mean} ± {self.deviation:.{digits}f}"


def spread(values: Sequence[float | None]) -> Spread | None:
    """The spread of the values that there are; ``None`` where there is none."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return Spread(statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else None)
