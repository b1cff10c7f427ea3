"""What a fit leaves in its folder, opened."""

from pathlib import Path
from typing import Literal, NamedTuple

from tapetum.arch import Choice
from tapetum.jobs.match import MatchedNetwork
from tapetum.jobs.request import FitRequest
from tapetum.jobs.run_report import REPORT
from tapetum.latency import LatencyTable, Timing
from tapetum.records import Record
from tapetum.scores import Scores
from tapetum.search import SearchResult

__all__ = [
    "NETWORK",
    "PACKAGE",
    "SEARCH",
    "SELECTION",
    "TABLE",
    "Delivery",
    "FitResult",
    "FittedNetwork",
]

TABLE, SEARCH, SELECTION, NETWORK = "table.json", "search", "match.json", "network"
PACKAGE = "model.tapetum"


class FittedNetwork(Record):
    """The network that is trained.

    Attributes:
        choices: The choice for each slot of the space.
        predicted_ms: Latency by the table, in milliseconds.
        matched: How it was timed before its training; None where the device is another machine.
    """

    choices: dict[str, Choice | None]
    predicted_ms: float
    matched: MatchedNetwork | None = None


class Delivery(Record):
    """How a fit ended: the latency and the scores of the package.

    Attributes:
        target_ms: Latency budget, in milliseconds.
        predicted_ms: Latency by the table, in milliseconds.
        timing: Measured latency of the package with its trained weights; None where the device is
            another machine.
        note: Why the budget is not kept; empty where it is kept or not measured yet.
        command: The command that measures the package on another device; empty where it was
            measured here.
        scores: Scores of the searched network.
    """

    schema_version: Literal[1] = 1
    target_ms: float
    predicted_ms: float
    timing: Timing | None
    note: str = ""
    command: str = ""
    scores: Scores

    @property
    def ratio(self) -> float | None:
        """The measured median over the target."""
        return None if self.timing is None else self.timing.median_ms / self.target_ms


class FitResult(NamedTuple):
    """The folder of a finished fit, opened.

    Attributes:
        path: The folder.
        request: What was requested.
        table: The latency table.
        search: How the search ended.
        selection: The network that was trained.
        delivery: Latency and scores of the package.
    """

    path: Path
    request: FitRequest
    table: LatencyTable
    search: SearchResult
    selection: FittedNetwork
    delivery: Delivery

    @property
    def package(self) -> Path:
        """The file that ships."""
        return self.path / PACKAGE

    @property
    def report(self) -> Path:
        """The report."""
        return self.path / REPORT

    @property
    def scores(self) -> Scores:
        """Scores of the searched network."""
        return self.delivery.scores

    @property
    def runs(self) -> dict[str, Path]:
        """The folder of each training: ``network`` and the controls."""
        names = [NETWORK, *(f"control_{kind}" for kind in self.request.controls)]
        return {name: self.path / name for name in names}
