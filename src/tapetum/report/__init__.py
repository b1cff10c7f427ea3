"""Reports: results, plots and example images in one HTML file.

A :class:`Report` is plain data; :func:`write_report` writes it as one HTML file that needs no
server: images are inline PNG, plots are inline SVG, the style is inside. Equal reports give equal
bytes. Right and wrong labels differ in sign, line and words, not by colour alone.

Templates, plots and fonts need the extra ``train``; they are loaded where they are used.
"""

from tapetum.report.content import (
    Bar,
    Curve,
    Diagram,
    Example,
    ExampleGroup,
    ExampleLabel,
    Report,
    Series,
    Table,
)
from tapetum.report.images import contact_sheet, png_of
from tapetum.report.plots import write_scatter
from tapetum.report.write import render, write_report

__all__ = [
    "Bar",
    "Curve",
    "Diagram",
    "Example",
    "ExampleGroup",
    "ExampleLabel",
    "Report",
    "Series",
    "Table",
    "contact_sheet",
    "png_of",
    "render",
    "write_report",
    "write_scatter",
]
