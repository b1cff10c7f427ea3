"""Reports: results, plots and example images in one HTML file.

A :class:`Report` is plain data; :func:`write_report` writes it as one HTML file that needs no
server: images are inline PNG, plots are inline SVG, the style is inside. Equal reports give equal
bytes. Right and wrong labels differ in sign, line and words, not by colour alone.

Templates, plots and fonts need the extra ``train``; they are loaded where they are used.
"""

from tapetum.report import content
from tapetum.report.content import Report, Table
from tapetum.report.images import contact_sheet, png_of
from tapetum.report.plots import write_scatter
from tapetum.report.write import write_report

__all__ = [
    "Report",
    "Table",
    "contact_sheet",
    "content",
    "png_of",
    "write_report",
    "write_scatter",
]
