"""The page of a run: what was asked, what came out, and images to judge it by.

A :class:`Page` is plain data; :func:`render` turns it into one HTML file that asks nothing of any
other server: images are inline PNG, plots are inline SVG, the style is inside.  The same page
gives the same bytes.  Right and wrong answers differ in sign, line and words, not by colour alone.

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
