"""The folder of a search: what was asked, where it stands, what it found.

::

    SEARCH/
      request.json             target, recipe and data: what was asked
      table.json               the latency table that priced it, with its space
      checkpoint.safetensors   the whole state, to go on from
      epochs.csv               one row an epoch
      architecture.json        the network that was found
      result.json              how it ended; its presence says that the search is finished
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveFloat

from tapetum.arch import Choice
from tapetum.data import DatasetInfo
from tapetum.errors import RunError
from tapetum.latency import LatencyTable
from tapetum.provenance import Provenance
from tapetum.records import FiniteOrNone, Record, differences, write_csv
from tapetum.search.recipe import SearchRecipe

__all__ = ["SearchEpoch", "SearchFolder", "SearchPosition", "SearchRequest", "SearchResult"]


class SearchRequest(Record):
    """What was asked of a search.

    Attributes:
        recipe: How to search.
        target_ms: What the found network may take, by the table.
        data: The dataset.
    """

    format: Literal["tapetum-search"] = "tapetum-search"
    schema_version: Literal[1] = 1
    recipe: SearchRecipe
    target_ms: PositiveFloat
    data: DatasetInfo


class SearchEpoch(Record):
    """How one epoch went.

    Attributes:
        epoch: From 1.
        means: Over the epoch's steps: ``loss`` of the sampled path and its terms, ``alpha_loss``.
        expected_ms: Of the logits at the end of the epoch.
        likeliest_ms: Of the network of the likeliest candidates, widths scaled.
        widths_ended: Why its widths stayed where they are.
        judged: That network on held-out images, batch statistics re-estimated: ``loss``, and
            ``accuracy`` and ``psnr_db`` where it has such an output.
        entropy: Of the logits, from 1 (undecided) to 0.
        temperature: Of the Gumbel-softmax.
        probabilities: Of each candidate of each slot.
        depths: Of each depth of each run that may be left out.
        widths: Of each candidate of each slot, scaled; none in results older than they are.
        seconds: That it took.
    """

    epoch: int
    means: dict[str, float]
    expected_ms: float
    likeliest_ms: float
    widths_ended: Literal["target", "narrowest", "widest"]
    judged: dict[str, FiniteOrNone]
    entropy: float
    temperature: float
    probabilities: dict[str, dict[str, float]]
    depths: dict[str, tuple[float, ...]]
    widths: dict[str, dict[str, int]] = Field(default_factory=dict)
    seconds: float

    def flat(self) -> dict[str, Any]:
        """One level of columns, without the probabilities."""
        plain = self.model_dump(exclude={"means", "judged", "probabilities", "depths", "widths"})
        return {**plain, **self.means, **{f"judged_{k}": v for k, v in self.judged.items()}}


class SearchPosition(Record):
    """Where a search stands.

    Attributes:
        epoch: Whole epochs behind it.
        step: Steps of the weights since the beginning.
        sums: Over the steps of the unfinished epoch, and how many values each sum is of.
        counts: As above.
        seconds: Spent on the unfinished epoch.
        rows: One for each whole epoch.
        num_images: A set that has grown or shrunk since is noticed.
        widths: Of every candidate.
        weight_groups: Settings of the optimizer of weights.
        alpha_groups: Settings of the optimizer of logits.
    """

    epoch: int = 0
    step: int = 0
    sums: dict[str, float] = Field(default_factory=dict)
    counts: dict[str, int] = Field(default_factory=dict)
    seconds: float = 0.0
    rows: tuple[SearchEpoch, ...] = ()
    num_images: int = 0
    widths: dict[str, dict[str, int]] = Field(default_factory=dict)
    weight_groups: list[dict[str, Any]] = Field(default_factory=list)
    alpha_groups: list[dict[str, Any]] = Field(default_factory=list)


class SearchResult(Record):
    """How a search ended.

    Attributes:
        choices: What stands in each slot of the found network.
        predicted_ms: What the table says of it.
        target_ms: What was asked.
        likeliest_ms: What the network of the likeliest candidates would take, widths scaled.
        widths_ended: Why its widths stayed where they are.
        epochs: How the search went.
        seconds: That it took, without pauses.
        images_per_second: Images that taught the weights, over ``seconds``.
        provenance: When and where it was begun, or last gone on with.
    """

    schema_version: Literal[1] = 1
    choices: dict[str, Choice | None]
    predicted_ms: float
    target_ms: float
    likeliest_ms: float
    widths_ended: Literal["target", "narrowest", "widest"]
    epochs: tuple[SearchEpoch, ...]
    seconds: float
    images_per_second: float
    provenance: Provenance


@dataclass(frozen=True)
class SearchFolder:
    """The folder of one search; see the module's text for its files.

    Attributes:
        path: Of the folder.
        request: What was asked.
        table: What priced it.
    """

    path: Path
    request: SearchRequest
    table: LatencyTable

    @classmethod
    def start(
        cls, path: Path, request: SearchRequest, table: LatencyTable, *, resume: bool
    ) -> "SearchFolder":
        """Makes the folder of a new search, or opens it to go on.

        Args:
            path: Of the folder.
            request: What is asked now.
            table: What prices it now.
            resume: Whether to go on; where nothing has begun, a new search begins.

        Raises:
            RunError: The folder is taken, or holds a search of another request, or a finished one.
        """
        if (path / "request.json").is_file():
            return cls.open(path)._checked(request, table, resume=resume)
        if path.exists() and any(path.iterdir()):
            raise RunError(
                f"{path} exists and is not the folder of a search", "choose another --out"
            )
        path.mkdir(parents=True, exist_ok=True)
        table.write(path / "table.json")
        request.write(path / "request.json")
        return cls(path, request, table)

    @classmethod
    def open(cls, path: Path) -> "SearchFolder":
        """Opens the folder of a search, finished or not.

        Raises:
            RunError: There is no search at ``path``.
            InputError: Its files are damaged.
        """
        if not (path / "request.json").is_file():
            raise RunError(
                f"{path} is not the folder of a search: it has no request.json",
                "give the folder that was made by 'tapetum search --out'",
            )
        request = SearchRequest.read(path / "request.json")
        return cls(path, request, LatencyTable.read(path / "table.json"))

    @property
    def network_name(self) -> str:
        """Of what will be found, such as ``dc-nas-8ms``."""
        return f"{self.table.space.name}-{self.request.target_ms:g}ms"

    @property
    def checkpoint(self) -> Path:
        """The state at the last checkpoint."""
        return self.path / "checkpoint.safetensors"

    @property
    def is_finished(self) -> bool:
        """Whether the search came to its end."""
        return (self.path / "result.json").is_file()

    def result(self) -> SearchResult:
        """How the search ended.

        Raises:
            RunError: It has not ended.
        """
        if not self.is_finished:
            raise RunError(f"the search {self.path} is not finished", "go on with --resume")
        return SearchResult.read(self.path / "result.json")

    def write_rows(self, rows: Sequence[SearchEpoch]) -> None:
        """Replaces ``epochs.csv``."""
        write_csv(self.path / "epochs.csv", [row.flat() for row in rows])

    def write_result(self, result: SearchResult) -> None:
        """Writes the network that was found, then the result, which marks the end."""
        architecture = self.table.space.architecture(result.choices, name=self.network_name)
        architecture.write(self.path / "architecture.json")
        result.write(self.path / "result.json")

    def require_same(self, request: SearchRequest, table: LatencyTable) -> None:
        """Refuses what a search of another request, or another table, has found.

        Raises:
            RunError: It names each field that differs.
        """
        found = differences(self.request, request)
        found += [] if table == self.table else ["the latency table is another"]
        if found:
            raise RunError(
                f"the search {self.path} is of another request: {'; '.join(found)}",
                "ask for the same again, or choose another --out",
            )

    def _checked(
        self, request: SearchRequest, table: LatencyTable, *, resume: bool
    ) -> "SearchFolder":
        if self.is_finished:
            raise RunError(f"the search {self.path} is finished", "choose another --out")
        if not resume:
            raise RunError(
                f"{self.path} holds a search already",
                "go on with --resume, or choose another --out",
            )
        self.require_same(request, table)
        return self
