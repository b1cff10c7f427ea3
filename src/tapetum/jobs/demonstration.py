"""The demo: a fit for single noisy digits within a latency budget on this machine."""

from pathlib import Path
from typing import Unpack

from tapetum.arch import spaces
from tapetum.data import Dataset, open_dataset
from tapetum.images import DecodedImage, write_image
from tapetum.jobs.choose import DataOptions
from tapetum.jobs.fit_result import FitResult
from tapetum.jobs.fitting import fit
from tapetum.latency import Conditions, Effort, LatencyTable, Runtime, find_runtime, measure_table
from tapetum.noise import Gaussian, add_noise, generator_for
from tapetum.progress import ProgressCallback, silent
from tapetum.training import prepare_process

__all__ = ["demo"]

DATA = "digit-crops"
SEED = 0
SHARE = 0.4  # position of the budget between the fastest and the slowest network
MINUTES = 1.5  # for the latency table
TRAIN_COUNT, TEST_COUNT = 1_300, 400  # two-digit images, cut into single digits
IMAGES, NUM_IMAGES, SIGMA = "images", 8, 0.4  # noisy images to try the package on


def demo(
    out: str | Path = "runs/demo",
    *,
    search_epochs: int = 4,
    epochs: int = 3,
    networks: int = 120,
    runtime: Runtime | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: ProgressCallback = silent,
    **digits: Unpack[DataOptions],
) -> FitResult:
    """Fit a small network for single digits to a budget that suits this machine.

    Example:
        >>> import tapetum.jobs
        >>> tapetum.jobs.demo("runs/demo").package  # doctest: +SKIP
        PosixPath('runs/demo/model.tapetum')

    Args:
        out: New folder for the fit; its latency table lies beside it (``OUT-table.json``).
        search_epochs: Number of epochs of the search.
        epochs: Number of epochs of each training.
        networks: Number of random networks that are timed for the table.
        runtime: Inference runtime; default ONNX Runtime.
        resume: Whether to continue an interrupted demo; a finished one is returned as it is.
        overwrite: Whether to replace an older demo.
        progress: Called after each step.
        digits: Options of the digits; see :class:`tapetum.jobs.DataOptions`.

    Raises:
        RunError: The folder is taken.
        DataError: The digits cannot be found.
    """
    prepare_process()  # before torch starts its threads
    out, device = Path(out), runtime or find_runtime("onnxruntime")
    digits = {"train_count": TRAIN_COUNT, "test_count": TEST_COUNT, **digits}
    dataset = open_dataset(DATA, seed=SEED, **digits)
    table = _table(out.with_name(f"{out.name}-table.json"), dataset, device, networks, progress)
    result = fit(
        DATA,
        out,
        target_ms=round(table.range.at(SHARE), 2),
        latency=table,
        runtime=device,
        search_epochs=search_epochs,
        epochs=epochs,
        seed=SEED,
        resume=resume,
        overwrite=overwrite,
        progress=progress,
        **digits,
    )
    _write_images(out / IMAGES, dataset)
    return result


def _table(
    path: Path, dataset: Dataset, device: Runtime, networks: int, progress: ProgressCallback
) -> LatencyTable:
    """Return the table of an earlier demo on this machine, or measure one."""
    info = dataset.info
    conditions = Conditions.here(
        device, threads=1, batch=1, channels=info.channels, size_px=info.size_px
    )
    if path.exists():
        table = LatencyTable.read(path)
        if table.conditions == conditions:
            return table
    frame = spaces.Frame(
        operators=4,
        image_px=info.size_px,
        image_channels=info.channels,
        num_classes=len(info.class_names),
    )
    effort, space = Effort(networks, MINUTES), spaces.open_space("dc-nas", frame)
    return measure_table(
        space, device, conditions, path, effort=effort, overwrite=True, progress=progress
    )


def _write_images(folder: Path, dataset: Dataset) -> None:
    """Write a few noisy validation images to try the package on."""
    samples = dataset.validation.take(range(NUM_IMAGES), epoch=0, seed=SEED, train=False)
    noise = Gaussian(sigma=SIGMA)
    for index, clean in enumerate(samples.images):
        noisy = add_noise(clean, noise, generator_for(SEED, index), protocol="camera")
        image = DecodedImage(noisy, None, 8, "grey")
        write_image(folder / f"digit-{index + 1}.png", image)
