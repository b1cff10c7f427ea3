"""The page of a run: what was asked, what came out, and pictures to judge it by.

A :class:`Page` is plain data; :func:`render` turns it into one HTML file that asks nothing of any
other server: pictures are inline PNG, plots are inline SVG, the style is inside.  The same page
gives the same bytes.  Right and wrong answers differ in sign, line and words, not by colour alone.

It needs the extra ``tapetum[train]`` for templates, plots and type, loaded where they are used.
"""

from tapetum.report.content import (
    Bar,
    Curve,
    Diagram,
    Example,
    ExampleGroup,
    ExampleLabel,
    Page,
    Series,
    Table,
)
from tapetum.report.page import render, write_report
from tapetum.report.pictures import contact_sheet, png_of
from tapetum.report.plots import write_scatter

__all__ = [
    "Bar",
    "Curve",
    "Diagram",
    "Example",
    "ExampleGroup",
    "ExampleLabel",
    "Page",
    "Series",
    "Table",
    "contact_sheet",
    "png_of",
    "render",
    "write_report",
    "write_scatter",
]
