"""Experiments as data: rows of a table, each made of trainings that run one by one.

A *cell* is one training with everything that decides its result: network, recipe, images, seed.
Its network is given, or a search chooses it first (:mod:`~tapetum_paper.searched`).  Cells can be
compared with the cells of result files, and experiments share equal cells.  A *row* is one network:
the printed figures, and one cell for each seed.  An *experiment* is a table or figure at one scale.
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
    """Effort of an experiment; results of two scales never share a column."""

    smoke = "smoke"
    """Seconds: shows that an experiment runs; its figures mean nothing."""
    small = "small"
    """Minutes for each cell on two cores, with a short recipe."""
    paper = "paper"
    """As published."""


class Cell(Record):
    """One training, with everything that decides its result.

    Attributes:
        network: The network, or the search that chooses it.
        recipe: Training recipe; its seed decides weights, order and noise.
        data: ``digits``; ``digit-crops`` for networks without boxes; or a folder of the data root.
        train_count: Number of two-digit training images; a folder ignores it.
        test_count: Number of two-digit test images at each noise level; a folder ignores it.
        size_px: Height and width of the images of a folder.
    """

    network: Architecture | NetworkFacts | Searched
    recipe: Recipe
    data: Literal["digits", "digit-crops", "imagenette128", "imagenet100"] = "digits"
    train_count: PositiveInt = 30_000
    test_count: PositiveInt = 2_000
    size_px: PositiveInt | None = None

    @property
    def slug(self) -> str:
        """Name of the files of this cell."""
        return f"{self.network.name}_{self.recipe.name}_seed{self.recipe.seed}"


class CellResult(Record):
    """The result of a cell.

    Attributes:
        cell: The request.
        source: Source of the images.
        result: Result of the training, with scores and provenance.
        examples: One denoised image by noise level; empty for classifiers.
        ssim_as_printed: SSIM by sigma, with the data range that the paper seems to use; of digits.
        search: Result of the search, if the network was searched.
        trained: The trained network, if a search chose it.
        timing: Latency beside the other networks of the table; stored in a file of its own.
        is_of_old_search: Whether the search was that of before 2026-11-28 (docs/log.md).
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
    is_of_old_search: Annotated[bool, Field(exclude=True)] = False

    @property
    def architecture(self) -> Architecture | NetworkFacts:
        """The trained network."""
        if self.trained is not None:
            return self.trained
        assert not isinstance(self.cell.network, Searched)  # noqa: S101  (else ``trained`` is set)
        return self.cell.network


@dataclass(frozen=True)
class Measure:
    """A column of a table.

    Attributes:
        title: Title with unit.
        digits: Decimal places of our values; the paper's values stay as printed.
        read: Reads the value from a result; returns ``None`` if there is none.
        is_counted: Whether the value is the same for every seed.
        absent: Text for a network that was run and has no such value.
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
        title: Name for people.
        cells: Its trainings, with different seeds.
        printed: The paper's values by the title of the measure.
    """

    title: str
    cells: tuple[Cell, ...]
    printed: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """A table or a figure of the paper at one scale.

    Attributes:
        name: Name, such as ``table_1``.
        scale: Effort.
        title: Title of the table or figure.
        measures: Columns.
        rows: Networks.
        deployment: Conditions of latencies; ``None`` without latencies.
    """

    name: str
    scale: Scale
    title: str
    measures: tuple[Measure, ...]
    rows: tuple[Row, ...]
    deployment: Deployment | None = None

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Every training of every row, once."""
        return tuple({cell.slug: cell for row in self.rows for cell in row.cells}.values())


@dataclass(frozen=True)
class Outcome:
    """An experiment and its results so far.

    Attributes:
        experiment: The experiment.
        by_slug: Existing results by the names of their cells.
    """

    experiment: Experiment
    by_slug: Mapping[str, CellResult]

    def of(self, row: Row) -> list[CellResult]:
        """Return the results of a row, one for each seed; empty if it was not run.

        Results of the old search count only as long as there are no others.
        """
        known = [self.by_slug[cell.slug] for cell in row.cells if cell.slug in self.by_slug]
        return [done for done in known if not done.is_of_old_search] or known

    def is_old(self, row: Row) -> bool:
        """Return whether the results of a row are of the old search."""
        return any(done.is_of_old_search for done in self.of(row))

    def title(self, row: Row) -> str:
        """Return the title of a row, which marks the old search."""
        return f"{row.title} (old search)" if self.is_old(row) else row.title

    @property
    def done(self) -> list[CellResult]:
        """All results, in the order of the cells."""
        return list(self.by_slug.values())


def at_scale(outcomes: Iterable[Outcome], scale: Scale) -> dict[str, Outcome]:
    """Return the outcomes of one scale by the names of their experiments."""
    of_scale = (outcome for outcome in outcomes if outcome.experiment.scale == scale)
    return {outcome.experiment.name: outcome for outcome in of_scale}


class Spread(NamedTuple):
    """Mean and standard deviation of a value over seeds.

    Attributes:
        mean: Mean over the seeds.
        deviation: Sample standard deviation; ``None`` for one seed.
    """

    mean: float
    deviation: float | None

    def shown(self, digits: int) -> str:
        """Return ``27.74``, or ``27.74 ± 0.05`` for several seeds."""
        mean = f"{self.mean:.{digits}f}"
        return mean if self.deviation is None else f"{mean} ± {self.deviation:.{digits}f}"


def spread(values: Sequence[float | None]) -> Spread | None:
    """Return the spread of the known values; ``None`` if there are none."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return Spread(statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else None)
