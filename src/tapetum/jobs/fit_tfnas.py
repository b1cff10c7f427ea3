"""The published search as the method of a fit: a latency table, a supernet, and a knapsack.

Files in the folder of the fit::

    table.json      the latency table
    overhead.json   what the budget includes beside one pass of the network
    search/         the search (tapetum.search)
    matched.json    the networks that were timed before the training
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

from tapetum.errors import InputError
from tapetum.jobs.controls import CONTROLS, control
from tapetum.jobs.controls import Control as ControlKind
from tapetum.jobs.device import SCOPES, Overhead
from tapetum.jobs.fit_result import Control, Controls, FitResult, FittedNetwork
from tapetum.jobs.fit_work import FitWork, Method, Sections
from tapetum.jobs.match import MatchedNetwork, match_target
from tapetum.jobs.request import OpenedRequest
from tapetum.jobs.request_tfnas import TfNasSettings
from tapetum.jobs.run_report import curve
from tapetum.latency import Budget, Effort, LatencyTable, measure_table
from tapetum.progress import Stages, pasted
from tapetum.report import content
from tapetum.search import SearchResult, keeps_budget, search
from tapetum.training import Recipe

__all__ = ["MATCHED", "OVERHEAD", "SEARCH", "TABLE", "TfNas", "look_at_space"]

MEASURING, SEARCHING = "latency table", "search"  # stages
TABLE, OVERHEAD, SEARCH, MATCHED = "table.json", "overhead.json", "search", "matched.json"
CONTROL_SEED = 11
LEFT = "the search prefers no slower network of the space that keeps it"
TITLES: Mapping[ControlKind, str] = {
    "random": "random architecture, same latency",
    "uniform": "uniform architecture (one operator), same latency",
}


def look_at_space(opened: OpenedRequest, path: Path, *, overwrite: bool) -> None:
    """Refuse a budget that is far below the space, before there is a folder and a table."""
    has_table = opened.table is not None or ((path / TABLE).exists() and not overwrite)
    if opened.device is not None and not has_table:
        space = cast("TfNasSettings", opened.request.method).space
        opened.device.require_room(space, opened.request.target_ms)


@dataclass(frozen=True)
class TfNas(Method):
    """The published search, for fp32 as its table is."""

    work: FitWork
    given: LatencyTable | None
    effort: Effort

    @property
    def settings(self) -> TfNasSettings:
        """The space and the search recipe."""
        return cast("TfNasSettings", self.work.request.method)

    @property
    def table(self) -> LatencyTable:
        """The latency table."""
        return LatencyTable.read(self.work.path / TABLE)

    @property
    def overhead(self) -> Overhead:
        """What the budget includes beside one pass, measured once."""
        device = self.work.device
        if device is None:
            return Overhead()
        table = self.table
        return self.work.folder.once(OVERHEAD, Overhead, lambda: device.overhead(table))

    @property
    def budget(self) -> Budget:
        """The budget of one pass; where there is none, the message says how to keep the table."""
        try:
            return self.overhead.budget(self.table, self.work.request.target_ms)
        except InputError as error:
            path = self.work.path / TABLE
            again = f"give another --out, and --latency {pasted(path)} to measure no more"
            raise InputError(error.problem, f"{error.remedy}; {again}") from error

    @property
    def stages(self) -> Stages:
        """The stages, of which nobody knows how long they take."""
        return self.work.stages({MEASURING: None, SEARCHING: None})

    def prepare(self) -> None:
        """Keep the given latency table, or measure one; refuse a budget that no network keeps."""
        path, request = self.work.path / TABLE, self.work.request
        self.stages.begin(MEASURING)
        if not path.exists() and self.given is not None:
            self.given.write(path)
        elif not path.exists():
            assert self.work.device is not None  # noqa: S101  (without a table this is the device)
            what = (self.settings.space, self.work.device.runtime, request.conditions, path)
            measure_table(*what, effort=self.effort, progress=self.work.progress)
        overhead = self.overhead
        fastest_ms, slowest_ms = map(overhead.latency_ms, self.budget.table.range)
        self.work.progress(
            1,
            1,
            f"latency range of this space, for {SCOPES[overhead.includes]}: {fastest_ms:.3g} to "
            f"{slowest_ms:.3g} ms",
        )

    def recipe(self) -> Recipe:
        """Return the recipe that was requested."""
        return self.work.request.recipe

    def choose(self) -> FittedNetwork:
        """Search, and match the network to the budget by timing it."""
        data, recipe = self.work.dataset, self.settings.search_recipe
        self.stages.begin(SEARCHING)
        result = search(
            self.work.path / SEARCH,
            recipe,
            self.budget,
            data.train.augmented(recipe.augmentation),
            data=data.info,
            resume=True,
            progress=self.work.progress,
        )
        request, device = self.work.request, self.work.device
        name = f"{self.settings.space.name}-{request.target_ms:g}ms"
        if device is None:
            network = self.settings.space.architecture(result.choices, name=name)
            found_ms = result.predicted_ms
            note = "" if keeps_budget(found_ms, request.target_ms) else LEFT
            return FittedNetwork(architecture=network, predicted_ms=found_ms, note=note)
        given = (self.budget, result.derive, device.time)
        match = partial(match_target, *given, overhead=self.overhead)
        matched = self.work.folder.once(MATCHED, MatchedNetwork, match)
        network = self.settings.space.architecture(matched.choices, name=name)
        return FittedNetwork(
            architecture=network,
            predicted_ms=matched.attempt.predicted_ms,
            benchmark=device.benchmark(device.call(network).network, target_ms=request.target_ms),
            note=matched.note,
        )

    def controls(self, chosen: FittedNetwork) -> Controls:
        """Return a random and a uniform architecture of the same latency."""
        return Controls(controls=tuple(self.control(kind, chosen) for kind in CONTROLS))

    def control(self, kind: ControlKind, chosen: FittedNetwork) -> Control:
        """Return one of them."""
        table, limit_ms = self.table, self.overhead.pass_ms(chosen.predicted_ms)
        choices = control(kind, table, limit_ms=limit_ms, seed=CONTROL_SEED)
        network = self.settings.space.architecture(choices, name=f"control-{kind}")
        return Control(
            title=TITLES[kind],
            networks={f"control_{kind}": network},
            latency_ms=self.overhead.latency_ms(table.predict(choices).median_ms),
            is_measured=False,
        )

    def sections(self, fit: FitResult) -> Sections:
        """Return the way from the table to the network, and how the search went."""
        overhead, table = self.overhead, self.table
        result = SearchResult.read(fit.path / SEARCH / "result.json")
        fastest_ms, slowest_ms = map(overhead.latency_ms, table.range)
        matched = MatchedNetwork.read(fit.path / MATCHED) if self.work.device else None
        likeliest = f"{overhead.latency_ms(result.likeliest_ms):.3g}"
        return Sections(
            range=(f"{fastest_ms:.3g} to {slowest_ms:.3g} ms", "predicted"),
            rows=(
                ("likeliest blocks after the search", likeliest, "predicted"),
                *_attempts(matched),
            ),
            tables=(_slots(result, matched),),
            curves=_search_curves(result),
            facts={
                "search": f"{self.settings.search_recipe.name}, {result.seconds / 60:.1f} minutes, "
                f"{result.images_per_second:,.0f} images per second",
            },
            note=_accuracy_note(table) + _overhead_note(overhead),
        )


def _attempts(matched: MatchedNetwork | None) -> list[tuple[str, str, str]]:
    """Return rows of the networks that were timed before the training."""
    rows = []
    for number, attempt in enumerate(() if matched is None else matched.attempts):
        name = f"network {number + 1}"
        chosen = " (selected)" if matched is not None and number == matched.chosen else ""
        rows.append((name, f"{attempt.predicted_ms:.3g}", "predicted"))
        measured = f"{attempt.timing.median_ms:.3g}"
        rows.append((f"{name}, before training{chosen}", measured, "measured"))
    return rows


def _accuracy_note(table: LatencyTable) -> str:
    accuracy = table.accuracy
    return (
        f"The mean error of the table is {accuracy.mean_relative_error:.1%}; nine in ten networks "
        f"lie within {accuracy.interval:.1%} of its predictions."
    )


def _overhead_note(overhead: Overhead) -> str:
    if overhead.includes == "network":
        return ""
    return (
        f" The budget includes {SCOPES[overhead.includes]} of {overhead.width_px} x "
        f"{overhead.height_px} px: {overhead.fixed_ms:.3g} ms for the preparation, and "
        f"{overhead.passes:.3g} times one pass."
    )


def _slots(result: SearchResult, matched: MatchedNetwork | None) -> content.Table:
    """Return the choice for each slot, and its probability at the end of the search."""
    return content.Table(
        title="Selected blocks",
        header=("slot", "block", "hidden channels", "probability"),
        rows=result.cells(result.choices if matched is None else matched.choices),
    )


def _search_curves(search: SearchResult) -> tuple[content.Curve, ...]:
    """Return latency, entropy and how decided the slots are, against the epoch of the search."""
    epochs = search.epochs
    x = [float(row.epoch) for row in epochs]
    latencies = {
        "expected": [row.expected_ms for row in epochs],
        "likeliest blocks": [row.likeliest_ms for row in epochs],
        "target": [search.target_ms] * len(x),
    }
    entropy = {"entropy": [row.entropy for row in epochs]}
    curves = [
        curve("Latency during the search", "predicted, ms", x, latencies),
        curve("Entropy of the choices", "entropy, share of the maximum", x, entropy),
    ]
    decided = [sorted(max(slot.values()) for slot in row.probabilities.values()) for row in epochs]
    lines = {
        "most decided slot": [slots[-1] for slots in decided],
        "median slot": [slots[len(slots) // 2] for slots in decided],
        "least decided slot": [slots[0] for slots in decided],
    }
    title = "Probability of the likeliest block of a slot"
    return (*curves, curve(title, "probability", x, lines))
