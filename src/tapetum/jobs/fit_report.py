"""The report of a fit: the budget, the package, and the reasons to believe both."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tapetum.data import Dataset
from tapetum.evaluation import PackageSubject
from tapetum.jobs.compare import scores_of
from tapetum.jobs.data_remarks import data_remarks
from tapetum.jobs.device import SCOPES
from tapetum.jobs.diagram import network_diagram
from tapetum.jobs.examples import example_groups, mistake_images
from tapetum.jobs.fit_result import NETWORK, NETWORK_FP32, FitResult
from tapetum.jobs.fit_work import Sections
from tapetum.jobs.front_report import POINT, TRAINED, front_curves, network_points
from tapetum.jobs.run_report import (
    as_sentences,
    dataset_tables,
    facts_of,
    label_matrices,
    learning_curve,
    level_curves,
    mean_cells,
    score_highlights,
    score_tables,
)
from tapetum.records import by_weight
from tapetum.report import content, write_report
from tapetum.runtime import open_package
from tapetum.scores import filled_columns
from tapetum.training import RUNS

__all__ = ["write_fit_report"]


def write_fit_report(
    fit: FitResult, dataset: Dataset, sections: Sections, beside: Sequence[FitResult] = ()
) -> None:
    """Write ``report.html``.

    Args:
        fit: The fit; everything but its report and ``result.json`` is in its folder.
        dataset: The dataset that it was made for.
        sections: What the method says of its choice.
        beside: Earlier fits of the same images, to compare with.
    """
    run = RUNS.open(fit.path / fit.delivery.run)
    result, architecture = run.result(), fit.delivery.architecture
    scores, tiles = fit.delivery.scores, _highlights(fit)
    subject = PackageSubject(open_package(fit.package))
    report = content.Report(
        title=_title(fit),
        lead=_lead(fit),
        highlights=tiles,
        warning=" ".join(as_sentences(scores.warnings)),
        doubtful=tiles if scores.warnings else (),
        advice=_advice(fit, dataset, sections),
        usage=fit.usage,
        tables=(
            _latencies(fit, sections),
            *([_comparison(fit)] if fit.controls.controls else []),
            *sections.tables,
            *score_tables(fit.delivery.scores),
            *dataset_tables(dataset),
        ),
        diagrams=(network_diagram(architecture, fit.request.conditions.height_px),),
        curves=(
            *front_curves([fit], beside),
            *sections.curves,
            *level_curves(fit.delivery.scores),
            learning_curve(run),
        ),
        examples=example_groups(scores, dataset, subject),
        matrices=label_matrices(scores),
        mistakes=mistake_images(scores, dataset, subject),
        commands=(result.provenance.command,),
        facts={
            "conditions": str(fit.conditions),
            **sections.facts,
            **facts_of(run, result),
        },
    )
    write_report(fit.report, report)


def _title(fit: FitResult) -> str:
    delivery = fit.delivery
    name = Path(fit.request.data.source).name
    if delivery.timing is None:
        return f"{name}: a network of {delivery.predicted_ms:.3g} ms, {fit.known_as}"
    state = "that keeps" if delivery.keeps_target else delivery.state.removesuffix(" it")
    return f"{name}: a network {state} {delivery.target_ms:g} ms"


def _lead(fit: FitResult) -> str:
    delivery = fit.delivery
    if delivery.timing is None:
        device = fit.request.conditions.device
        what = (
            f"The latency of this network was measured on {device}, with random weights."
            if fit.was_timed_there
            else f"The latency is the prediction of the table of {device}."
        )
        measure = "Measure the package on that device."
        return " ".join((what, *as_sentences(delivery.verdict), measure))
    return as_sentences(delivery.verdict[:1])[0]


def _advice(fit: FitResult, dataset: Dataset, sections: Sections) -> tuple[str, ...]:
    """Return what a reader should know before the package is used."""
    of_data = data_remarks(dataset, fit.request.recipe.noise.protocol)
    return as_sentences(by_weight((*fit.delivery.notes, *of_data, *sections.lead)))


def _highlights(fit: FitResult) -> Mapping[str, str]:
    delivery = fit.delivery
    budget = f"budget {delivery.target_ms:g}"
    if delivery.timing is None:
        shown = {f"{fit.known_as}, ms ({budget})": f"{delivery.predicted_ms:.3g}"}
    else:
        shown = {f"latency, ms ({budget}: {delivery.state})": f"{delivery.timing.median_ms:.3g}"}
    return shown | score_highlights(delivery.scores)


def _latencies(fit: FitResult, sections: Sections) -> content.Table:
    """Return the way from the budget to the package, in milliseconds."""
    timing = fit.delivery.timing
    rows = [
        ("possible", *sections.range),
        ("budget", f"{fit.request.target_ms:.3g}", "requested"),
        *sections.rows,
    ]
    if fit.delivery.benchmark is None or timing is None:
        rows.append(("package", f"{fit.delivery.predicted_ms:.3g}", fit.known_as))
        highlighted = len(rows) - 1
    else:
        rows.append(("package, 95th percentile", f"{timing.p95_ms:.3g}", "measured"))
        highlighted = len(rows) + list(SCOPES).index(fit.request.includes)
        rows += [
            (f"package, median, {name}", f"{ms:.3g}", "measured")
            for name, ms in fit.delivery.benchmark.medians
        ]
    notes = [f"{fit.conditions}.", sections.note]
    if timing is not None:
        notes.append(
            f"Measured latencies are medians of {timing.num_rounds} rounds, with the trained "
            "weights in the runtime that ships."
        )
    return content.Table(
        title="Latency",
        header=("", "ms", "source"),
        rows=tuple(rows),
        note=" ".join(filter(None, notes)),
        highlighted=(highlighted,),
    )


def _comparison(fit: FitResult) -> content.Table:
    """Return the latency and the scores of the package, of the chosen network and the controls."""
    rows = [(point.title, *point.cells) for point in network_points([fit])]
    by = ""
    if fit.conditions.ships == "int8":
        trained = mean_cells(scores_of(fit.path / fit.delivery.run).headline)
        rows.insert(1, ("the same network as it was trained", "-", "-", TRAINED, *trained))
        by = ", by the scores in fp32"
    recipe = fit.request.recipe
    header, *filled = filled_columns((("network", *POINT), *rows))
    return content.Table(
        title="Comparison",
        header=header,
        rows=tuple(filled),
        note=f"{_lengths(fit)}: recipe {recipe.name}, seed {recipe.seed}. With one seed each, "
        "differences of a percentage point or less are not significant. What ships is chosen on "
        f"the validation images{by}, so its scores are a little too good.",
        highlighted=(0,),
    )


def _lengths(fit: FitResult) -> str:
    """Say how long the networks were trained; a total time can cut some of them."""
    runs = {NETWORK: "the chosen network"}
    for control in fit.controls.controls:
        runs |= dict.fromkeys(control.networks, control.title)
    if fit.delivery.run == NETWORK_FP32:
        runs[NETWORK_FP32] = "the narrower network"
    lengths = {
        title: RUNS.open(fit.path / run).request.recipe.duration for run, title in runs.items()
    }
    if len(set(lengths.values())) == 1:
        return f"All were trained alike, for {lengths['the chosen network']}"
    return "Trained for " + ", ".join(f"{length} ({title})" for title, length in lengths.items())
