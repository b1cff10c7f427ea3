"""Networks of an experiment that a search chooses, and their controls.

The latency table of a search is ``SCALE/tables/NAME.json`` beside the results; a missing table is
measured on this machine.  Several networks may come from one search (with other decoders, in
another layout, or as controls), so a search has a folder of its own.
"""

from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, PositiveFloat, model_validator

from tapetum.arch import Architecture, Choice, Choices, NetworkFacts, Space
from tapetum.data import Dataset
from tapetum.errors import ArchitectureError, InputError
from tapetum.jobs import control
from tapetum.latency import (
    Budget,
    Effort,
    LatencyTable,
    measure_table,
)
from tapetum.progress import ProgressCallback
from tapetum.records import Record
from tapetum.search import SearchRecipe, SearchResult, search
from tapetum_paper.deployment import Deployment

__all__ = ["Control", "Found", "Searched", "Target", "Yardstick", "carry_over", "find_network"]

CONTROL_SEED = 11

Control = Literal["random", "uniform"]
"""A network of the space that no search chose: drawn at random, or the same block everywhere."""


class Target(Record):
    """A latency in milliseconds, or as a position in the range of a space on a device.

    Attributes:
        ms: Milliseconds, or ``None``.
        share: From 0, the fastest network of the space, to 1, the slowest, or ``None``.
    """

    ms: PositiveFloat | None = None
    share: Annotated[float, Field(ge=0, le=1)] | None = None

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if (self.ms is None) == (self.share is None):
            raise ValueError("give ms or share, and not both")
        return self

    def __str__(self) -> str:
        return f"share{self.share:g}" if self.ms is None else f"{self.ms:g}ms"

    def in_ms(self, table: LatencyTable) -> float:
        """Return milliseconds on the device of a table."""
        if self.ms is not None:
            return self.ms
        assert self.share is not None  # noqa: S101  (validated above)
        return round(table.range.at(self.share), 3)


class Yardstick(Record):
    """Another space whose range defines a target, so that several spaces get the same latency.

    Attributes:
        space: The other space.
        table: Name of its latency table.
    """

    space: Space
    table: str


class Searched(Record):
    """A request to search for a network.

    Attributes:
        name: Name of the network.
        space: The search space.
        table: Name of its latency table.
        target: Latency target.
        yardstick: Space that defines a target given as a share; ``None`` for the search space.
        recipe: Search recipe.
        control: Kind of control that replaces the searched network, at the same latency.
        built_in: Another space that receives the searched blocks, such as one with a decoder.
    """

    format: Literal["tapetum-searched"] = "tapetum-searched"
    name: str
    space: Space
    table: str
    target: Target
    yardstick: Yardstick | None = None
    recipe: SearchRecipe
    control: Control | None = None
    built_in: Space | None = None

    @property
    def slug(self) -> str:
        """Name of the folder of the search."""
        return f"{self.table}-{self.target}_{self.recipe.name}_seed{self.recipe.seed}"

    def architecture(self, table: LatencyTable, found: SearchResult) -> Architecture:
        """Return the architecture made of the searched blocks."""
        choices: dict[str, Choice | None] = dict(found.choices)
        if self.control is not None:
            seed = CONTROL_SEED + self.recipe.seed
            choices = control(self.control, table, limit_ms=found.predicted_ms, seed=seed)
        if self.built_in is None:
            return self.space.architecture(choices, name=self.name)
        if set(choices) != set(self.built_in.slots):
            choices = carry_over(choices, self.built_in)
        return self.built_in.architecture(choices, name=self.name)


class Found(NamedTuple):
    """The network of a cell.

    Attributes:
        architecture: The network to train.
        search: Result of the search; ``None`` without a search.
    """

    architecture: Architecture | NetworkFacts
    search: SearchResult | None


def find_network(
    searched: Searched,
    dataset: Dataset,
    deployment: Deployment,
    *,
    tables: Path,
    searches: Path,
    progress: ProgressCallback,
) -> Found:
    """Search for a network, or read the result of an earlier search.

    Args:
        searched: The request.
        dataset: The dataset; its training part is searched on.
        deployment: Runtime and conditions.
        tables: Folder of the latency tables; a missing table is measured on this machine.
        searches: Folder of the searches; an interrupted search continues.
        progress: Receives the progress of every step.

    Raises:
        InputError: The table has another space, device or runtime, or the target is not feasible.
        RunError: The folder of the search has another request.
        DataError: There are too few images.
        TrainingError: The search cannot continue; its last state is kept.
    """
    table = _table(searched, deployment, tables, progress)
    ruler = (
        table
        if searched.yardstick is None
        else _table(searched.yardstick, deployment, tables, progress)
    )
    target_ms = searched.target.in_ms(ruler)
    found = search(
        searches / searched.slug,
        searched.recipe,
        Budget.of(table, target_ms),
        dataset.train,
        data=dataset.info,
        resume=True,
        progress=progress,
    )
    return Found(searched.architecture(table, found), found)


def _table(
    priced: Searched | Yardstick, deployment: Deployment, tables: Path, progress: ProgressCallback
) -> LatencyTable:
    """Read the table of a space, or measure it on this machine."""
    conditions, path = deployment.conditions, tables / f"{priced.table}.json"
    if path.exists():
        table = LatencyTable.read(path)
        table.conditions.require_same(conditions, what=str(path))
        if table.space != priced.space:
            raise InputError(f"{path} is of another space", "remove it, and it is measured")
        return table
    return measure_table(
        priced.space,
        deployment.runtime,
        conditions,
        path,
        effort=Effort(deployment.table_networks, deployment.table_minutes),
        progress=progress,
    )


def carry_over(found: Choices, target: Space) -> dict[str, Choice | None]:
    """Put the blocks of a searched classifier into the slots of another space, stage by stage.

    This is how the paper makes its networks.  A C-NAS gives its first stages to the encoder
    (D-NAS).  The other stages go to the branch (DC-NAS), or all stages to a second classifier
    (DC-NAS_seq).

    Args:
        found: A choice for each slot of a C-NAS.
        target: A space of the same frame, without slots in its decoder.

    Raises:
        ArchitectureError: The target has slots in its decoder, or another number of slots.
    """
    stages = list(found.values())
    encoder = [path for path in target.slots if path.startswith("encoder.")]
    branch = [path for path in target.slots if path.startswith("classifier.")]
    is_branch = target.classifier is not None and target.classifier.source == "encoder"
    for_branch = stages[len(encoder) :] if is_branch else stages
    does_fit = len(for_branch) == len(branch) or not branch
    if len(encoder) + len(branch) < len(target.slots) or len(encoder) > len(stages) or not does_fit:
        raise ArchitectureError(
            f"the {len(stages)} searched blocks do not fit the {len(target.slots)} slots of "
            f"{target.name}",
            "use a space of the same frame, with a decoder that is not searched",
        )
    return {
        **dict(zip(encoder, stages, strict=False)),
        **dict(zip(branch, for_branch, strict=False)),
    }
