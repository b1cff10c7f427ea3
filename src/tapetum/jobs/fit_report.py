"""The report of a fit: the budget, the package, and the reasons to believe both."""

from collections.abc import Mapping

from tapetum.arch import Architecture
from tapetum.data import Dataset
from tapetum.jobs.device import SCOPES
from tapetum.jobs.diagram import network_diagram
from tapetum.jobs.fit_result import NETWORK, FitResult
from tapetum.jobs.run_report import (
    curve,
    dataset_tables,
    example_groups,
    facts_of,
    learning_curve,
    level_curves,
    score_cells,
    score_highlights,
    score_tables,
)
from tapetum.report import content, write_report
from tapetum.search import SearchResult
from tapetum.training import RUNS, Run, load_network, network_predict

__all__ = ["write_fit_report"]

TITLES = {
    NETWORK: "searched network",
    "control_random": "random architecture, same latency",
    "control_uniform": "uniform architecture (one operator), same latency",
}


def write_fit_report(fit: FitResult, dataset: Dataset) -> None:
    """Write ``report.html``.

    Args:
        fit: The fit; everything but its report and ``result.json`` is in its folder.
        dataset: The dataset that it was made for.
    """
    run = RUNS.open(fit.runs[NETWORK])
    result, architecture = run.result(), _architecture_of(run)
    search = fit.search
    report = content.Report(
        title=_title(fit, architecture.name),
        lead=_lead(fit),
        highlights=_highlights(fit),
        tables=(
            _latencies(fit),
            *([_comparison(fit)] if fit.request.controls else []),
            *score_tables(fit.delivery.scores),
            _slots(fit),
            *dataset_tables(dataset),
        ),
        diagrams=(network_diagram(architecture, fit.request.conditions.height_px),),
        curves=(*level_curves(fit.delivery.scores), learning_curve(run), *_search_curves(search)),
        examples=example_groups(network_predict(load_network(run.path)), dataset, run.request),
        commands=tuple(filter(None, (result.provenance.command, fit.delivery.command))),
        facts={
            "conditions": str(fit.request.conditions),
            "search": f"{fit.request.search_recipe.name}, {search.seconds / 60:.1f} minutes, "
            f"{search.images_per_second:,.0f} images per second",
            **facts_of(run, result),
        },
    )
    write_report(fit.report, report)


def _title(fit: FitResult, name: str) -> str:
    delivery = fit.delivery
    if delivery.timing is None:
        return f"{name}: {delivery.predicted_ms:.3g} ms predicted, budget {delivery.target_ms:g} ms"
    budget = f"budget {delivery.target_ms:g} ms{'' if delivery.keeps_target else ', missed'}"
    return f"{name}: {delivery.timing.median_ms:.3g} ms, {budget}"


def _lead(fit: FitResult) -> str:
    delivery = fit.delivery
    if delivery.timing is None:
        return (
            f"The latency is the prediction of the table of {fit.request.conditions.device}. "
            f"Measure the package on that device: {delivery.command}"
        )
    sentences = [f"{line[0].upper()}{line[1:]}." for line in delivery.verdict]
    return " ".join([*sentences, "Measured with the trained weights in the runtime that ships."])


def _architecture_of(run: Run) -> Architecture:
    architecture = run.request.architecture
    assert isinstance(architecture, Architecture)  # noqa: S101  (a space makes architectures)
    return architecture


def _highlights(fit: FitResult) -> Mapping[str, str]:
    delivery = fit.delivery
    shown = {"budget, ms": f"{delivery.target_ms:g}"}
    if delivery.timing is None:
        shown["predicted, ms"] = f"{delivery.predicted_ms:.3g}"
    else:
        shown["median, ms"] = f"{delivery.timing.median_ms:.3g}"
        shown["95th percentile, ms"] = f"{delivery.timing.p95_ms:.3g}"
    return shown | score_highlights(delivery.scores)


def _latencies(fit: FitResult) -> content.Table:
    """Return the way from the budget to the package, in milliseconds."""
    overhead = fit.delivery.overhead
    fastest_ms, slowest_ms = map(overhead.latency_ms, fit.table.range)
    matched, timing = fit.selection.matched, fit.delivery.timing
    likeliest = f"{overhead.latency_ms(fit.search.likeliest_ms):.3g}"
    rows = [
        ("range of the search space", f"{fastest_ms:.3g} to {slowest_ms:.3g}", "predicted"),
        ("budget", f"{fit.request.target_ms:.3g}", "requested"),
        ("likeliest blocks after the search", likeliest, "predicted"),
    ]
    for number, attempt in enumerate(() if matched is None else matched.attempts):
        name = f"network {number + 1}"
        chosen = " (selected)" if matched is not None and number == matched.chosen else ""
        rows.append((name, f"{attempt.predicted_ms:.3g}", "predicted"))
        measured = f"{attempt.timing.median_ms:.3g}"
        rows.append((f"{name}, before training{chosen}", measured, "measured"))
    if fit.delivery.benchmark is None or timing is None:
        rows.append(("package", f"{fit.delivery.predicted_ms:.3g}", "predicted"))
        highlighted = len(rows) - 1
    else:
        rows.append(("package, 95th percentile", f"{timing.p95_ms:.3g}", "measured"))
        highlighted = len(rows) + list(SCOPES).index(fit.request.includes)
        rows += [
            (f"package, median, {name}", f"{ms:.3g}", "measured")
            for name, ms in fit.delivery.benchmark.medians
        ]
    accuracy = fit.table.accuracy
    note = (
        f"{fit.request.conditions}. The mean error of the table is "
        f"{accuracy.mean_relative_error:.1%}; nine in ten networks lie within "
        f"{accuracy.interval:.1%} of its predictions."
    )
    if overhead.includes != "network":
        note += (
            f" The budget includes {SCOPES[overhead.includes]} of {overhead.width_px} x "
            f"{overhead.height_px} px: {overhead.fixed_ms:.3g} ms for the preparation, and "
            f"{overhead.passes:.3g} times one pass."
        )
    if timing is not None:
        note += f" Measured latencies are medians of {timing.num_rounds} rounds spread in time."
    return content.Table(
        title="Latency",
        header=("", "ms", "source"),
        rows=tuple(rows),
        note=note,
        highlighted=(highlighted,),
    )


def _comparison(fit: FitResult) -> content.Table:
    """Return the scores of the searched network and of the controls."""
    rows = []
    for name, path in fit.runs.items():
        run = RUNS.open(path)
        scores = run.result().scores
        assert scores is not None  # noqa: S101  (every training is scored)
        predicted = fit.table.predict_architecture(_architecture_of(run)).median_ms
        rows.append((TITLES[name], f"{predicted:.3g}", *score_cells(scores)))
    recipe = fit.request.recipe
    return content.Table(
        title="Comparison at the same latency",
        header=("network", "predicted, ms", "accuracy, %", "PSNR, dB", "SSIM"),
        rows=tuple(rows),
        note=f"All were trained alike: {recipe.name}, {recipe.epochs} epochs, seed {recipe.seed}. "
        "With one seed each, differences of a percentage point or less are not significant.",
        highlighted=(0,),
    )


def _slots(fit: FitResult) -> content.Table:
    """Return the choice for each slot, and its probability at the end of the search."""
    return content.Table(
        title="Selected blocks",
        header=("slot", "block", "hidden channels", "probability"),
        rows=fit.search.cells(fit.selection.choices),
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
