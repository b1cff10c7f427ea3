"""The page of a job with a budget: what was asked, what was delivered, and why to believe it."""

from tapetum.arch import Architecture, cost, spec
from tapetum.data import Dataset
from tapetum.jobs.evaluate import package_predict
from tapetum.jobs.fit import FitResult
from tapetum.jobs.run_report import (
    example_groups,
    facts_of,
    learning_curve,
    level_curves,
    score_table,
    shown_levels,
)
from tapetum.report import Bar, Curve, Diagram, Report, Series, Table, write_report
from tapetum.runtime import open_package
from tapetum.scores import Scores, show_number
from tapetum.search import SearchResult
from tapetum.training import RUNS, Run

__all__ = ["network_diagram", "write_fit_report"]

TITLES = {
    "network": "found by the search",
    "control_random": "random, as slow",
    "control_uniform": "one operator everywhere, as slow",
}
TONES = ("convolution", "MBConv, kernel 3", "MBConv, kernel 5", "with squeeze-and-excitation")


def write_fit_report(made: FitResult, images: Dataset) -> None:
    """Writes ``report.html``."""
    run = RUNS.open(made.runs["network"])
    result, architecture = run.result(), _architecture_of(run)
    noise = run.request.recipe.noise
    delivered = made.delivered
    page = Report(
        title=f"{architecture.name}: {delivered.timing.median_ms:.2f} ms of "
        f"{delivered.target_ms:g} asked for",
        lead=delivered.note
        or "The package keeps the budget, as measured with its trained "
        "weights in the runtime that ships.",
        highlights=_highlights(made, made.scores),
        tables=(
            _latencies(made),
            _controls(made),
            score_table(made.scores),
            _slots(made),
        ),
        diagrams=(network_diagram(architecture, size_px=made.asked.conditions.height_px),),
        curves=(
            *level_curves(made.scores),
            learning_curve(run),
            *_search_curves(made.found),
        ),
        examples=example_groups(
            package_predict(open_package(made.package)),
            images,
            shown_levels(noise.spread()),
            protocol=noise.protocol,
            class_names=run.request.class_names,
        ),
        commands=(result.provenance.command,),
        facts={
            "conditions": str(made.asked.conditions),
            "search": f"{made.asked.search_recipe.name}, {made.found.seconds / 60:.1f} minutes, "
            f"{made.found.images_per_second:,.0f} images a second",
            **facts_of(run, result),
        },
    )
    write_report(made.page, page)


def _architecture_of(run: Run) -> Architecture:
    architecture = run.request.architecture
    assert isinstance(architecture, Architecture)  # noqa: S101  (a search describes what it finds)
    return architecture


def network_diagram(architecture: Architecture, *, size_px: int) -> Diagram:
    """A network as bars: what each block is, how wide, and at which size it works.

    Args:
        architecture: The network.
        size_px: Side of the images.
    """
    bars = [
        Bar(_label(block), f"{height} px", float(_width(block)), _tone(block))
        for _, block, (height, _) in cost.placed_blocks(architecture, size_px, size_px)
        if isinstance(block, spec.Conv | spec.InvertedResidual)
    ]
    return Diagram("The network", "channels (hidden ones of an MBConv)", tuple(bars), TONES)


def _label(block: spec.Block) -> str:
    if isinstance(block, spec.InvertedResidual):
        squeeze = " squeeze" if block.squeeze_channels is not None else ""
        return (
            f"k{block.kernel_px}{squeeze}: {block.in_channels} to {block.hidden_channels} to "
            f"{block.out_channels}"
        )
    assert isinstance(block, spec.Conv)  # noqa: S101  (the two that are drawn)
    return f"k{block.kernel_px}: {block.in_channels} to {block.out_channels}"


def _width(block: spec.Conv | spec.InvertedResidual) -> int:
    return block.hidden_channels if isinstance(block, spec.InvertedResidual) else block.out_channels


def _tone(block: spec.Conv | spec.InvertedResidual) -> int:
    if isinstance(block, spec.Conv):
        return 0
    if block.squeeze_channels is not None:
        return 3
    return 1 if block.kernel_px == 3 else 2


