"""What the report of a fit shows of its race: every rung, who left, scores and ties."""

from collections.abc import Sequence

from tapetum.arch import Shape
from tapetum.jobs.run_report import as_sentences
from tapetum.progress import rounded
from tapetum.report import content
from tapetum.scores import SEEN_DB, filled_columns, show_number
from tapetum.search import Candidate, RaceResult

__all__ = ["beside_plain", "race_curves", "race_tables"]

SCORES = ("macro accuracy, %", "PSNR of noisy images, dB")
CELLS = ("candidate", "ms before the race", "round", "steps", *SCORES, "behind")
MOST_LINES = 8  # of a plot


def described(shape: Shape) -> str:
    """Return a shape in a few words, such as ``conv 16-48-96, half size``."""
    words = f"{shape.operator.replace('_', ' ')} {'-'.join(map(str, shape.widths))}"
    details = "" if shape.detail_channels is None else f" and {shape.detail_channels} at full size"
    return f"{words}, {shape.stem} size{details}"


def race_tables(
    result: RaceResult, candidates: Sequence[Candidate], delivered: Shape
) -> tuple[content.Table, ...]:
    """Return each candidate with its last rung, the winner first; none where nobody raced.

    The network that a fit has delivered stands out; where it is none of them, the note says so.
    """
    if not result.rungs:
        return ()
    by_name = {one.name: one for one in candidates}
    order = sorted(result.order, key=lambda name: name != result.winner)
    header, *rows = filled_columns((CELLS, *(_cells(result, by_name[name]) for name in order)))
    rung = result.rungs[-1]
    note = (
        f"Equal training minutes in each round, {rounded(rung.seconds / 60)} in the last; the best "
        f"third goes on and starts afresh. The {candidates[0].title} always goes on, and "
        "wins where the best is ahead by at most 1.5 standard errors. Judged by "
        f"{rung.num_images:,} images that did not train; equal files are on one side, near copies "
        "are not looked for (--group-by keeps them on one side). "
        f"The PSNR counts at most {SEEN_DB:g} dB for an image. "
        "'behind' is the distance from the best of the round: how often the latency would have to "
        "double to make up for it, with its standard error. Scores of different rounds do not "
        "compare."
    )
    stands_out = tuple(i for i, name in enumerate(order) if by_name[name].shape == delivered)
    if not stands_out:
        note = (
            f"Corrected for the budget after the race: {described(delivered)} is delivered. {note}"
        )
    note = " ".join((note, *as_sentences(result.notes)))
    return (content.Table("Race", header, tuple(rows), note, stands_out),)


def _cells(result: RaceResult, candidate: Candidate) -> tuple[str, ...]:
    """Return the row of a candidate, with its scores in the last rung that it reached."""
    number, entry = [
        (number, entry)
        for number, rung in enumerate(result.rungs, start=1)
        for entry in rung.entries
        if entry.name == candidate.name
    ][-1]
    title = candidate.title
    if entry.name == result.winner:
        title += " (winner)"
    elif entry.name in result.ties:
        title += " (tied with the winner)"
    elif entry.fault:
        title += " (failed)"
    behind = "-"
    if entry.behind is not None and entry.behind_error is not None:
        behind = f"{entry.behind:.2f} ± {entry.behind_error:.2f}"
    return (
        f"{title}: {described(candidate.shape)}",
        f"{candidate.timing.median_ms:.3g}",
        f"{number} of {len(result.rungs)}",
        f"{entry.steps:,}",
        _with_error(entry.macro_accuracy, entry.macro_accuracy_error, 1, scale=100),
        _with_error(entry.psnr_db, entry.psnr_error_db, 2),
        behind,
    )


def beside_plain(result: RaceResult, plain: Candidate) -> str:
    """Say what the plain network reached in the race, where the winner raced against it."""
    if result.winner == plain.name:
        return "the plain DC-Net won the race" if result.rungs else ""
    found = [
        entries
        for rung in result.rungs
        if plain.name in (entries := {one.name: one for one in rung.entries if not one.fault})
        and result.winner in entries
    ]
    if not found:
        return ""
    ours, theirs = found[-1][result.winner], found[-1][plain.name]
    return (
        f"in the race, after equal minutes, the plain DC-Net of the same latency "
        f"({plain.timing.median_ms:.3g} ms) reached {theirs.shown}, the winner {ours.shown}"
    )


def _with_error(value: float | None, error: float | None, digits: int, *, scale: int = 1) -> str:
    """Return a score with its standard error."""
    text = show_number(value, digits, scale=scale)
    return text if value is None or error is None else f"{text} ± {scale * error:.{digits}f}"


def race_curves(result: RaceResult, candidates: Sequence[Candidate]) -> tuple[content.Curve, ...]:
    """Return the utility of each candidate rung by rung, relative to the best of the rung."""
    if not result.rungs:
        return ()
    rungs = tuple(float(number) for number in range(1, len(result.rungs) + 1))
    shown, titles = result.order[:MOST_LINES], {one.name: one.title for one in candidates}
    series = []
    for name in shown:
        found = [
            next((entry.behind for entry in rung.entries if entry.name == name), None)
            for rung in result.rungs
        ]
        lines = tuple(None if value is None else -value for value in found)
        series.append(content.Series(titles[name], lines))
    more = len(result.order) - len(shown)
    note = f"The best {len(shown)}; {more} more left in the first round." if more else ""
    title, label = "Race, round by round", "behind the best, doublings"
    return (content.Curve(title, "round", label, rungs, tuple(series), note),)
