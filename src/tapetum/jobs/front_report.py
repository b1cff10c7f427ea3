"""Scores over latency: what was delivered, beside what a user could pick by hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tapetum.jobs.compare import control_means, gain, preference_of, scores_of
from tapetum.jobs.fit_result import NETWORK, FitResult
from tapetum.jobs.run_report import MEANS, as_sentences, curve, mean_cells
from tapetum.records import Note, Weight, by_weight
from tapetum.report import content, write_report
from tapetum.scores import ScoreRow, filled_columns

__all__ = [
    *("POINT", "front_curves", "front_remarks", "front_table", "network_points"),
    "write_front_report",
]

DELIVERED, CHOSEN = "delivered", "chosen network"
POINT = ("latency, ms", "source", "scored in", *MEANS)  # of :attr:`Point.cells`
CELLS = ("network", "budget, ms", *POINT, DELIVERED)
YES = "yes"
TRAINED = "fp32"  # the precision of every training


class Point(NamedTuple):
    """A network with its budget, if it was made for one, its latency and its mean scores.

    Attributes:
        title: What it is, for people.
        target_ms: Its budget, in milliseconds; None where it was made for none.
        latency_ms: Its latency, in milliseconds.
        source: How the latency is known, and in which precision.
        scored: The precision of the scores: that of the package, or of the training.
        mean: Mean scores.
        delivered: Whether it was delivered, in a word.
    """

    title: str
    target_ms: float | None
    latency_ms: float
    source: str
    scored: str
    mean: ScoreRow
    delivered: str = "no"

    @property
    def cells(self) -> tuple[str, ...]:
        """Latency and scores, under :data:`POINT`."""
        return f"{self.latency_ms:.3g}", self.source, self.scored, *mean_cells(self.mean)

    @property
    def line(self) -> str:
        """The line of a plot that the network is on."""
        return DELIVERED if self.delivered == YES else self.title


def network_points(fits: Sequence[FitResult], beside: Sequence[FitResult] = ()) -> list[Point]:
    """Return the networks of each fit and their controls, each once, and those of earlier fits."""
    points, seen = [], set[Path]()
    for fit in fits:
        points.append(_delivered(_title(fit), fit, YES))
        if fit.delivery.run != NETWORK:
            known = (fit.selection.latency_ms, fit.source(is_package=False), TRAINED)
            mean = scores_of(fit.path / NETWORK).headline
            points.append(Point(CHOSEN, fit.request.target_ms, *known, mean))
        for control in fit.controls.controls:
            runs = {(fit.path / run).resolve() for run in control.networks}
            if fit.delivery.run in control.networks or runs <= seen:
                continue
            seen |= runs
            target_ms = fit.request.target_ms if control.may_ship else None
            source = fit.source(is_package=False, is_measured=control.is_measured)
            known, mean = (control.latency_ms, source, TRAINED), control_means(fit.path, control)
            points.append(Point(control.title, target_ms, *known, mean))
    for fit in beside:
        is_published = fit.request.method.method == "tf-nas"
        title = "published search" if is_published else fit.path.name
        points.append(_delivered(title, fit, "earlier fit"))
    return points


def _title(fit: FitResult) -> str:
    """Return what kind of network a fit has delivered."""
    if fit.delivery.run == NETWORK:
        return CHOSEN
    controls = fit.controls.controls
    found = (one.title for one in controls if fit.delivery.run in one.networks)
    return next(found, "narrower network in fp32")


def _delivered(title: str, fit: FitResult, delivered: str) -> Point:
    """Return the delivered network of a fit."""
    delivery, timing = fit.delivery, fit.delivery.timing
    latency_ms = delivery.predicted_ms if timing is None else timing.median_ms
    known = (latency_ms, fit.source(), fit.conditions.ships, delivery.scores.headline)
    return Point(title, fit.request.target_ms, *known, delivered)


def front_table(fits: Sequence[FitResult], beside: Sequence[FitResult] = ()) -> content.Table:
    """Return the table of all networks: budget, latency, mean scores, and which are delivered."""
    first, points = fits[0], network_points(fits, beside)
    precisions = " or ".join(dict.fromkeys(fit.conditions.precision for fit in fits))
    conditions = first.conditions.model_copy(update={"precision": precisions})
    header, *rows = filled_columns((CELLS, *map(_cells, points)))
    return content.Table(
        title="Networks",
        header=header,
        rows=tuple(rows),
        note=f"{conditions}. {scores_of(first.path / NETWORK).note}.",
        highlighted=tuple(i for i, point in enumerate(points) if point.delivered == YES),
    )


def _cells(point: Point) -> tuple[str, ...]:
    """Return the row of a network, under :data:`CELLS`."""
    budget = "-" if point.target_ms is None else f"{point.target_ms:g}"
    return point.title, budget, *point.cells, point.delivered


def front_curves(
    fits: Sequence[FitResult], beside: Sequence[FitResult] = ()
) -> tuple[content.Curve, ...]:
    """Return plots of accuracy and of PSNR over latency; none where there is one point."""
    points = sorted(network_points(fits, beside), key=lambda point: point.latency_ms)
    if len(points) < 2:
        return ()
    curves = []
    for title, label, field, scale in (
        ("Accuracy over latency", "macro accuracy, %", "macro_accuracy", 100),
        ("PSNR over latency", "PSNR of noisy images, dB", "psnr_db", 1),
    ):
        lines = {
            name: _line(points, name, field, scale)
            for name in dict.fromkeys(point.line for point in points)
        }
        if all(value is None for line in lines.values() for value in line):
            continue
        x = [point.latency_ms for point in points]
        curves.append(curve(title, label, x, lines, x_label="latency, ms"))
    return tuple(curves)


def _line(points: Sequence[Point], title: str, field: str, scale: int) -> list[float | None]:
    """Return a score of the networks of one title, and None for every other point."""
    values = [getattr(point.mean, field) if point.line == title else None for point in points]
    return [None if value is None else scale * value for value in values]


def front_remarks(fits: Sequence[FitResult]) -> tuple[str, ...]:
    """Return where the network of a smaller budget scores better, each in a sentence.

    Args:
        fits: The finished fits, the smallest budget first.
    """
    remarks = []
    for number, fit in enumerate(fits):
        better = next((one for one in fits[:number] if _scores_better(one, fit)), None)
        if better is not None:
            text = (
                f"the network for {better.request.target_ms:g} ms scores better than that for "
                f"{fit.request.target_ms:g} ms ({_scores(better)} against {_scores(fit)}): train "
                f"the larger one longer (--minutes), or use the smaller one"
            )
            remarks.append(Note(text, Weight.TRAINING))
    return tuple(remarks)


def _scores_better(one: FitResult, other: FitResult) -> bool:
    """Return whether a delivered network is ahead of another by more than the noise."""
    theirs, ours = one.delivery.scores, other.delivery.scores
    prefer = preference_of(other.request)
    better_by, error = gain(ours.headline, theirs.headline, prefer, ours.class_images)
    return better_by > error


def write_front_report(
    path: Path, fits: Sequence[FitResult], beside: Sequence[FitResult] = ()
) -> None:
    """Write the report on fits of several budgets.

    Args:
        path: The file.
        fits: The finished fits, the smallest budget first.
        beside: Earlier fits of the same images, to compare with.
    """
    first = fits[0]
    dataset = Path(first.request.data.source).name
    budgets = f"{first.request.target_ms:g} to {fits[-1].request.target_ms:g} ms"
    report = content.Report(
        title=f"{dataset}: {len(fits)} networks of {budgets}",
        lead=_lead(fits),
        highlights={_tile(fit): _scores(fit) for fit in fits},
        warning=" ".join(
            f"{fit.request.target_ms:g} ms: {sentence}"
            for fit in fits
            for sentence in as_sentences(fit.scores.warnings)
        ),
        doubtful=[_tile(fit) for fit in fits if fit.scores.warnings],
        advice=as_sentences(_advice(fits)),
        usage=first.usage,
        tables=(front_table(fits, beside), _packages(fits)),
        curves=front_curves(fits, beside),
    )
    write_report(path, report)


def _advice(fits: Sequence[FitResult]) -> tuple[str, ...]:
    """Return what a reader should know before one of the packages is used."""
    of_each = (
        note.changed(f"{fit.request.target_ms:g} ms: {note}")
        for fit in fits
        for note in (*_missed(fit), *fit.delivery.notes)
    )
    return by_weight((*front_remarks(fits), *of_each))


def _missed(fit: FitResult) -> tuple[Note, ...]:
    """Return the sentence that says how far a budget is missed, and why."""
    sentences = fit.delivery.verdict[:1] if fit.misses_budget else ()
    return tuple(Note(sentence, Weight.RESULT) for sentence in sentences)


def _lead(fits: Sequence[FitResult]) -> str:
    kept, first = sum(not fit.misses_budget for fit in fits), fits[0]
    known = "" if first.delivery.benchmark is not None else f" ({first.known_as})"
    told = f"{kept} of {len(fits)} packages keep their budget{known}."
    return f"{told} Each has a report of its own in its folder."


def _tile(fit: FitResult) -> str:
    """Return a budget, whether it is kept, and which scores are shown."""
    mean = fit.delivery.scores.headline
    shown = {"macro accuracy": mean.macro_accuracy, "PSNR of noisy images": mean.psnr_db}
    names = " and ".join(name for name, value in shown.items() if value is not None)
    return f"{names} (budget {fit.request.target_ms:g} ms: {fit.state})"


def _scores(fit: FitResult) -> str:
    """Return the macro accuracy and the PSNR of a package, in their units."""
    _, accuracy, psnr_db, _ = mean_cells(fit.delivery.scores.headline)
    shown = ((accuracy, "%"), (psnr_db, "dB"))
    return ", ".join(f"{value} {unit}" for value, unit in shown if value != "-")


def _packages(fits: Sequence[FitResult]) -> content.Table:
    """Return the file of each budget, and whether it keeps the budget."""
    rows = []
    for fit in fits:
        delivery, timing = fit.delivery, fit.delivery.timing
        latencies = (f"{delivery.predicted_ms:.3g}", "-")
        if timing is not None:
            latencies = (f"{timing.median_ms:.3g}", f"{timing.p95_ms:.3g}")
        file = f"{fit.path.name}/{fit.package.name}"
        rows.append((f"{delivery.target_ms:g} ms", file, *latencies, fit.state))
    header = ("budget", "package", "median, ms", "95th percentile, ms", "")
    return content.Table("Packages", header, tuple(rows))
