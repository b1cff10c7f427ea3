"""Write a report as one HTML file; texts and layout are in ``report.html.j2``."""

from importlib import resources
from pathlib import Path

from tapetum.errors import needs_extra
from tapetum.records import write_atomically
from tapetum.report.content import Curve, Matrix, Report, Table
from tapetum.report.images import data_uri, decibels, percent, placed_on
from tapetum.report.plots import draw_matrix, draw_network, plot

__all__ = ["render", "write_report"]


def write_report(path: Path, report: Report) -> None:
    """Write a report to ``path`` in one step; see :func:`render` for the errors."""
    write_atomically(path, render(report).encode())


def render(report: Report) -> str:
    """Return a report as one self-contained HTML text.

    Raises:
        MissingExtraError: jinja2 or matplotlib is not installed.
        InputError: An image is neither grey nor RGB.
    """
    with needs_extra("train"):
        import jinja2
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    filters = (data_uri, decibels, percent, placed_on, shares, values)
    environment.filters |= {function.__name__: function for function in filters}
    template = resources.files("tapetum.report").joinpath("report.html.j2")
    plots = [plot(curve, prefix=f"plot{index}-") for index, curve in enumerate(report.curves)]
    networks = [
        draw_network(diagram, prefix=f"network{index}-")
        for index, diagram in enumerate(report.diagrams)
    ]
    matrices = [
        draw_matrix(matrix, prefix=f"matrix{index}-")
        for index, matrix in enumerate(report.matrices)
    ]
    return environment.from_string(template.read_text(encoding="utf-8")).render(
        report=report, plots=plots, networks=networks, matrices=matrices
    )


def values(curve: Curve) -> Table:
    """Return the numbers behind a plot, for readers who want them exactly or cannot see it."""
    columns = [dict(curve.points(series)) for series in curve.series]
    rows = tuple(
        (f"{x:g}", *(f"{column[x]:.4g}" if x in column else "" for column in columns))
        for x in curve.x
    )
    header = (curve.x_label, *(series.name for series in curve.series))
    return Table(title=curve.title, header=header, rows=rows)


def shares(matrix: Matrix) -> Table:
    """Return the numbers behind a matrix, in percent."""
    rows = tuple(
        (name, *(f"{100 * share:.1f}" for share in row))
        for name, row in zip(matrix.names, matrix.shares, strict=True)
    )
    header = (f"{matrix.y_label} \\ {matrix.x_label}, %", *matrix.names)
    return Table(title=matrix.title, header=header, rows=rows)
