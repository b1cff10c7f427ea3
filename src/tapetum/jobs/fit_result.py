"""What a fit leaves in its folder, opened."""

from pathlib import Path
from typing import Literal, NamedTuple

from tapetum.arch import Choice
from tapetum.jobs.device import SCOPES, Overhead
from tapetum.jobs.match import BELOW, MatchedNetwork
from tapetum.jobs.request import FitRequest
from tapetum.jobs.run_report import REPORT
from tapetum.latency import Benchmark, LatencyTable, Timing
from tapetum.records import Record
from tapetum.scores import Scores
from tapetum.search import SearchResult

__all__ = [
    "NETWORK",
    "OVERHEAD",
    "PACKAGE",
    "SEARCH",
    "SELECTION",
    "TABLE",
    "Delivery",
    "FitResult",
    "FittedNetwork",
]

TABLE, SEARCH, SELECTION, NETWORK = "table.json", "search", "match.json", "network"
OVERHEAD, PACKAGE = "overhead.json", "model.tapetum"


class FittedNetwork(Record):
    """The network that is trained.

    Attributes:
        choices: The choice for each slot of the space.
        predicted_ms: Latency of one pass by the table, in milliseconds.
        matched: How it was timed before its training; None where the device is another machine.
        benchmark: One pass, and what surrounds it, before its training; None as above.
    """

    choices: dict[str, Choice | None]
    predicted_ms: float
    matched: MatchedNetwork | None = None
    benchmark: Benchmark | None = None


class Delivery(Record):
    """How a fit ended: the latency and the scores of the package.

    Attributes:
        target_ms: Latency budget, in milliseconds.
        overhead: What the budget includes beside one pass of the network.
        predicted_ms: Latency by the table, with what the budget includes, in milliseconds.
        benchmark: Measured latencies of the package with its trained weights; None where the
            device is another machine.
        note: Why the network that was selected misses the budget, or leaves much of it.
        command: The command that measures the package on another device; empty where it was
            measured here.
        scores: Scores of the searched network.
    """

    schema_version: Literal[2] = 2
    target_ms: float
    overhead: Overhead
    predicted_ms: float
    benchmark: Benchmark | None
    note: str = ""
    command: str = ""
    scores: Scores

    @property
    def timing(self) -> Timing | None:
        """The measured latency that the budget is compared with."""
        return None if self.benchmark is None else self.benchmark.compared

    @property
    def ratio(self) -> float | None:
        """The measured median over the target."""
        return None if self.benchmark is None else self.benchmark.ratio

    @property
    def keeps_target(self) -> bool | None:
        """Whether the median is at most 2 % above the target; None where it was not measured."""
        return None if self.benchmark is None else self.benchmark.keeps_target

    @property
    def verdict(self) -> tuple[str, ...]:
        """Sentences that say whether the budget is kept, without a full stop."""
        if self.timing is None or self.ratio is None or self.benchmark is None:
            return ()
        scope = SCOPES[self.overhead.includes]
        takes = f"{self.timing.median_ms:.3g} ms for {scope}"
        budget, why = f"the budget of {self.target_ms:g} ms", self.note and f": {self.note}"
        if not self.keeps_target:
            line = f"the package misses {budget}: {takes}, {self.ratio - 1:.0%} above it{why}"
        elif self.ratio < 1 - BELOW:
            line = f"the package stays {1 - self.ratio:.0%} below {budget}: {takes}{why}"
        else:
            line = f"the package keeps {budget}: {takes}"
        return (line, *_exceeding(self.benchmark))


def _exceeding(benchmark: Benchmark) -> tuple[str, ...]:
    """Say that the whole call misses a budget that was not meant to include it, and the remedy."""
    whole, calls = benchmark.exceeding_call, benchmark.calls
    if whole is None or calls is None:
        return ()
    return (
        f"the whole call takes {whole.median_ms:.3g} ms on an image of {calls.size}, above the "
        f"budget: fit with --budget-includes call, pass smaller images, or ask for the label "
        f"alone (mode 'label', about {calls.prepared.median_ms:.3g} ms)",
    )


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
