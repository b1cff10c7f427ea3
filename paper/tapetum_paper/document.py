"""Tables in documents, rendered from result files so that no number is typed twice.

A document marks where a table goes::

    <!-- begin: table_1_paper (paper/render_docs) -->
    <!-- end: table_1_paper -->

:func:`fill` puts the section ``table_1_paper`` between the two.  ``paper/render_docs`` does so for
every document, and a test fails where a document and its results differ.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tapetum.errors import InputError
from tapetum_paper import ALL, CellResult, Experiment, Outcome, Scale, comparison, gather
from tapetum_paper.claims import CONTROLLED, SEARCHED, Claim, claims_table
from tapetum_paper.climb import GOAL, Climb, climb_drawing
from tapetum_paper.compare import NOT_RUN
from tapetum_paper.differences import difference_sections
from tapetum_paper.drawing import Drawing
from tapetum_paper.figures import drawing
from tapetum_paper.latencies import FOLDER, latency_drawings, latency_sections
from tapetum_paper.markdown import IMAGES, markdown_table
from tapetum_paper.paper import TABLE_1

__all__ = [
    "DOCUMENTS",
    "IMAGES",
    "REPRODUCED",
    "drawings",
    "fill",
    "sections",
    "shown_experiments",
]

DOCUMENTS = ("docs/latency.md", "docs/reproduction.md", "docs/reproduction_search.md")
REPRODUCED = "reproduction"  # the folder of ``results/`` for ``python -m tapetum_paper``
CLIMB = "minutes_to_the_paper.json"
SHOWN_SCALES = (Scale.paper, Scale.small)


def sections(results: Path) -> dict[str, str]:
    """Return every section by its name, from a folder of result files.

    Raises:
        InputError: A file is damaged.
    """
    outcomes = [gather(shown, results / REPRODUCED) for shown in shown_experiments()]
    return {
        "minutes": _minutes(results / CLIMB),
        **difference_sections(results, outcomes),
        **latency_sections(results / FOLDER),
        **{_section(outcome.experiment): _reproduced(outcome) for outcome in outcomes},
        **{
            f"claims_{part}_{scale}": _claims(claims, outcomes, scale)
            for part, claims in (("controlled", CONTROLLED), ("searched", SEARCHED))
            for scale in SHOWN_SCALES
        },
    }


def shown_experiments() -> list[Experiment]:
    """Return the experiments of the two pages on reproduction, at each scale that they show."""
    return [experiment(scale) for experiment in ALL for scale in SHOWN_SCALES]


def drawings(results: Path) -> list[Drawing]:
    """Return every figure with results."""
    outcomes = (gather(shown, results / REPRODUCED) for shown in shown_experiments())
    figures = [figure for figure in map(drawing, outcomes) if figure is not None]
    figures += latency_drawings(results / FOLDER)
    path = results / CLIMB
    return [*figures, climb_drawing(Climb.read(path))] if path.exists() else figures


def _section(experiment: Experiment) -> str:
    """Return the name of a section, such as ``table_1_small``."""
    return f"{experiment.name}_{experiment.scale}"


def fill(text: str, found: Mapping[str, str]) -> str:
    """Return the text with every marked section replaced.

    Raises:
        InputError: A marked section is unknown.
    """

    def section(match: re.Match[str]) -> str:
        name = match["name"]
        if name not in found:
            raise InputError(f"there is no section {name!r}", f"known: {', '.join(found)}")
        return f"{match['begin']}\n{found[name].strip()}\n{match['end']}"

    pattern = r"(?P<begin><!-- begin: (?P<name>\w+) [^\n]*-->)\n.*?(?P<end><!-- end: (?P=name) -->)"
    return re.sub(pattern, section, text, flags=re.DOTALL)


def _minutes(path: Path) -> str:
    """The curve from fresh weights to the paper's scores, and where it reaches them."""
    if not path.exists():
        return f"{NOT_RUN}."
    climb = Climb.read(path)
    header = ("epoch", "minutes", "PSNR dB", "SSIM", "SSIM on 2", "accuracy %", "images")
    goal = TABLE_1[GOAL]
    printed = ("paper", "", goal.psnr_db, goal.ssim, goal.ssim, goal.accuracy_percent, "")
    rows = [
        (
            f"{point.epoch}",
            f"{point.minutes:.1f}",
            f"{point.psnr_db:.2f}",
            f"{point.ssim:.3f}",
            f"{point.ssim_as_printed:.3f}",
            f"{100 * point.accuracy:.1f}",
            f"{point.num_images:,}",
        )
        for point in climb.points
    ]
    reached = climb.reached
    return (
        f"![Scores over minutes]({IMAGES}/{climb_drawing(climb).name})\n\n"
        f"{markdown_table(header, [tuple(map(str, printed)), *rows])}\n\n"
        + ("Not reached" if reached is None else f"Reached after {reached.minutes:.1f} minutes")
        + f"; recipe `{climb.recipe.name}`, {climb.recipe.epochs} epochs, seed "
        f"{climb.recipe.seed}; images: of the test, at each noise level; {climb.source}; "
        f"{climb.provenance.cpu}, {climb.threads} threads; `{climb.provenance.command}`; "
        f"[results/{path.name}](../results/{path.name})."
    )


def _reproduced(outcome: Outcome) -> str:
    """Return the drawing and the table of an experiment, and their conditions."""
    experiment, parts = outcome.experiment, []
    figure = drawing(outcome)
    if figure is not None:
        parts.append(f"![{experiment.title}]({IMAGES}/{figure.name})")
    table = comparison(outcome)
    if table is not None:
        parts.append(markdown_table(table.header, table.rows))
    parts.append(
        _how(experiment, outcome.done)
        if outcome.done
        else f"At the scale `{experiment.scale}`: {NOT_RUN}."
    )
    return "\n\n".join(parts)


def _claims(claims: Sequence[Claim], outcomes: Sequence[Outcome], scale: Scale) -> str:
    table = claims_table(claims, outcomes, scale)
    return markdown_table(table.header, table.rows)


def _how(experiment: Experiment, done: Sequence[CellResult]) -> str:
    """Return images, machine and command."""
    first = done[0]
    cpus = sorted({f"{one.result.provenance.cpu}, {_threads(one)}" for one in done})
    return (
        f"{len(done)} of {len(experiment.cells)} trainings{_old_of(done)}; "
        f"{_images_of(done)}{first.source}; "
        f"{'; '.join(cpus)}; "
        f"`python -m tapetum_paper {experiment.name} --scale {experiment.scale}`; "
        f"[results/{REPRODUCED}/{experiment.scale}](../results/{REPRODUCED}/{experiment.scale})."
    )


def _old_of(done: Sequence[CellResult]) -> str:
    """Return how many results are of the old search."""
    count = sum(one.is_of_old_search for one in done)
    return f", {count} of them of the old search (log.md)" if count else ""


def _images_of(done: Sequence[CellResult]) -> str:
    """Return the number of composed images; a folder states it in its source."""
    composed = [one.cell for one in done if one.cell.size_px is None]
    if not composed:
        return ""
    counts = sorted({f"{cell.train_count:,}" for cell in composed})
    scored = sorted({f"{cell.test_count:,}" for cell in composed})
    return (
        f"{' or '.join(counts)} training images, {' or '.join(scored)} test images a noise level; "
    )


def _threads(done: CellResult) -> str:
    process = done.result.process
    threads = done.result.provenance.cores if process is None else process.threads
    return f"{threads} thread{'s' if threads > 1 else ''}"