def _highlights(made: FitResult, scores: Scores) -> dict[str, str]:
    timing = made.delivered.timing
    mean = scores.mean
    found = {
        "target, ms": f"{made.delivered.target_ms:g}",
        "median, ms": f"{timing.median_ms:.2f}",
        "95 in 100 below, ms": f"{timing.p95_ms:.2f}",
        "accuracy, %": show_number(mean.accuracy, 1, scale=100),
        "PSNR, dB": show_number(mean.psnr_db, 2),
        "SSIM": show_number(mean.ssim, 3),
    }
    return {name: value for name, value in found.items() if value != "-"}


def _latencies(made: FitResult) -> Table:
    """From the target to the package, in milliseconds."""
    fastest_ms, slowest_ms = made.table.range
    rows = [
        ("what the space spans here", f"{fastest_ms:.2f} to {slowest_ms:.2f}", ""),
        ("target", f"{made.asked.target_ms:.2f}", ""),
        ("likeliest blocks at the end of the search", f"{made.found.likeliest_ms:.2f}", "table"),
    ]
    for number, attempt in enumerate(made.matched.attempts, start=1):
        rows.append((f"network {number}, predicted", f"{attempt.predicted_ms:.2f}", "table"))
        rows.append(
            (f"network {number}, before training", f"{attempt.timing.median_ms:.2f}", "measured")
        )
    timing = made.delivered.timing
    rows.append(("the package, median", f"{timing.median_ms:.2f}", "measured"))
    rows.append(("the package, 95 in 100 below", f"{timing.p95_ms:.2f}", "measured"))
    accuracy = made.table.accuracy
    return Table(
        title="Latency",
        header=("", "ms", "how it is known"),
        rows=tuple(rows),
        note=f"{made.asked.conditions}. The table is off by {accuracy.mean_relative_error:.1%} on "
        f"average; nine in ten networks lie within {accuracy.interval:.1%}. "
        f"Medians of {timing.num_rounds} rounds that are spread in time.",
        highlighted=(len(rows) - 2,),
    )


def _controls(made: FitResult) -> Table:
    """What was found beside networks of the same latency that no search has looked for."""
    rows = []
    for name, path in made.runs.items():
        run = RUNS.open(path)
        result = run.result()
        assert result.scores is not None  # noqa: S101  (fit scores what it trains)
        mean = result.scores.mean
        predicted = made.table.predict_architecture(_architecture_of(run)).median_ms
        rows.append(
            (
                TITLES[name],
                f"{predicted:.2f}",
                show_number(mean.accuracy, 1, scale=100),
                show_number(mean.psnr_db, 2),
                show_number(mean.ssim, 3),
            )
        )
    recipe = made.asked.recipe
    return Table(
        title="Was the search worth it?",
        header=("network", "ms, by the table", "accuracy, %", "PSNR, dB", "SSIM"),
        rows=tuple(rows),
        note=f"All trained alike: {recipe.name}, {recipe.epochs} epochs, seed {recipe.seed}. One "
        "seed each: differences of a point or less mean little.",
        highlighted=(0,),
    )


def _slots(made: FitResult) -> Table:
    """What stands in each slot, and how sure the search was of it."""
    likely = made.found.epochs[-1].probabilities
    rows = []
    for path, choice in made.matched.choices.items():
        if choice is None:
            rows.append((path, "left out", "-", "-"))
        else:
            sure = f"{likely[path][choice.candidate]:.2f}"
            rows.append((path, choice.candidate, str(choice.hidden_channels), sure))
    return Table(
        title="What was chosen",
        header=("slot", "block", "hidden channels", "probability"),
        rows=tuple(rows),
    )


def _search_curves(found: SearchResult) -> tuple[Curve, ...]:
    """How the search went: latencies, entropy, judgement, and the alphas of each slot."""
    x = tuple(float(row.epoch) for row in found.epochs)
    curves = [
        Curve(
            "Latency while searching",
            "epoch",
            "ms, by the table",
            x,
            (
                Series("expected", tuple(row.expected_ms for row in found.epochs)),
                Series("likeliest blocks", tuple(row.likeliest_ms for row in found.epochs)),
                Series("target", (found.target_ms,) * len(x)),
            ),
        ),
        Curve(
            "How decided the search is",
            "epoch",
            "entropy, share of the most",
            x,
            (Series("entropy", tuple(row.entropy for row in found.epochs)),),
        ),
    ]
    for path in found.choices:
        names = list(found.epochs[-1].probabilities[path])
        lines = (
            Series(name, tuple(row.probabilities[path][name] for row in found.epochs))
            for name in names
        )
        curves.append(Curve(f"Alphas of {path}", "epoch", "probability", x, tuple(lines)))
    return tuple(curves)
