"""The report of a run: scores, plots, images before and after, and their origin."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tapetum.arch import Architecture
from tapetum.data import Dataset, ImageDataset
from tapetum.jobs.choose import is_digits
from tapetum.jobs.diagram import network_diagram
from tapetum.jobs.exporting import subject_of_run
from tapetum.jobs.few_images import few_images
from tapetum.jobs.label_report import label_matrices, mistake_images
from tapetum.jobs.suit import describe_balance, describe_changes
from tapetum.metrics import psnr
from tapetum.nn import TrainableNetwork
from tapetum.noise import Noise
from tapetum.progress import in_words
from tapetum.records import write_atomically
from tapetum.report import contact_sheet, content, write_report
from tapetum.scores import ScoreRow, Scores, show_number
from tapetum.training import (
    RUNS,
    Batch,
    Predict,
    Request,
    Result,
    Run,
    evaluation_batches,
    load_network,
    network_predict,
)

__all__ = [
    "MEANS",
    "REPORT",
    "as_sentences",
    "curve",
    "dataset_tables",
    "example_groups",
    "facts_of",
    "learning_curve",
    "level_curves",
    "mean_cells",
    "score_highlights",
    "score_tables",
    "shown_images",
    "shown_levels",
    "write_run_report",
]

REPORT = "report.html"
MEANS = ("accuracy, %", "macro accuracy, %", "PSNR, dB", "SSIM")
NUM_EXAMPLES = 4  # images at each noise level, where there are few classes
MOST_EXAMPLES = 8  # one of each class, where there are more
SEED = 1  # of the noise of the examples, other than that of the scores
NUM_LEVELS = 3  # noise levels with images


def write_run_report(
    out: Path, dataset: Dataset, *, network: TrainableNetwork | None = None
) -> None:
    """Write ``examples.png`` and then ``report.html`` into the folder of a finished, scored run.

    Args:
        out: Folder of the run.
        dataset: The dataset that the network was trained and scored on.
        network: A module to load the weights into; required where it has no architecture.
    """
    run = RUNS.open(out)
    result, request = run.result(), run.request
    temperature = 1.0 if result.scores is None else result.scores.temperature
    predict = network_predict(load_network(out, network=network), temperature=temperature)
    groups = example_groups(predict, dataset, request)
    if groups:
        middle = groups[len(groups) // 2]
        captioned = [replace(example, caption=middle.title) for example in middle.examples]
        write_atomically(out / "examples.png", contact_sheet(captioned))
    report = content.Report(
        title=f"{request.architecture.name} on {Path(request.data.source).name}",
        lead=f"Trained for {in_words(result.training_seconds / 60)} on {dataset.train.source}. "
        f"Scored on {len(dataset.validation):,} others.",
        highlights=score_highlights(result.scores),
        advice=as_sentences(
            (*(() if result.scores is None else result.scores.remarks), *few_images(dataset))
        ),
        usage=(
            f"tapetum export {out} --out {out.name}.tapetum",
            f"tapetum predict {out.name}.tapetum FOLDER --out denoised",
        ),
        tables=(
            *score_tables(result.scores),
            *dataset_tables(dataset),
        ),
        diagrams=_diagrams(request),
        curves=(*level_curves(result.scores), learning_curve(run)),
        examples=groups,
        matrices=label_matrices(result.scores),
        mistakes=mistake_images(result.scores, dataset, subject_of_run(out, network=network)),
        commands=(result.provenance.command,),
        facts=facts_of(run, result),
    )
    write_report(out / REPORT, report)


def _diagrams(request: Request) -> tuple[content.Diagram, ...]:
    """Return the diagram of the network, whose layers are known where it has an architecture."""
    if not isinstance(request.architecture, Architecture):
        return ()
    return (network_diagram(request.architecture, request.data.size_px),)


def score_tables(scores: Scores | None) -> tuple[content.Table, ...]:
    """Return the scores of each noise level with their mean, and the recall of each class."""
    if scores is None:
        return ()
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


def level_curves(scores: Scores | None) -> tuple[content.Curve, ...]:
    """Return PSNR and accuracy against the noise level, where there is more than one level."""
    rows = () if scores is None else scores.rows
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


def shown_levels(noises: Sequence[Noise]) -> list[Noise]:
    """Return a few evenly spread levels with the strongest; a level without noise is left out."""
    noisy = [noise for noise in noises if _level(noise) > 0]
    if not noisy:
        return list(noises[:1])
    places = np.linspace(len(noisy) - 1, 0, NUM_LEVELS + 1)[:-1]
    return [noisy[index] for index in sorted({round(float(place)) for place in places})]


def example_groups(
    predict: Predict, dataset: Dataset, request: Request
) -> tuple[content.ExampleGroup, ...]:
    """Return the same few validation images at some noise levels, before and after.

    Paired images are shown once, with their own noise; a network that does not denoise gives none.
    """
    noise, is_paired = request.recipe.noise, dataset.info.is_paired
    shown = dataset.validation.subset(shown_images(dataset.validation))
    levels = shown_levels(noise.spread())
    groups = []
    for level in levels[:1] if is_paired else levels:
        batches = evaluation_batches(
            shown, level, protocol=noise.protocol, batch_size=len(shown), seed=SEED
        )
        title = "Noise of the dataset" if is_paired else level.describe()
        examples = _examples(predict, next(batches), request.class_names)
        groups.append(content.ExampleGroup(title, examples))
    return tuple(group for group in groups if group.examples)


def shown_images(images: ImageDataset) -> list[int]:
    """Return the indices of a few images: evenly spread, and one of each class where these are few.

    The image of a class is the one in the middle of its images.
    """
    places = np.linspace(0, len(images) - 1, NUM_EXAMPLES)
    spread, labels = [round(float(place)) for place in places], images.labels
    if labels is None or labels.ndim != 1:
        return sorted(set(spread))
    classes = np.unique(labels)[:MOST_EXAMPLES]
    found = [np.flatnonzero(labels == one) for one in classes]
    chosen = [int(one[len(one) // 2]) for one in found]
    return sorted(set(chosen + spread[: max(0, NUM_EXAMPLES - len(chosen))]))


def facts_of(run: Run, result: Result) -> dict[str, str]:
    """Return dataset, recipe, machine and versions of a run, for the end of a report."""
    stamp, recipe = result.provenance, run.request.recipe
    packages = ", ".join(f"{name} {version}" for name, version in stamp.packages.items())
    commit = "not a checkout" if stamp.commit is None else stamp.commit
    facts = {
        "dataset": run.request.data.description,
        "architecture": f"{run.request.architecture.name}, {result.parameters:,} parameters",
        "recipe": f"{recipe.name}: {recipe.duration}, batch {recipe.batch_size}, "
        f"{recipe.optimizer} {recipe.learning_rate:g}, {recipe.schedule}, {recipe.precision}, "
        f"seed {recipe.seed}",
        "random changes": _random_changes(run.request),
        "training": f"{result.steps:,} steps in {result.training_seconds:,.0f} s, "
        f"{result.images_per_second:,.0f} images per second, {result.device}",
        "machine": f"{stamp.cpu}, {stamp.cores} cores, {stamp.memory_gib} GiB, {stamp.platform}",
        "software": f"tapetum {stamp.tapetum} ({commit}{', changed' if stamp.dirty else ''}), "
        f"Python {stamp.python}, {packages}",
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
        if result.start.hint:
            facts["pretrained features"] = result.start.hint
    recalibration = result.recalibration
    if recalibration is not None:
        facts["batch statistics"] = (
            f"estimated again and {'kept' if recalibration.is_kept else 'not kept'}: validation "
            f"loss {recalibration.loss_before:.4f} before, {recalibration.loss_after:.4f} after"
        )
    return facts


def _random_changes(request: Request) -> str:
    """Return the random changes of the training images in words."""
    data = request.data
    if is_digits(data.source):
        return "none"
    return describe_changes(request.recipe.augmentation, data)


def score_highlights(scores: Scores | None) -> dict[str, str]:
    """Return the mean scores by name, for the head of a report."""
    if scores is None:
        return {}
    names = (*MEANS[:2], "denoised images (PSNR), dB")
    shown = zip(names, mean_cells(scores.mean), strict=False)  # without SSIM
    return {name: value for name, value in shown if value != "-"}


def as_sentences(remarks: Sequence[str]) -> tuple[str, ...]:
    """Return remarks with a capital letter and a full stop."""
    return tuple(f"{remark[:1].upper()}{remark[1:].rstrip('.')}." for remark in remarks)


def mean_cells(mean: ScoreRow) -> tuple[str, ...]:
    """Return the mean scores as texts, under :data:`MEANS`."""
    labels = (mean.accuracy, mean.macro_accuracy)
    images = show_number(mean.psnr_db, 2), show_number(mean.ssim, 3)
    return *(show_number(share, 1, scale=100) for share in labels), *images


def _examples(
    predict: Predict, batch: Batch, class_names: Sequence[str]
) -> tuple[content.Example, ...]:
    boxes = None if batch.boxes is None else batch.boxes.numpy()
    denoised, logits = predict(batch.noisy.numpy(), boxes)
    if denoised is None:
        return ()
    clean = batch.clean.numpy()
    before, after = psnr(batch.noisy.numpy(), clean), psnr(denoised, clean)
    return tuple(
        content.Example(
            noisy=batch.noisy[index].numpy(),
            denoised=denoised[index].clip(0, 1),
            truth=batch.clean[index].numpy(),
            caption=f"image {index + 1}",
            labels=_labels(batch, logits, index, class_names),
            psnr_db=float(after[index]),
            noisy_psnr_db=float(before[index]),
        )
        for index in range(len(denoised))
    )


def _labels(
    batch: Batch, logits: NDArray[np.float32] | None, index: int, class_names: Sequence[str]
) -> tuple[content.ExampleLabel, ...]:
    """Return the labels of one image of a batch, from left to right."""
    if logits is None or batch.labels is None:
        return ()
    scores = torch.from_numpy(logits[index]).reshape(-1, len(class_names)).softmax(dim=1)
    truth = batch.labels[index].reshape(-1).tolist()
    boxes = [None] * len(truth) if batch.boxes is None else batch.boxes[index].tolist()
    labels = [
        content.ExampleLabel(
            name=class_names[int(row.argmax())],
            true_name=class_names[true],
            confidence=float(row.max()),
            box=None if box is None else (box[0], box[1], box[2], box[3]),
        )
        for row, true, box in zip(scores, truth, boxes, strict=True)
    ]
    return tuple(sorted(labels, key=lambda label: label.box or ()))


def _level(noise: Noise) -> float:
    """Return the strength of a noise: its sigma, or its fraction of pixels."""
    return float(next(iter(noise.model_dump(exclude={"kind", "gain"}).values())))
