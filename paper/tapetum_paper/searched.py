"""Networks of an experiment that are not given but found: by a search, or as its control.

A search is priced by a latency table that lies beside the results, ``SCALE/tables/NAME.json``;
where there is none yet, it is measured on this machine.  Several networks may come from one search
(with other decoders, in another layout, or its controls), so a search has a folder of its own.
"""

from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, PositiveFloat, model_validator

from tapetum.arch import Architecture, Choice, Choices, NetworkFacts, Space
from tapetum.data import Dataset
from tapetum.errors import ArchitectureError
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
    """A latency, in milliseconds or by where it lies in the range of a space on a device.

    The second is for machines of which one does not know what they can do.

    Attributes:
        ms: Milliseconds; else null.
        share: From 0, the fastest network of the space, to 1, the slowest; else null.
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
        """What it is on the device of a table."""
        if self.ms is not None:
            return self.ms
        assert self.share is not None  # noqa: S101  (one of both is there)
        return round(table.range.at(self.share), 3)


class Yardstick(Record):
    """A space in whose range a target is a share, so that several spaces get the same latency.

    Attributes:
        space: Another than is searched.
        table: Name of the latency table that prices it.
    """

    space: Space
    table: str


class Searched(Record):
    """How a network is found.

    Attributes:
        name: Of the network.
        space: That is searched.
        table: Name of the latency table that prices the space.
        target: What the found network may take, by the table.
        yardstick: Of a target that is a share; the space that is searched where null.
        recipe: How to search.
        control: Instead of what the search finds, a network of the space as slow as that.
        built_in: The space whose network is made of the found blocks, where it is another: one with
            another decoder, or one that a C-NAS is carried over to.
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
        """Names the folder of the search; what is made of it does not matter."""
        return f"{self.table}-{self.target}_{self.recipe.name}_seed{self.recipe.seed}"

    def architecture(self, table: LatencyTable, found: SearchResult) -> Architecture:
        """What becomes of the blocks that were found."""
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
        architecture: To be trained.
        search: How the search went; ``None`` where there was none.
    """

    architecture: Architecture | NetworkFacts
    search: SearchResult | None


def find_network(
    asked: Searched,
    images: Dataset,
    deployment: Deployment,
    *,
    tables: Path,
    searches: Path,
    progress: ProgressCallback,
) -> Found:
    """Searches, or takes what an earlier search has found.

    Args:
        asked: How.
        images: The training part is searched on.
        deployment: Where the network will run.
        tables: Folder of the latency tables; one that is not there is measured on this machine.
        searches: Folder of the folders of searches; one that was killed goes on.
        progress: Is told of every step.

    Raises:
        InputError: The table is of another space, device or runtime, or the target not feasible.
        RunError: The folder of the search is of another request.
        DataError: There are too few images.
        TrainingError: The search cannot go on; its last state is kept.
    """
    table = _table(asked, deployment, tables, progress)
    ruler = (
        table if asked.yardstick is None else _table(asked.yardstick, deployment, tables, progress)
    )
    target_ms = asked.target.in_ms(ruler)
    found = search(
        searches / asked.slug,
        asked.recipe,
        Budget.of(table, target_ms),
        images.train,
        data=images.info,
        resume=True,
        progress=progress,
    )
    return Found(asked.architecture(table, found), found)


def _table(
    asked: Searched | Yardstick, deployment: Deployment, tables: Path, progress: ProgressCallback
) -> LatencyTable:
    """What prices a space, for this deployment and on this machine."""
    conditions, path = deployment.conditions, tables / f"{asked.table}.json"
    if path.exists():
        table = LatencyTable.read(path)
        table.require_same(conditions, asked.space, what=str(path))
        return table
    return measure_table(
        asked.space,
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
