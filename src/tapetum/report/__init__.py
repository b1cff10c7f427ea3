"""Reports: results, plots and example images in one HTML file.

A :class:`content.Report` is plain data; :func:`write_report` writes it as one HTML file with inline
images, plots and style. Equal reports give equal bytes. Right and wrong labels differ in sign, line
and words, not by colour alone. Templates, plots and fonts need the extra ``train``.
"""

from tapetum.report import content
from tapetum.report.images import contact_sheet, png_of
from tapetum.report.plots import write_scatter
from tapetum.report.write import write_report

__all__ = [
    "contact_sheet",
    "content",
    "png_of",
    "write_report",
    "write_scatter",
]
