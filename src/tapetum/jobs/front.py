"""Fit several latency budgets at once, and show what each millisecond buys.

::

    FRONT/
      request.json     the budgets and what the fits have in common
      plan.json        what is feasible, and how long each stage of each fit takes
      timings_*.json   the shapes that were timed
      1ms/ 2ms/ ...    a fit of each budget (tapetum.jobs.fitting)
      report.html      accuracy and PSNR over latency
      result.json      written last

All budgets are planned before the work of the first one begins. The fits share what is timed, and
the controls that do not depend on the budget.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from tapetum.errors import InputError
from tapetum.jobs.fit_result import FitResult, open_beside
from tapetum.jobs.fitting import continued, fit_opened, fit_options, look
from tapetum.jobs.front_report import front_remarks, front_table, write_front_report
from tapetum.jobs.methods import FitOptions
from tapetum.jobs.request import FitRequest, OpenedRequest, open_request
from tapetum.jobs.run_report import REPORT
from tapetum.records import FolderKind, Record, as_path
from tapetum.report import content
from tapetum.training import prepare_process

__all__ = ["FRONT", "Front", "fit_front"]


class FrontRequest(Record):
    """What fits of several budgets are requested to do.

    Attributes:
        targets_ms: The latency budgets, in milliseconds.
        fit: The request of the fit of the first budget.
    """

    format: Literal["tapetum-front"] = "tapetum-front"
    schema_version: Literal[1] = 1
    targets_ms: tuple[float, ...]
    fit: FitRequest


class FrontResult(Record):
    """The folders of the finished fits, in the order of their budgets."""

    schema_version: Literal[1] = 1
    fits: tuple[str, ...]


FRONT = FolderKind("fit of several budgets", FrontRequest, FrontResult, "tapetum fit")


class Front(NamedTuple):
    """Finished fits of several budgets.

    Attributes:
        path: The folder.
        fits: The fit of each budget, the smallest budget first.
        beside: Earlier fits of the same images, to compare with.
    """

    path: Path
    fits: tuple[FitResult, ...]
    beside: tuple[FitResult, ...] = ()

    @property
    def report(self) -> Path:
        """The report on all of them."""
        return self.path / REPORT

    @property
    def table(self) -> content.Table:
        """All networks: name, budget, latency, scores, and whether they are delivered."""
        return front_table(self.fits, self.beside)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Where the network of a smaller budget scores better, each in a sentence."""
        return front_remarks(self.fits)


def fit_front(
    data: str | Path, out: str | Path, *, target_ms: Sequence[float], **options: Any
) -> Front:
    """Fit several latency budgets, with shared timings, and write one report on all of them.

    Args:
        data: Folder of images, or ``digit-crops``.
        out: New folder, with one folder inside for each budget.
        target_ms: Latency budgets, in milliseconds.
        options: The options of :func:`tapetum.fit`; the total time is that of all fits together.

    Raises:
        InputError: A budget is not feasible, which is known before the first one is fitted, or an
            option does not fit another.
        TapetumError: The folder is taken, or the work cannot continue; what is done is kept.
    """
    targets = tuple(sorted(target_ms))
    given = fit_options(data, out, target_ms=targets[0], **options)
    prepare_process()  # before torch starts its threads
    if given.method == "tf-nas":
        raise InputError(
            "the method tf-nas fits one budget at a time",
            "give one --target-ms, and the table of the first fit to the next with --latency",
        )
    path = as_path(out, "the folder of a fit")
    opened = continued(open_request(given), given, lambda: FRONT.open(path).request.fit)
    given.controls = opened.request.controls  # of a front that was killed while it got them
    beside, looked = open_beside(given.beside, opened.request), None
    if given.overwrite or not (path / "result.json").exists():  # before there is a folder
        if opened.device is not None:
            opened.device.require_quiet()
        looked = look(opened, targets, path, given)
    if given.resume:
        FRONT.note_start(path)
    request = FrontRequest(targets_ms=targets, fit=opened.request)
    if given.resume and not given.overwrite:  # controls may be added to fits without them
        smaller = opened.request.model_copy(update={"controls": False})
        FRONT.extend(path, request, smaller=request.model_copy(update={"fit": smaller}))
    again = {"resume": given.resume, "overwrite": given.overwrite}
    with FRONT.work(path, request, **again) as folder:
        folder.sweep()
        if looked is not None:
            looked.keep(path, request.fit)
        given.resume, given.overwrite = True, False
        front = Front(path, tuple(_fit_each(opened, targets, path, given)), beside)
        if beside or not folder.is_finished:
            write_front_report(front.report, front.fits, beside)
        if not folder.is_finished:
            folder.finish(FrontResult(fits=tuple(fit.path.name for fit in front.fits)))
    return front


def _fit_each(
    opened: OpenedRequest, targets: Sequence[float], path: Path, given: FitOptions
) -> Iterator[FitResult]:
    """Fit each budget in a folder of its own."""
    for number, target_ms in enumerate(targets):
        said = f"budget {number + 1} of {len(targets)}: {target_ms:g} ms"
        given.progress(number, len(targets), said)
        request = opened.request.model_copy(update={"target_ms": target_ms})
        one = replace(opened, request=request)
        yield fit_opened(one, path / f"{target_ms:g}ms", given, shared=path)
