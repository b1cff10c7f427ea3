"""Tables in documents, rendered from result files so that no number is typed twice.

A document marks where a table goes::

    <!-- begin: demo (scripts/render_docs) -->
    <!-- end: demo -->

:func:`fill` puts the section ``demo`` between the two.  ``scripts/render_docs`` does so for every
document, and a test fails where a document and its results differ.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tapetum.errors import InputError
from tapetum.experiments import ALL, CellResult, Experiment, Outcome, Scale, comparison, gather
from tapetum.experiments.compare import NOT_RUN
from tapetum.experiments.figures import has_drawing
from tapetum.experiments.paper import TABLE_1, TABLE_8
from tapetum.noise import Gaussian
from tapetum.scores import SCORE_HEADER, Scores, score_cells, score_note, show_number
from tapetum.training import Result

__all__ = [
    "DOCUMENTS",
    "REPRODUCED",
    "drawing_path",
    "fill",
    "markdown_table",
    "sections",
    "shown_experiments",
]

DOCUMENTS = ("README.md", "docs/pictures.md", "docs/reproduction.md")
REPRODUCED = "reproduction"  # the folder of ``results/`` that ``tapetum reproduce`` fills
SHOWN_SCALES = (Scale.paper, Scale.small)
SHOWN_SIGMAS = (0.0, 0.2, 0.4, 0.8, 1.0)  # those of the paper's table 8, and no noise
ARCHITECTURE = "dc-net-reduced-integrated"


def sections(results: Path) -> dict[str, str]:
    """Every section by its name, from the result files in a folder.

    Raises:
        InputError: A file is missing or does not hold a result.
    """
    outcomes = [gather(shown, results / REPRODUCED) for shown in shown_experiments()]
    return {
        "demo": _demo(results / "demo.json"),
        "steel": _pictures(results / "steel.json"),
        "photos": _pictures(results / "photos.json"),
        **{_section(outcome.experiment): _reproduced(outcome) for outcome in outcomes},
    }


def shown_experiments() -> list[Experiment]:
    """The experiments of docs/reproduction.md, each at each scale that it shows."""
    return [experiment(scale) for experiment in ALL for scale in SHOWN_SCALES]


def drawing_path(experiment: Experiment) -> str:
    """Where a figure lies, seen from ``docs/``."""
    return f"pictures/{_section(experiment)}.png"


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


def markdown_table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown; the first column to the left, the others to the right."""
    titles = list(header)
    lines = [titles, ["---", *["---:"] * (len(titles) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _demo(path: Path) -> str:
    """This machine's demo beside the paper's rows."""
    result, scores = _read(path)
    printed, alone = TABLE_1[ARCHITECTURE], TABLE_8["unet-s"]
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
        "Reduced Integrated DC-Net, two handwritten digits in a picture of 96 x 96 px, mean over "
        "eleven noise levels from sigma 0 to 1:\n\n"
        f"{markdown_table(header, rows)}\n\n"
        f"One seed; {scores.source}; {scores.mean.num_pictures:,} test pictures a "
        f"level, protocol {scores.protocol}; {result.provenance.cpu}, "
        f"{result.provenance.cores} cores; "
        f"[results/{path.name}](results/{path.name})."
    )


def _pictures(path: Path) -> str:
    """All noise levels of one run on a folder of pictures."""
    result, scores = _read(path)
    return (
        f"{markdown_table(SCORE_HEADER, score_cells(scores))}\n\n"
        f"{scores.source}; {score_note(scores)}; trained once, "
        f"{result.training_seconds / 60:.1f} minutes ({result.pictures_per_second:,.0f} pictures a "
        f"second) on {result.provenance.cpu}, {result.provenance.cores} cores; "
        f"`{result.provenance.command}`; [results/{path.name}](../results/{path.name})."
    )


def _reproduced(outcome: Outcome) -> str:
    """An experiment at one scale: its drawing, its table, and what must be known of both."""
    experiment, parts = outcome.experiment, []
    if has_drawing(outcome):
        parts.append(f"![{experiment.title}]({drawing_path(experiment)})")
    table = comparison(outcome)
    if table is not None:
        parts.append(markdown_table(table.header, table.rows))
    parts.append(
        _how(experiment, outcome.done)
        if outcome.done
        else f"At the scale `{experiment.scale}`: {NOT_RUN}."
    )
    return "\n\n".join(parts)


def _how(experiment: Experiment, done: Sequence[CellResult]) -> str:
    """Seeds, scale, machine and command, as they stand with every number."""
    first = done[0]
    counts = sorted({f"{one.cell.train_count:,}" for one in done})
    scored = sorted({f"{one.cell.test_count:,}" for one in done})
    cpus = sorted({f"{one.result.provenance.cpu}, {_threads(one)}" for one in done})
    return (
        f"{len(done)} of {len(experiment.cells)} trainings; "
        f"{' or '.join(counts)} training pictures, {' or '.join(scored)} test pictures a noise "
        f"level; {first.source}; {'; '.join(cpus)}; "
        f"`tapetum reproduce {experiment.name} --scale {experiment.scale}`; "
        f"[results/{REPRODUCED}/{experiment.scale}](../results/{REPRODUCED}/{experiment.scale})."
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
    rows = {row.noise.sigma: row for row in scores.rows if isinstance(row.noise, Gaussian)}
    return [show_number(rows[s].psnr_db, 1) if s in rows else "-" for s in SHOWN_SIGMAS]
