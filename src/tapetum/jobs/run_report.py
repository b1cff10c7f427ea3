"""The report of a run: scores, plots, images before and after, and their origin."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from tapetum.arch import Architecture
from tapetum.data import Dataset
from tapetum.jobs.choose import is_digits
from tapetum.jobs.data_remarks import data_remarks
from tapetum.jobs.diagram import network_diagram
from tapetum.jobs.examples import example_groups, mistake_images
from tapetum.jobs.exporting import subject_of_run
from tapetum.jobs.pretrained import linear_hint
from tapetum.jobs.suit import describe_balance, describe_changes
from tapetum.nn import TrainableNetwork
from tapetum.noise import Noise
from tapetum.progress import in_words, pasted
from tapetum.records import by_weight
from tapetum.report import content, write_report
from tapetum.scores import ScoreRow, Scores, show_number
from tapetum.training import RUNS, Recipe, Request, Result, Run

__all__ = [
    "MEANS",
    "MOST_CLASSES",
    "NUM_MISTAKES",
    "REPORT",
    "as_sentences",
    "curve",
    "dataset_tables",
    "facts_of",
    "label_matrices",
    "learning_curve",
    "level_curves",
    "mean_cells",
    "score_highlights",
    "score_tables",
    "write_run_report",
]

REPORT = "report.html"
NUM_MISTAKES = 12
MOST_CLASSES = 30  # of a confusion matrix that can be read
MEANS = ("accuracy, %", "macro accuracy, %", "PSNR of noisy images, dB", "SSIM of noisy images")


def write_run_report(
    out: Path, dataset: Dataset, *, network: TrainableNetwork | None = None
) -> None:
    """Write ``report.html`` into the folder of a finished, scored run.

    Args:
        out: Folder of the run.
        dataset: The dataset that the network was trained and scored on.
        network: A module to load the weights into; required where it has no architecture.
    """
    run = RUNS.open(out)
    result, request = run.result(), run.request
    subject = subject_of_run(out, network=network)
    scores = result.scores
    assert scores is not None  # noqa: S101  (a training ends with them)
    hints = [linear_hint(dataset)] if request.class_names else []
    remarks = (*data_remarks(dataset, request.recipe.noise.protocol), *filter(None, hints))
    tiles, warnings = score_highlights(scores), scores.warnings
    report = content.Report(
        title=content.task_title(Path(request.data.source).name, request.class_names),
        lead=f"Trained for {in_words(result.training_seconds / 60)} on {dataset.train.source}. "
        f"Scored on {len(dataset.validation):,} others.",
        highlights=tiles,
        warning=" ".join(as_sentences(warnings)),
        doubtful=tiles if warnings else (),
        advice=as_sentences(by_weight((*scores.remarks, *remarks))),
        usage=_usage(out),
        tables=(
            *score_tables(scores),
            *dataset_tables(dataset),
        ),
        diagrams=_diagrams(request),
        curves=(*level_curves(scores), learning_curve(run)),
        examples=example_groups(scores, dataset, subject),
        matrices=label_matrices(scores),
        mistakes=mistake_images(scores, dataset, subject),
        commands=(result.provenance.command,),
        facts=facts_of(run, result),
    )
    write_report(out / REPORT, report)


def _usage(out: Path) -> tuple[str, ...]:
    """Return the commands that use a run."""
    package = pasted(f"{out}.tapetum", whole=True)
    return (
        f"tapetum export {pasted(out, whole=True)} --out {package}",
        f"tapetum predict {package} FOLDER --out denoised",
        f"tapetum benchmark {package}",
    )


def _diagrams(request: Request) -> tuple[content.Diagram, ...]:
    """Return the diagram of the network, whose layers are known where it has an architecture."""
    if not isinstance(request.architecture, Architecture):
        return ()
    return (network_diagram(request.architecture, request.data.size_px),)


def score_tables(scores: Scores) -> tuple[content.Table, ...]:
    """Return the scores of each noise level with their mean, and the recall of each class."""
    rows, classes = scores.cells(), scores.class_cells()
    levels = content.Table(
        title="Scores at each noise level",
        header=scores.header,
        rows=rows,
        note=scores.note,
        highlighted=(len(rows) - 1,),
    )
    if not classes:
        return (levels,)
    title = "Recall of each class, mean over the noise levels"
    return levels, content.Table(title=title, header=scores.CLASS_HEADER, rows=classes)


def label_matrices(scores: Scores) -> tuple[content.Matrix, ...]:
    """Return the confusion matrix; none without labels.

    Of many classes it has those that are recognised worst.
    """
    if not scores.confusion:
        return ()
    names, recalls = list(scores.confusion), scores.mean.recalls
    note = "Mean over the noise levels. Each row is a true class and sums to 100 %"
    if len(names) > MOST_CLASSES:
        note += " over all classes; shown are"
        note += f" the {MOST_CLASSES} classes of {len(names):,} with the lowest recall"
        names = sorted(sorted(names, key=lambda name: recalls[name])[:MOST_CLASSES])
    shares = tuple(
        tuple(row.get(other, 0) / sum(row.values()) for other in names)
        for row in (scores.confusion[name] for name in names)
    )
    form = ("Confusion matrix", "predicted", "true", tuple(names), shares)
    return (content.Matrix(*form, f"{note}."),)


def dataset_tables(dataset: Dataset) -> tuple[content.Table, ...]:
    """Return the table of what a folder holds and how it was understood; none for digits."""
    if dataset.summary is None:
        return ()
    rows = tuple(dataset.summary.facts().items())
    return (content.Table("Dataset", ("folder", dataset.summary.folder), rows, is_prose=True),)


def curve(
    title: str,
    y_label: str,
    x: Sequence[float],
    lines: Mapping[str, Sequence[float | None]],
    *,
    x_label: str = "epoch",
) -> content.Curve:
    """Return a plot of lines by name."""
    series = tuple(content.Series(name, tuple(y)) for name, y in lines.items())
    return content.Curve(title, x_label, y_label, tuple(x), series)


def level_curves(scores: Scores) -> tuple[content.Curve, ...]:
    """Return PSNR and accuracy against the noise level, where there is more than one level."""
    rows = scores.rows
    x = [_level(row.noise) for row in rows if row.noise is not None]
    if len(rows) < 2 or len(x) < len(rows):
        return ()
    psnr_db, noisy_psnr_db = [row.psnr_db for row in rows], [row.noisy_psnr_db for row in rows]
    accuracy, macro = (
        [None if share is None else 100 * share for share in shares]
        for shares in ([row.accuracy for row in rows], [row.macro_accuracy for row in rows])
    )
    plots = {
        "PSNR, dB": ("PSNR by noise level", {"denoised": psnr_db, "noisy": noisy_psnr_db}),
        "accuracy, %": ("Accuracy by noise level", {"accuracy": accuracy, "macro accuracy": macro}),
    }
    return tuple(
        curve(title, label, x, lines, x_label="noise level")
        for label, (title, lines) in plots.items()
        if any(value is not None for value in next(iter(lines.values())))
    )


def learning_curve(run: Run) -> content.Curve:
    """Return the loss against the step, in training and in validation."""
    with (run.path / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    step, training, validation = (
        [float(row[name]) for row in rows] for name in ("step", "train_loss", "validation_loss")
    )
    lines = {"training": training, "validation": validation}
    return curve("Loss by step", "loss", step, lines, x_label="step")


def _half_size(recipe: Recipe) -> str:
    """Return the share of a training on smaller images in words, with a comma before them."""
    share = recipe.half_size
    return f", images of half the size for the first {share:.0%} of the time" if share else ""


def facts_of(run: Run, result: Result) -> dict[str, str]:
    """Return dataset, recipe, machine and versions of a run, for the end of a report."""
    stamp, recipe, data = result.provenance, run.request.recipe, run.request.data
    packages = ", ".join(f"{name} {version}" for name, version in stamp.packages.items())
    commit = f" ({stamp.commit}{', changed' if stamp.dirty else ''})" if stamp.commit else ""
    memory = f"{stamp.memory_gib} GiB, " if stamp.memory_gib else ""
    facts = {
        "dataset": data.description,
        "architecture": f"{run.request.architecture.name}, {result.parameters:,} parameters",
        "recipe": f"{recipe.name}: {recipe.duration}, batch {recipe.batch_size}, "
        f"{recipe.optimizer} {recipe.learning_rate:g}, {recipe.schedule}, {recipe.precision}, "
        f"seed {recipe.seed}{_half_size(recipe)}",
        "random changes": "none"
        if is_digits(data.source)
        else describe_changes(recipe.augmentation, data),
        "training": f"{result.steps:,} steps in {result.training_seconds:,.0f} s, "
        f"{result.images_per_second:,.0f} images per second, {result.device}",
        "machine": f"{stamp.cpu}, {stamp.cores} cores, {memory}{stamp.platform}",
        "software": f"tapetum {stamp.tapetum}{commit}, Python {stamp.python}, {packages}",
        "date": stamp.date,
    }
    if run.request.length_reason:
        facts["length"] = run.request.length_reason
    if run.request.class_names:
        facts["classes"] = describe_balance(recipe)
    if result.early_end is not None:
        facts["early end"] = result.early_end.describe()
    if result.start is not None:
        facts["start"] = f"{result.start.describe()} (sha256 {result.start.sha256})"
    recalibration = result.recalibration
    if recalibration is not None:
        facts["batch statistics"] = (
            f"estimated again and {'kept' if recalibration.is_kept else 'not kept'}: validation "
            f"loss {recalibration.loss_before:.4f} before, {recalibration.loss_after:.4f} after"
        )
    return facts


def score_highlights(scores: Scores) -> dict[str, str]:
    """Return the mean scores by name, for the head of a report."""
    shown = zip(MEANS[:3], mean_cells(scores.headline), strict=False)  # without SSIM
    return {name: value for name, value in shown if value != "-"}


def as_sentences(remarks: Sequence[str]) -> tuple[str, ...]:
    """Return remarks with a capital letter and a full stop."""
    return tuple(f"{remark[:1].upper()}{remark[1:].rstrip('.')}." for remark in remarks)


def mean_cells(mean: ScoreRow) -> tuple[str, ...]:
    """Return the scores of a headline as texts, under :data:`MEANS`."""
    labels = (mean.accuracy, mean.macro_accuracy)
    images = show_number(mean.psnr_db, 2), show_number(mean.ssim, 3)
    return *(show_number(share, 1, scale=100) for share in labels), *images


def _level(noise: Noise) -> float:
    """Return the strength of a noise: its sigma, or its fraction of pixels."""
    return float(next(iter(noise.model_dump(exclude={"kind", "gain"}).values())))
