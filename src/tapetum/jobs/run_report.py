"""The page of a run: scores, plots, images before and after, and where all of it comes from."""

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tapetum.data import Batch, Dataset, Subset, evaluation_batches
from tapetum.jobs.train import PAGE
from tapetum.metrics import psnr
from tapetum.nn import TrainableNetwork
from tapetum.noise import Noise, Protocol, describe_noise
from tapetum.records import write_atomically
from tapetum.report import (
    Curve,
    Example,
    ExampleGroup,
    ExampleLabel,
    Report,
    Series,
    Table,
    contact_sheet,
    write_report,
)
from tapetum.scores import SCORE_HEADER, Scores, score_cells, score_note, show_number
from tapetum.training import (
    RUNS,
    Predict,
    Result,
    Run,
    load_network,
    network_predict,
)

__all__ = [
    "example_groups",
    "facts_of",
    "learning_curve",
    "level_curves",
    "score_table",
    "shown_levels",
    "write_run_report",
]

NUM_EXAMPLES = 4  # of each noise level
NUM_LEVELS = 3  # of which images are shown


def write_run_report(
    out: Path, images: Dataset, *, network: TrainableNetwork | None = None
) -> Path:
    """Writes ``report.html`` and ``examples.png`` into the folder of a finished and scored run.

    Args:
        out: The folder of the run.
        images: What it was trained and scored on.
        network: A module to load its weights into, where it has no architecture.

    Returns:
        Where the page is.
    """
    run = RUNS.open(out)
    result = run.result()
    request = run.request
    groups = example_groups(
        network_predict(load_network(out, network=network)),
        images,
        shown_levels(request.recipe.noise.spread()),
        protocol=request.recipe.noise.protocol,
        class_names=request.class_names,
    )
    page = Report(
        title=f"{request.architecture.name} on {Path(request.data.source).name}",
        lead=f"{images.train.source}. Trained {result.training_seconds / 60:.1f} minutes on "
        f"{len(images.train):,} images, scored on {len(images.validation):,} others.",
        highlights=_highlights(result.scores),
        tables=(score_table(result.scores),) if result.scores else (),
        curves=(*level_curves(result.scores), learning_curve(run)),
        examples=groups,
        commands=(result.provenance.command,),
        facts=facts_of(run, result),
    )
    path = out / PAGE
    write_report(path, page)
    if groups:
        middle = groups[len(groups) // 2]
        captioned = [replace(example, caption=middle.title) for example in middle.examples]
        write_atomically(out / "examples.png", contact_sheet(captioned))
    return path


def score_table(scores: Scores) -> Table:
    """A row a noise level, and their mean."""
    rows = score_cells(scores)
    return Table(
        title="Scores at each noise level",
        header=SCORE_HEADER,
        rows=rows,
        note=score_note(scores),
        highlighted=(len(rows) - 1,),
    )


def level_curves(scores: Scores | None, extra: Sequence[Series] = ()) -> tuple[Curve, ...]:
    """PSNR and accuracy against the noise level, where there is more than one level.

    Args:
        scores: What to draw.
        extra: More lines for the plot of the PSNR.
    """
    if scores is None or len(scores.rows) < 2 or any(row.noise is None for row in scores.rows):
        return ()
    x = tuple(_level(row.noise) for row in scores.rows if row.noise is not None)
    curves = []
    if scores.mean.num_images and any(row.psnr_db is not None for row in scores.rows):
        series = (
            Series("denoised", tuple(row.psnr_db for row in scores.rows)),
            Series("noisy", tuple(row.noisy_psnr_db for row in scores.rows)),
            *extra,
        )
        curves.append(Curve("How clean", "noise level", "PSNR, dB", x, series))
    if any(row.accuracy is not None for row in scores.rows):
        percent = tuple(None if row.accuracy is None else 100 * row.accuracy for row in scores.rows)
        line = (Series("right names", percent),)
        curves.append(Curve("How well named", "noise level", "accuracy, %", x, line))
    return tuple(curves)


def learning_curve(run: Run) -> Curve:
    """Loss against the epoch, in training and in validation."""
    with (run.path / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return Curve(
        "How it learnt",
        "epoch",
        "loss",
        tuple(float(row["epoch"]) for row in rows),
        (
            Series("training", tuple(float(row["train_loss"]) for row in rows)),
            Series("validation", tuple(float(row["validation_loss"]) for row in rows)),
        ),
    )


def shown_levels(noises: Sequence[Noise]) -> list[Noise]:
    """A few of the levels, evenly spread, the strongest included; no noise is not shown."""
    noisy = [noise for noise in noises if _level(noise) > 0]
    if not noisy:
        return list(noises[:1])
    places = np.linspace(len(noisy) - 1, 0, NUM_LEVELS + 1)[:-1]
    return [noisy[index] for index in sorted({round(float(place)) for place in places})]


def example_groups(
    predict: Predict,
    images: Dataset,
    noises: Sequence[Noise],
    *,
    protocol: Protocol,
    class_names: Sequence[str],
    seed: int = 1,
) -> tuple[ExampleGroup, ...]:
    """The same few validation images at some noise levels, before and after.

    Args:
        predict: Denoises, and perhaps names; a network that does not clean gives no examples.
        images: Whose validation part is shown.
        noises: The levels; paired images bring their own noise, and are shown once.
        protocol: What is kept of a noisy image.
        class_names: In the order of the logits.
        seed: Of the noise; another than that of the scores.
    """
    places = np.linspace(0, len(images.validation) - 1, NUM_EXAMPLES)
    shown = Subset(images.validation, sorted({round(float(place)) for place in places}))
    groups = []
    for noise in noises[:1] if images.info.is_paired else noises:
        batches = evaluation_batches(
            shown, noise, protocol=protocol, batch_size=NUM_EXAMPLES, seed=seed
        )
        title = "The given noise" if images.info.is_paired else describe_noise(noise)
        examples = _examples(predict, next(batches), class_names)
        groups.append(ExampleGroup(title, examples))
    return tuple(group for group in groups if group.examples)


def facts_of(run: Run, result: Result) -> dict[str, str]:
    """What was run on what, for the end of a page."""
    stamp, recipe = result.provenance, run.request.recipe
    packages = ", ".join(f"{name} {version}" for name, version in stamp.packages.items())
    commit = "not a checkout" if stamp.commit is None else stamp.commit
    facts = {
        "data": run.request.data.description,
        "architecture": f"{run.request.architecture.name}, {result.parameters:,} parameters",
        "recipe": f"{recipe.name}: {recipe.epochs} epochs, batch {recipe.batch_size}, "
        f"{recipe.optimizer} {recipe.learning_rate:g}, {recipe.schedule}, {recipe.precision}, "
        f"seed {recipe.seed}",
        "training": f"{result.steps:,} steps in {result.training_seconds:,.0f} s, "
        f"{result.images_per_second:,.0f} images a second, {result.device}",
        "machine": f"{stamp.cpu}, {stamp.cores} cores, {stamp.memory_gib} GiB, {stamp.platform}",
        "software": f"tapetum {stamp.tapetum} ({commit}{', changed' if stamp.dirty else ''}), "
        f"Python {stamp.python}, {packages}",
        "date": stamp.date,
    }
    found = result.recalibration
    if found is not None:
        facts["batch statistics"] = (
            f"estimated anew and {'kept' if found.is_kept else 'not kept'}: validation loss "
            f"{found.loss_before:.4f} before, {found.loss_after:.4f} after"
        )
    return facts


def _examples(predict: Predict, batch: Batch, class_names: Sequence[str]) -> tuple[Example, ...]:
    boxes = None if batch.boxes is None else batch.boxes.numpy()
    denoised, logits = predict(batch.noisy.numpy(), boxes)
    if denoised is None:
        return ()
    result = torch.from_numpy(denoised)
    before, after = psnr(batch.noisy, batch.clean), psnr(result, batch.clean)
    return tuple(
        Example(
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
) -> tuple[ExampleLabel, ...]:
    """What was named in one image of a batch, from left to right."""
    if logits is None or batch.labels is None:
        return ()
    scores = torch.from_numpy(logits[index]).reshape(-1, len(class_names)).softmax(dim=1)
    truth = batch.labels[index].reshape(-1).tolist()
    boxes = [None] * len(truth) if batch.boxes is None else batch.boxes[index].tolist()
    labels = [
        ExampleLabel(
            name=class_names[int(row.argmax())],
            true_name=class_names[true],
            confidence=float(row.max()),
            box=None if box is None else (box[0], box[1], box[2], box[3]),
        )
        for row, true, box in zip(scores, truth, boxes, strict=True)
    ]
    return tuple(sorted(labels, key=lambda label: label.box or ()))


def _highlights(scores: Scores | None) -> dict[str, str]:
    if scores is None:
        return {}
    mean = scores.mean
    found = {
        "PSNR, dB": show_number(mean.psnr_db, 2),
        "SSIM": show_number(mean.ssim, 3),
        "accuracy, %": show_number(mean.accuracy, 1, scale=100),
    }
    return {name: value for name, value in found.items() if value != "-"}


def _level(noise: Noise) -> float:
    """The one number that varies: sigma or the fraction."""
    return float(next(iter(noise.model_dump(exclude={"kind", "gain"}).values())))
