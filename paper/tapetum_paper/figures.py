"""The figures of the paper, drawn from results: 3 and 9, and those of the search."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tapetum_paper.controlled import FIGURE_9, denoiser_cell
from tapetum_paper.drawing import Drawing, fingerprint, say_not_run
from tapetum_paper.example import decoded
from tapetum_paper.plan import CellResult, Experiment, Outcome
from tapetum_paper.search_figures import SEARCH_FIGURES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["drawing"]

_ZOOM_PX = 40  # side of the part of figure 3 that is shown enlarged


def drawing(outcome: Outcome) -> Drawing | None:
    """Return the drawing of a figure; missing results say "not run".

    ``None`` for a table, for a figure without results, and without a complete point.
    """
    experiment = outcome.experiment
    if experiment.name not in _DRAWN or not outcome.done:
        return None
    shown = [
        (
            slug,
            one.examples,
            [measure.read(one) for measure in experiment.measures],
            None if one.search is None else one.search.epochs,
        )
        for slug, one in outcome.by_slug.items()
    ]
    if all(None in values for _, _, values, _ in shown):  # without a latency there is no point
        return None
    return Drawing(
        name=f"{experiment.name}_{experiment.scale}.png",
        fingerprint=fingerprint(shown),
        draw=partial(_DRAWN[experiment.name], outcome),
    )


def _draw_figure_3(outcome: Outcome) -> "Figure":
    """Draw truth, noisy image and one column for each network, with an enlarged part below."""
    from matplotlib.figure import Figure

    examples = {
        row.title: next((one.examples[0] for one in outcome.of(row)), None)
        for row in outcome.experiment.rows
    }
    first = next(example for example in examples.values() if example is not None)
    columns = [
        ("truth", first.truth),
        (f"noisy, sigma {first.sigma:g}", first.noisy),
        *((title, None if one is None else one.denoised) for title, one in examples.items()),
    ]
    figure = Figure(figsize=(1.8 * len(columns), 3.9), layout="constrained")
    zoom = _zoom(decoded(first.truth))
    for (title, png), (above, below) in zip(
        columns, figure.subplots(2, len(columns)).T, strict=True
    ):
        above.set_title(title)
        _show_image(above, below, png, zoom)
    return figure


def _zoom(truth: NDArray[np.uint8]) -> tuple[int, int]:
    """Return left and top of the enlarged part, around the brightest pixel."""
    place = np.unravel_index(int(truth.argmax()), truth.shape)
    top, left = (
        int(np.clip(at - _ZOOM_PX // 2, 0, side - _ZOOM_PX))
        for at, side in zip(place, truth.shape, strict=True)
    )
    return left, top


def _show_image(above: "Axes", below: "Axes", png: str | None, zoom: tuple[int, int]) -> None:
    for axes in (above, below):
        axes.set_axis_off()
        axes.set_box_aspect(1)  # so that all titles have one height
    if png is None:
        say_not_run(above)
        return
    pixels = decoded(png)
    left, top = zoom
    part = pixels[top : top + _ZOOM_PX, left : left + _ZOOM_PX]
    for axes, shown in ((above, pixels), (below, part)):
        axes.imshow(shown, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    above.plot(
        [left, left + _ZOOM_PX, left + _ZOOM_PX, left, left],
        [top, top, top + _ZOOM_PX, top + _ZOOM_PX, top],
        color="tab:red",
        linewidth=1,
    )


def _draw_figure_9(outcome: Outcome) -> "Figure":
    """Draw one panel for each number of the denoiser that changes."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogFormatter

    figure = Figure(figsize=(9.0, 6.4), layout="constrained")
    for panel, axes in zip(FIGURE_9, figure.subplots(2, 2).flat, strict=True):
        axes.set(title=panel.title, xscale="log", xlabel="multiply-adds, millions")
        axes.set_ylabel("PSNR at sigma 0.8, dB")
        axes.margins(0.1)
        for axis in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
            axis(LogFormatter(labelOnlyBase=False, minor_thresholds=(1.5, 0.5)))
        for (name, numbers), marker in zip(panel.lines.items(), "osD", strict=False):
            slugs = [denoiser_cell(one, outcome.experiment.scale).slug for one in numbers]
            points = [
                (panel.point(one), outcome.by_slug[slug])
                for one, slug in zip(numbers, slugs, strict=True)
                if slug in outcome.by_slug
            ]
            _draw_line(axes, outcome.experiment, name, marker, points)
        if not axes.lines:
            axes.set_axis_off()
            say_not_run(axes)
        elif len(panel.lines) > 1:
            axes.legend()
    return figure


def _draw_line(
    axes: "Axes",
    experiment: Experiment,
    name: str,
    marker: str,
    points: list[tuple[str, CellResult]],
) -> None:
    psnr, cost = experiment.measures
    known = [(point, cost.read(one), psnr.read(one)) for point, one in points]
    drawn = [(point, x, y) for point, x, y in known if x is not None and y is not None]
    if not drawn:
        return
    axes.plot([x for _, x, _ in drawn], [y for *_, y in drawn], label=name, marker=marker)
    for point, x, y in drawn:
        axes.annotate(point, (x, y), xytext=(4, -10), textcoords="offset points", fontsize=8)


_DRAWN: dict[str, Callable[[Outcome], "Figure"]] = {
    "figure_3": _draw_figure_3,
    "figure_9": _draw_figure_9,
    **SEARCH_FIGURES,
}
