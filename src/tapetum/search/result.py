"""The folder of a search: what was requested, how it went, which network it chose.

::

    SEARCH/
      request.json             recipe, latency target, latency table and dataset
      checkpoint.safetensors   the whole state, to resume from
      epochs.csv               one row for each epoch
      architecture.json        the searched network
      result.json              how the search ended; marks it as finished
"""

import math
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, PositiveFloat

from tapetum.arch import Choice
from tapetum.data import DatasetInfo
from tapetum.latency import Budget, Selection
from tapetum.provenance import Provenance
from tapetum.records import FiniteOrNone, FolderKind, Record
from tapetum.search.derive import derive
from tapetum.search.recipe import SearchRecipe
from tapetum.search.widths import Ended
from tapetum.training import EpochRecord

__all__ = ["SEARCHES", "SearchEpoch", "SearchRequest", "SearchResult"]


class SearchRequest(Record):
    """What was requested of a search.

    Attributes:
        target_ms: Latency target in milliseconds, by the table.
        space: Name of the search space.
        table_sha256: Digest of the latency table, as JSON.
    """

    format: Literal["tapetum-search"] = "tapetum-search"
    schema_version: Literal[2, 3] = 3  # 2: batch norms with a scale, so no checkpoint fits
    recipe: SearchRecipe
    target_ms: PositiveFloat
    space: str
    table_sha256: str
    data: DatasetInfo

    @property
    def network_name(self) -> str:
        """Name of the searched network, such as ``dc-nas-8ms``."""
        return f"{self.space}-{self.target_ms:g}ms"


class SearchEpoch(EpochRecord):
    """How one epoch of a search went.

    Attributes:
        epoch: Number of the epoch, from 1.
        means: Means over the epoch's steps: ``loss``, its terms, ``alpha_loss``.
        expected_ms: Expected latency by the architecture parameters, at the end of the epoch.
        likeliest_ms: Latency of the network of the likeliest candidates, widths scaled.
        widths_ended: Why the widths of that network were not scaled further.
        judged: Scores of that network on held-out images, with batch statistics of its own:
            ``loss``, and ``accuracy`` and ``psnr_db`` where it has such an output.
        entropy: Entropy of the architecture parameters, from 1 (undecided) to 0.
        temperature: Temperature of the Gumbel-softmax.
        probabilities: Probability of each candidate of each slot.
        depths: Probability of each depth of each run of slots that may be left out.
        widths: Width of each candidate of each slot; empty in results of older versions.
        seconds: Time of the epoch in seconds.
    """

    epoch: int
    means: dict[str, float]
    expected_ms: float
    likeliest_ms: float
    widths_ended: Ended
    judged: dict[str, FiniteOrNone]
    entropy: float
    temperature: float
    probabilities: dict[str, dict[str, float]]
    depths: dict[str, tuple[float, ...]]
    widths: dict[str, dict[str, int]] = Field(default_factory=dict)
    seconds: float

    def flat(self) -> dict[str, Any]:
        """Return one level of columns, without the probabilities."""
        plain = self.model_dump(exclude={"means", "judged", "probabilities", "depths", "widths"})
        return {**plain, **self.means, **{f"judged_{k}": v for k, v in self.judged.items()}}


class SearchResult(Record):
    """How a search ended.

    Attributes:
        choices: Choice in each slot of the searched network.
        predicted_ms: Latency of the network by the table.
        target_ms: Latency target.
        likeliest_ms: Value of the last epoch; see :class:`SearchEpoch`.
        widths_ended: Value of the last epoch; see :class:`SearchEpoch`.
        epochs: How the search went.
        seconds: Search time in seconds, without pauses.
        images_per_second: Images that trained the weights, per second.
        provenance: When, where and with what the search was started, or resumed last.
    """

    schema_version: Literal[1] = 1
    choices: dict[str, Choice | None]
    predicted_ms: float
    target_ms: float
    likeliest_ms: float
    widths_ended: Ended
    epochs: tuple[SearchEpoch, ...]
    seconds: float
    images_per_second: float
    provenance: Provenance

    def cells(self, choices: Mapping[str, Choice | None]) -> tuple[tuple[str, ...], ...]:
        """Return a row of texts per slot: its path, candidate, hidden channels and probability."""
        rows = []
        for path, choice in choices.items():
            if choice is None:
                rows.append((path, "left out", "-", "-"))
            else:
                probability = self.epochs[-1].probabilities[path][choice.candidate]
                width = str(choice.hidden_channels)
                rows.append((path, choice.candidate, width, f"{probability:.2f}"))
        return tuple(rows)

    def derive(self, budget: Budget) -> Selection:
        """Return the network that the search prefers within a budget, of its target or another."""
        if budget.target_ms == self.target_ms:  # the score is not kept
            return Selection(self.choices, self.predicted_ms, score=math.nan)
        last = self.epochs[-1]
        return derive(budget, last.probabilities, last.depths, widths=last.widths)


SEARCHES = FolderKind("search", SearchRequest, SearchResult, "tapetum search")
