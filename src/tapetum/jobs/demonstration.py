"""The demo: a fit for single noisy digits within a latency budget on this machine."""

from pathlib import Path
from typing import Unpack

from tapetum.data import DataOptions, Dataset, open_dataset
from tapetum.images import DecodedImage, write_image
from tapetum.jobs.choose import lists_options, named_architecture
from tapetum.jobs.fit_result import FIT, FitResult
from tapetum.jobs.fitting import fit
from tapetum.latency import Runtime, find_runtime, measure_latency
from tapetum.noise import Gaussian, add_noise, generator_for
from tapetum.progress import ProgressCallback, silent
from tapetum.training import prepare_process

__all__ = ["demo"]

DATA = "digit-crops"
SEED, RECIPE, NOISE = 0, "images", "gaussian:0-1"
NETWORK, SHARE, SECONDS = "dc-net-reduced-integrated", 0.5, 3.0  # half of its latency
TRAIN_COUNT, TEST_COUNT = 1_300, 400  # two-digit images, cut into single digits
IMAGES, NUM_IMAGES, SIGMA = "images", 8, 0.4  # noisy images to try the package on


@lists_options
def demo(
    out: str | Path = "runs/demo",
    *,
    search_minutes: float = 2.0,
    epochs: int = 16,
    runtime: Runtime | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: ProgressCallback = silent,
    **digits: Unpack[DataOptions],
) -> FitResult:
    """Fit a network for single digits to half of what the smallest DC-Net of the paper takes here.

    Example:
        >>> import tapetum.jobs
        >>> tapetum.jobs.demo("runs/demo").package  # doctest: +SKIP
        PosixPath('runs/demo/model.tapetum')

    Args:
        out: New folder for the fit.
        search_minutes: Time of the race, in minutes.
        epochs: Number of epochs of each training.
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
    if resume and (out / "request.json").exists():
        target_ms = FIT.open(out).request.target_ms
    else:
        FIT.require_free(out, resume=resume, overwrite=overwrite)
        target_ms = _target_ms(dataset, device, progress)
    result = fit(
        DATA,
        out,
        target_ms=target_ms,
        runtime=device,
        search_minutes=search_minutes,
        recipe=RECIPE,
        noise=NOISE,
        epochs=epochs,
        controls=True,
        seed=SEED,
        resume=resume,
        overwrite=overwrite,
        progress=progress,
        **digits,
    )
    _write_images(out / IMAGES, dataset)
    return result


def _target_ms(dataset: Dataset, device: Runtime, progress: ProgressCallback) -> float:
    """Return the budget: half of what the smallest DC-Net of the paper takes on this machine."""
    info = dataset.info
    measured = measure_latency(
        named_architecture(NETWORK, info),
        runtime=device,
        size_px=info.size_px,
        channels=info.channels,
        seconds=SECONDS,
        progress=progress,
    )
    return float(f"{SHARE * measured.timing.median_ms:.2g}")


def _write_images(folder: Path, dataset: Dataset) -> None:
    """Write a few noisy validation images to try the package on."""
    samples = dataset.validation.take(range(NUM_IMAGES), epoch=0, seed=SEED, train=False)
    noise = Gaussian(sigma=SIGMA)
    for index, clean in enumerate(samples.images):
        noisy = add_noise(clean, noise, generator_for(SEED, index), protocol="camera")
        image = DecodedImage(noisy, None, 8, "grey")
        write_image(folder / f"digit-{index + 1}.png", image)
