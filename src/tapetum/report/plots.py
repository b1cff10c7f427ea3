"""Plots for a report: inline SVG in its colours and fonts, with the same bytes every time."""

import io
import re
from typing import Any

from tapetum.errors import needs_extra
from tapetum.report.content import Curve, Diagram, Matrix

__all__ = ["draw_matrix", "draw_network", "plot"]

# matplotlib draws in these colours; the style of the report replaces them, light or dark.
_INK, _LINE = "#010203", "#010204"
_SERIES = ("#010210", "#010211", "#010212", "#010213")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_MOST_LETTERS = 18  # of a name beside a matrix, or of one of two names in a line of a legend
_DASHES = ("-", "--", ":", "-.")
LEAST_SPAN = {"%": 20.0, "dB": 3.0}  # of the vertical axis, by the unit of its label
# Without date, creator and kind matplotlib writes no metadata.
_BLANK = dict.fromkeys(("Creator", "Date", "Format", "Type"))


def plot(curve: Curve, *, prefix: str) -> str:
    """Draw a plot as an ``<svg>`` element whose ids start with ``prefix``."""
    with needs_extra("train"):
        import matplotlib
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    with matplotlib.rc_context(_plot_style()):
        figure = Figure(figsize=(4.0, 2.9), layout="constrained")
        axes = figure.subplots()
        for index, series in enumerate(curve.series):
            points = curve.points(series)
            axes.plot(
                [x for x, _ in points],
                [y for _, y in points],
                label=series.name,
                color=_SERIES[index % len(_SERIES)],
                marker=_MARKERS[index % len(_MARKERS)],
                linestyle=_DASHES[(index + index // len(_SERIES)) % len(_DASHES)],
            )
        axes.set(xlabel=curve.x_label, ylabel=curve.y_label)
        _widen(axes, LEAST_SPAN.get(curve.y_label.rpartition(" ")[2], 0.0))
        if all(float(x).is_integer() for x in curve.x):  # epochs are whole numbers
            axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
        if len(curve.series) > 1:
            is_wide = any(len(series.name) > _MOST_LETTERS for series in curve.series)
            figure.legend(loc="outside upper left", ncols=1 if is_wide else 2)
        return _svg(figure, prefix)


def _widen(axes: Any, span: float) -> None:
    """Let the vertical axis span at least so much, so that noise does not look like a result."""
    low, high = axes.get_ylim()
    if high - low < span:
        middle = (low + high) / 2
        axes.set_ylim(middle - span / 2, middle + span / 2)


def draw_network(diagram: Diagram, *, prefix: str) -> str:
    """Draw a network as an ``<svg>`` element whose ids start with ``prefix``: one bar per block."""
    with needs_extra("train"):
        import matplotlib
        from matplotlib.figure import Figure
        from matplotlib.patches import Patch
    with matplotlib.rc_context({**_plot_style(), "axes.grid": False}):
        figure = Figure(figsize=(7.0, 0.6 + 0.19 * len(diagram.bars)), layout="constrained")
        axes = figure.subplots()
        for place, bar in enumerate(diagram.bars):
            axes.barh(place, bar.length, height=0.75, color=_SERIES[bar.tone])
            axes.annotate(
                bar.label,
                (bar.length, place),
                xytext=(3, 0),  # a space before the label would be dropped in SVG
                textcoords="offset points",
                va="center",
                fontsize=7,
            )
        axes.set_yticks(*_headings(diagram))
        axes.set(xlabel=diagram.length_label, ylim=(len(diagram.bars) - 0.4, -0.6))
        axes.set_xlim(0, 1.25 * max(bar.length for bar in diagram.bars))
        used = sorted({bar.tone for bar in diagram.bars})
        handles = [Patch(color=_SERIES[tone], label=diagram.tones[tone]) for tone in used]
        figure.legend(handles=handles, loc="outside upper left", ncols=4)
        return _svg(figure, prefix)


def draw_matrix(matrix: Matrix, *, prefix: str) -> str:
    """Draw a matrix as an ``<svg>`` element whose ids start with ``prefix``.

    Shades are drawn, not embedded as pixels; where there is room, each says its percents.
    """
    with needs_extra("train"):
        import matplotlib
        from matplotlib.figure import Figure
        from matplotlib.patches import Rectangle
    count = len(matrix.names)
    with matplotlib.rc_context({**_plot_style(), "axes.grid": False}):
        side = 1.6 + 0.34 * max(count, 6)
        figure = Figure(figsize=(side, side), layout="constrained")
        axes = figure.subplots()
        for y, row in enumerate(matrix.shares):
            for x, share in enumerate(row):
                if not share:
                    continue
                corner, tone = (x - 0.5, y - 0.5), _SERIES[0 if x == y else 1]
                axes.add_patch(Rectangle(corner, 1, 1, facecolor=tone, alpha=0.75 * share))
                axes.annotate(f"{100 * share:.0f}", (x, y), ha="center", va="center", fontsize=7)
        names = [_shortened(name) for name in matrix.names]
        axes.set_xticks(range(count), names, rotation=90)
        axes.set_yticks(range(count), names)
        limits = {"xlim": (-0.5, count - 0.5), "ylim": (count - 0.5, -0.5)}
        axes.set(xlabel=matrix.x_label, ylabel=matrix.y_label, aspect="equal", **limits)
        return _svg(figure, prefix)


def _shortened(name: str) -> str:
    return name if len(name) <= _MOST_LETTERS else f"{name[: _MOST_LETTERS - 1]}…"


def _headings(diagram: Diagram) -> tuple[list[int], list[str]]:
    """Return the first index of each group, and its name."""
    groups = [bar.group for bar in diagram.bars]
    places = [i for i, group in enumerate(groups) if i == 0 or group != groups[i - 1]]
    return places, [groups[place] for place in places]


def _plot_style() -> dict[Any, Any]:
    """Return settings of matplotlib: the report's colours and fonts, and ids that do not vary."""
    ink = ("text.color", "axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor")
    line = ("axes.edgecolor", "grid.color", "xtick.color", "ytick.color")
    return {
        **dict.fromkeys(ink, _INK),
        **dict.fromkeys(line, _LINE),
        **dict.fromkeys(("axes.spines.left", "axes.spines.right", "axes.spines.top"), False),
        "axes.grid": True,
        "font.size": 9,
        "legend.frameon": False,
        "lines.linewidth": 1.6,
        "lines.markersize": 4,
        "svg.fonttype": "none",  # text stays text: in the report's font, and searchable
        "svg.hashsalt": "tapetum",
        "text.parse_math": False,
        "xtick.major.size": 0,
        "ytick.major.size": 0,
    }


def _svg(figure: Any, prefix: str) -> str:  # Matplotlib is imported where it is used
    """Return a figure as an SVG element with the report's size and colours, and unique ids."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata=_BLANK)
    svg = buffer.getvalue()
    element = svg[svg.index("<svg") :]
    for size in ("width", "height"):
        element = re.sub(rf'(<svg\b[^>]*?) {size}="[^"]*"', r"\1", element, count=1)
    element = re.sub(r'\bid="|(?<=href=")#|(?<=url\()#', rf"\g<0>{prefix}", element)
    colours = {_INK: "ink", _LINE: "line"}
    colours |= {colour: f"series-{index}" for index, colour in enumerate(_SERIES)}
    for colour, name in colours.items():
        element = element.replace(colour, f"var(--{name})")
    return element
