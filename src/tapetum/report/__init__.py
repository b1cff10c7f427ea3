"""Reports, and the page that runs a network; each is one HTML file.

A :class:`content.Report` is plain data; :func:`write_report` writes it as one HTML file with inline
images, plots and style. Equal reports give equal bytes. Right and wrong labels differ in sign, line
and words, not by colour alone. Templates and plots need the extra ``train``.
"""

from tapetum.report import content
from tapetum.report.images import png_of
from tapetum.report.network_page import network_page, runtime_notice
from tapetum.report.write import write_report

__all__ = [
    "content",
    "network_page",
    "png_of",
    "runtime_notice",
    "write_report",
]
