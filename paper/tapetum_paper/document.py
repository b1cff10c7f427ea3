"""Tables in documents, rendered from result files so that no number is typed twice.

A document marks where a table goes::

    <!-- begin: demo (scripts/render_docs) -->
    <!-- end: demo -->

:func:`fill` puts the section ``demo`` between the two.  ``scripts/render_docs`` does so for every
document, and a test fails where a document and its results differ.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tapetum.errors import InputError
from tapetum.scores import SCORE_HEADER, Scores, score_cells, score_note, show_number
from tapetum.training import Result
from tapetum_paper import ALL, CellResult, Experiment, Outcome, Scale, comparison, gather
from tapetum_paper.claims import CONTROLLED, SEARCHED, Claim, claims_table
from tapetum_paper.climb import GOAL, Climb, climb_drawing
from tapetum_paper.compare import NOT_RUN
from tapetum_paper.differences import difference_sections
from tapetum_paper.drawing import Drawing
from tapetum_paper.figures import drawing
from tapetum_paper.latencies import FOLDER, latency_drawings, latency_sections
from tapetum_paper.markdown import IMAGES, markdown_table
from tapetum_paper.paper import TABLE_1, TABLE_8

__all__ = [
    "DOCUMENTS",
    "IMAGES",
    "REPRODUCED",
    "drawings",
    "fill",
    "sections",
    "shown_experiments",
]

DOCUMENTS = (
    "README.md",
    "docs/latency.md",
    "docs/examples.md",
    "docs/reproduction.md",
    "docs/reproduction_search.md",
    "docs/search.md",
)
REPRODUCED = "reproduction"  # the folder of ``results/`` that ``tapetum reproduce`` fills
CLIMB = "minutes_to_the_paper.json"
TRAINING_SPEED = "training_speed.json"
SEARCH_SPEED = "search_speed.json"
SHOWN_SCALES = (Scale.paper, Scale.small)
SHOWN_SIGMAS = (0.0, 0.2, 0.4, 0.8, 1.0)  # those of the paper's table 8, and no noise


def sections(results: Path) -> dict[str, str]:
    """Every section by its name, from the result files in a folder.

    Raises:
        InputError: A file is missing or does not hold a result.
    """
    outcomes = [gather(shown, results / REPRODUCED) for shown in shown_experiments()]
    return {
        "demo": _demo(results / "demo.json"),
        "steel": _images(results / "steel.json"),
        "photos": _images(results / "photos.json"),
        "minutes": _if_run(_minutes, results / CLIMB),
        "training_speed": _if_run(_training_speed, results / TRAINING_SPEED),
        "search_speed": _if_run(_search_speed, results / SEARCH_SPEED),
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
    """The experiments of the two pages on reproduction, each at each scale that they show."""
    return [experiment(scale) for experiment in ALL for scale in SHOWN_SCALES]


def drawings(results: Path) -> list[Drawing]:
    """Every figure of the documents of which something has been run."""
    outcomes = (gather(shown, results / REPRODUCED) for shown in shown_experiments())
    figures = [figure for figure in map(drawing, outcomes) if figure is not None]
    figures += latency_drawings(results / FOLDER)
    path = results / CLIMB
    return [*figures, climb_drawing(Climb.read(path))] if path.exists() else figures


def _section(experiment: Experiment) -> str:
    """Such as ``table_1_small``."""
    return f"{experiment.name}_{experiment.scale}"


def fill(text: str, found: Mapping[str, str]) -> str:
    """The text with every marked section replaced.

    Raises:
        InputError: A section is marked that nobody renders.
    """

    def section(match: re.Match[str]) -> str:
        name = match["name"]
        if name not in found:
            raise InputError(f"nobody renders the section {name!r}", f"known: {', '.join(found)}")
        return f"{match['begin']}\n{found[name].strip()}\n{match['end']}"

    pattern = r"(?P<begin><!-- begin: (?P<name>\w+) [^\n]*-->)\n.*?(?P<end><!-- end: (?P=name) -->)"
    return re.sub(pattern, section, text, flags=re.DOTALL)


def _demo(path: Path) -> str:
    """This machine's demo beside the paper's rows."""
    result, scores = _read(path)
    printed, alone = TABLE_1[GOAL], TABLE_8["unet-s"]
    rows = [
        (
            "paper, 100 epochs (table 1; by sigma: its denoiser alone, table 8)",
            f"{printed.psnr_db:.1f}",
            f"{printed.ssim:.2f}",
            f"{printed.accuracy_percent:.1f} %",
            *(f"{alone.psnr_db[s]:.1f}" if s in alone.psnr_db else "-" for s in SHOWN_SIGMAS),
        ),
        (
            f"`make demo`, trained {result.training_seconds / 60:.1f} minutes on "
            f"{result.provenance.cores} cores",
            *_means(scores),
            *_by_sigma(scores),
        ),
    ]
    header = ["", "PSNR dB", "SSIM", "accuracy", *(f"dB at sigma {s:g}" for s in SHOWN_SIGMAS)]
    return (
        "Reduced Integrated DC-Net, two handwritten digits in an image of 96 x 96 px, mean over "
        "eleven noise levels from sigma 0 to 1:\n\n"
        f"{markdown_table(header, rows)}\n\n"
        f"One seed; {scores.source}; {scores.mean.num_images:,} test images a "
        f"level, protocol {scores.protocol}; {result.provenance.cpu}, "
        f"{result.provenance.cores} cores; "
        f"[results/{path.name}](results/{path.name})."
    )


def _images(path: Path) -> str:
    """All noise levels of one run on a folder of images."""
    result, scores = _read(path)
    return (
        f"{markdown_table(SCORE_HEADER, score_cells(scores))}\n\n"
        f"{scores.source}; {score_note(scores)}; trained once, "
        f"{result.training_seconds / 60:.1f} minutes ({result.images_per_second:,.0f} images a "
        f"second) on {result.provenance.cpu}, {result.provenance.cores} cores; "
        f"`{result.provenance.command}`; [results/{path.name}](../results/{path.name})."
    )


def _if_run(render: Callable[[Path], str], path: Path) -> str:
    """What a benchmark left, where it was run."""
    return render(path) if path.exists() else f"{NOT_RUN}."


def _minutes(path: Path) -> str:
    """The curve from nothing to the paper, and where it was reached."""
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


def _training_speed(path: Path) -> str:
    """The loops beside each other, in one run."""
    return _speed(path, "loop")


def _search_speed(path: Path) -> str:
    """Steps of a search beside each other, in one run."""
    return _speed(path, "a step of the search, 64 px")


def _speed(path: Path, title: str) -> str:
    """A row for each of what was timed side by side."""
    found = json.loads(path.read_text())
    provenance = found["provenance"]
    rows = [
        (
            name,
            f"{loop['images_per_second']:.0f}",
            f"{loop['ratio']:.2f}",
            " to ".join(f"{ratio:.2f}" for ratio in loop["ratio_range"]),
        )
        for name, loop in found["loops"].items()
    ]
    header = (title, "images a second", "ratio", "range over turns")
    return (
        f"{markdown_table(header, rows)}\n\n"
        f"Batch {found['batch']}, {found['threads']} threads, {provenance['cpu']}; medians; "
        f"`{provenance['command']}`; [results/{path.name}](../results/{path.name})."
    )


def _reproduced(outcome: Outcome) -> str:
    """An experiment at one scale: its drawing, its table, and what must be known of both."""
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
    """Seeds, scale, machine and command, as they stand with every number."""
    first = done[0]
    cpus = sorted({f"{one.result.provenance.cpu}, {_threads(one)}" for one in done})
    return (
        f"{len(done)} of {len(experiment.cells)} trainings; {_images_of(done)}{first.source}; "
        f"{'; '.join(cpus)}; "
        f"`tapetum reproduce {experiment.name} --scale {experiment.scale}`; "
        f"[results/{REPRODUCED}/{experiment.scale}](../results/{REPRODUCED}/{experiment.scale})."
    )


def _images_of(done: Sequence[CellResult]) -> str:
    """How many were composed; of a folder the source says it."""
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


def _read(path: Path) -> tuple[Result, Scores]:
    """A run's ``result.json``, kept under another name."""
    result = Result.read(path)
    if result.scores is None:
        raise InputError(f"{path} has no scores", "keep the result.json of a scored run")
    return result, result.scores


def _means(scores: Scores) -> tuple[str, ...]:
    mean = scores.mean
    return (
        show_number(mean.psnr_db, 1),
        show_number(mean.ssim, 2),
        f"{show_number(mean.accuracy, 1, scale=100)} %",
    )


def _by_sigma(scores: Scores) -> list[str]:
    rows = map(scores.at_sigma, SHOWN_SIGMAS)
    return [show_number(None if row is None else row.psnr_db, 1) for row in rows]
