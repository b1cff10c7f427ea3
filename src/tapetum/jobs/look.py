"""Look at what a device can do before the work of a fit, and keep what was found.

Files in the folder of a fit, or above those of several budgets::

    timings_*.json   the shapes that were timed in each precision
    plan.json        what is feasible, and how long each stage takes
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, get_args

from tapetum.data import Dataset
from tapetum.jobs.durations import TimedPrecisions
from tapetum.jobs.elsewhere import shapes_for
from tapetum.jobs.plan import Plans
from tapetum.jobs.planning import make_plans
from tapetum.jobs.request import FitRequest, OpenedRequest
from tapetum.latency import TimedShapes
from tapetum.runtime import Precision

__all__ = ["PLAN", "Looked", "look_at_shapes", "planned_images", "timings_name"]

PLAN = "plan.json"


class Looked(NamedTuple):
    """What was found before there is a folder: the plans, and what was timed for them."""

    plans: Plans
    timed: TimedPrecisions

    def keep(self, folder: Path, request: FitRequest) -> None:
        """Write both, where no earlier ones are kept, and print the plans."""
        if not (folder / PLAN).exists():
            for precision, timed in self.timed.items():
                timed.write(folder / timings_name(precision))
            self.plans.write(folder / PLAN)
        self.plans.say(request)


def planned_images(dataset: Dataset, folder: Path) -> Dataset:
    """Return a dataset with the validation images that the plan in a folder has time to score."""
    plan = folder / PLAN
    return dataset.scored_on(Plans.read(plan).num_scored) if plan.exists() else dataset


def timings_name(precision: Precision) -> str:
    """Return the file of the shapes that were timed in a precision."""
    return f"timings_{precision}.json"


def look_at_shapes(
    opened: OpenedRequest,
    targets: Sequence[float],
    folder: Path,
    *,
    overwrite: bool,
    workers: int | None = None,
    started_s: float | None = None,
) -> Looked:
    """Return the plans of fits, and what was timed for them, before there is a folder.

    What is in the folder of a fit that is continued is read instead.

    Args:
        opened: The request of one of the fits.
        targets: Their budgets, in milliseconds.
        folder: Folder of the fit, or of all of them.
        overwrite: Whether what is in the folder will be removed.
        workers: Trainings of a race at the same time; None for one a core.
        started_s: When the total time began, by the monotonic clock; by default now.
    """
    precisions: tuple[Precision, ...] = get_args(Precision)
    known: TimedPrecisions = {}
    for precision in () if overwrite else precisions:
        path = folder / timings_name(precision)
        if path.exists():
            known[precision] = TimedShapes.read(path)
    if known and (folder / PLAN).exists():
        return Looked(Plans.read(folder / PLAN), known)
    if (there := opened.timings) is not None:
        info = opened.dataset.info
        known = {one: shapes_for(there, one, info) for one in there.precisions}
    return Looked(*make_plans(opened, targets, known, workers=workers, started_s=started_s))
