"""Figures 4, 5, 6 and 8, drawn from results."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from tapetum_paper.drawing import say_not_run
from tapetum_paper.example import IMAGE_SIGMAS, Example, decoded
from tapetum_paper.plan import CellResult, Outcome, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["SEARCH_FIGURES"]

BLOCK = 4  # the third of stage 4: one that may be left out where depth is learned


def _draw_figure_4(outcome: Outcome) -> "Figure":
    """Draw a panel for each search: the probability of each operator of one block by epoch."""
    from matplotlib.figure import Figure

    rows = outcome.experiment.rows
    figure = Figure(figsize=(2.4 * len(rows), 2.6), layout="constrained")
    panels = figure.subplots(1, len(rows), sharey=True)
    for row, axes in zip(rows, panels, strict=True):
        axes.set(title=outcome.title(row), xlabel="epoch", ylim=(0, None))
        lines = _probabilities(outcome.of(row))
        if not lines:
            say_not_run(axes)
        for name, values in lines.items():
            axes.plot(range(1, len(values) + 1), values, label=name, marker=".")
    panels[0].set_ylabel("probability")
    if panels[0].lines:
        panels[0].legend(fontsize=7)
    return figure


def _probabilities(done: Sequence[CellResult]) -> dict[str, list[float]]:
    """Return the probability of each operator by epoch; nothing without a search."""
    if not done or done[0].search is None:
        return {}
    epochs = done[0].search.epochs
    path = list(epochs[0].probabilities)[BLOCK]
    return {
        name: [epoch.probabilities[path][name] for epoch in epochs]
        for name in epochs[0].probabilities[path]
    }


def _draw_figure_5(outcome: Outcome) -> "Figure":
    """Draw a line for each number of operators: accuracy over latency."""
    lines: dict[str, list[Row]] = {}
    for row in outcome.experiment.rows:
        lines.setdefault(row.title.split(",")[0], []).append(row)
    return _scatter(outcome, lines, marks_points=False)


def _draw_figure_6(outcome: Outcome) -> "Figure":
    """Draw a point for each classifier: accuracy over latency."""
    return _scatter(
        outcome, {outcome.title(row): [row] for row in outcome.experiment.rows}, marks_points=True
    )


def _scatter(
    outcome: Outcome, lines: Mapping[str, Sequence[Row]], *, marks_points: bool
) -> "Figure":
    from matplotlib.figure import Figure

    latency, accuracy = outcome.experiment.measures
    figure = Figure(figsize=(4.8, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel="latency, ms", ylabel="accuracy, %")
    axes.margins(0.15)
    for (name, rows), marker in zip(lines.items(), "osD^", strict=False):
        done = [one for row in rows for one in outcome.of(row)]
        points = [(latency.read(one), accuracy.read(one)) for one in done]
        known = [(x, y) for x, y in points if x is not None and y is not None]
        axes.plot([x for x, _ in known], [y for _, y in known], marker=marker, label=name)
        if marks_points and known:
            axes.annotate(name, known[0], xytext=(5, 5), textcoords="offset points", fontsize=8)
    if not marks_points:
        axes.legend()
    return figure


def _draw_figure_8(outcome: Outcome) -> "Figure":
    """Draw a row for each noise level: noisy image, output of each network, truth."""
    from matplotlib.figure import Figure

    titles = ["noisy", *map(outcome.title, outcome.experiment.rows), "truth"]
    figure = Figure(figsize=(1.9 * len(titles), 2.1 * len(IMAGE_SIGMAS)), layout="constrained")
    panels = figure.subplots(len(IMAGE_SIGMAS), len(titles), squeeze=False)
    for sigma, line in zip(IMAGE_SIGMAS, panels, strict=True):
        examples = [_example(outcome.of(row), sigma) for row in outcome.experiment.rows]
        known = next(one for one in examples if one is not None)
        denoised = [None if one is None else one.denoised for one in examples]
        for title, png, axes in zip(
            titles, [known.noisy, *denoised, known.truth], line, strict=True
        ):
            _show(axes, png)
            axes.set_title(f"noisy, sigma {sigma:g}" if title == "noisy" else title)
    return figure


def _example(done: Sequence[CellResult], sigma: float) -> Example | None:
    """Return the example of a network at a noise level; ``None`` if it was not run."""
    return next((one for result in done for one in result.examples if one.sigma == sigma), None)


def _show(axes: "Axes", png: str | None) -> None:
    axes.set_axis_off()
    if png is None:
        say_not_run(axes)
    else:
        axes.imshow(decoded(png), cmap="gray", vmin=0, vmax=255, interpolation="nearest")


SEARCH_FIGURES: Mapping[str, Callable[[Outcome], "Figure"]] = {
    "figure_4": _draw_figure_4,
    "figure_5": _draw_figure_5,
    "figure_6": _draw_figure_6,
    "figure_8": _draw_figure_8,
}
