"""Suit a trained network to the images of another camera, without labels and clean images.

*What changes.* Batch normalisations keep the mean and variance of each channel on the training
images. Another camera (darker, another gamma, another noise) moves them, so they are estimated
again on its images. That takes the brightness out of the denoised image too: its channels get a new
scale and offset where a squared error is known (:mod:`tapetum.jobs.camera_output`). Nothing else is
learnt. In a package the statistics are folded into the convolutions, so that nobody can tell them
from the weights, and only its white level can be changed.

*What decides.* Half of the images estimates, the other half decides: the losses of each image
before and after are compared in pairs. The squared error is exact where noise was added to clean
images. Otherwise it is estimated by Stein's lemma (:func:`tapetum.losses.unbiased_squared_errors`)
on the pixels whose noise is not clipped, which takes the noise for independent from pixel to pixel.
The estimate is linear in the variance: what is better at both ends of a range of levels is better
between. A range ends where the images could not hide more noise, since their finest detail is noise
and texture together. Images in folders named after the classes add the cross-entropy. The entropy
of labels, or how much they agree under changes, says little about whether they are right.

*The white level* sets the scale of these losses, so they cannot judge it. It is a fact of the
files: the stored values of both halves have to show the same one. Both losses are under the new
level.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tapetum.data import SplitList
from tapetum.errors import InputError, PackageError
from tapetum.formats import export_network, repack
from tapetum.images import display_name
from tapetum.jobs.camera import FEWEST, CameraImages, View, Viewer, content_of, find_images
from tapetum.jobs.camera_losses import (
    UNLABELLED,
    Compared,
    Criteria,
    compare,
    criteria_of,
    decide,
    measure,
)
from tapetum.jobs.camera_output import fit_output
from tapetum.jobs.choose import SPLIT, require_network
from tapetum.jobs.exporting import network_of_run
from tapetum.jobs.fit_result import run_at
from tapetum.nn import Network, reestimate_statistics
from tapetum.noise import Noise, NoisePlan, parse_noise
from tapetum.progress import ProgressCallback, shown_path, silent, step
from tapetum.provenance import require_seed
from tapetum.records import Record, as_path, changed, require_free_name
from tapetum.runtime import BrightnessRange, Manifest, Package, brightness_of, open_package
from tapetum.search import Prefer
from tapetum.training import RUNS, prepare_process

__all__ = ["Calibrated", "calibrate"]

BATCH = 32  # images whose statistics are taken together, as in most trainings


class Calibrated(Record):
    """What a calibration has found, and what it has kept.

    Attributes:
        source: Name of the run or the package.
        folder: Name of the folder of images.
        num_estimating: Number of images that statistics were estimated from.
        num_judging: Number of images that decided.
        seed: Random seed of the halves and windows.
        white_before: White level of the preparation; None for what each file says.
        white_after: The one that the images show.
        white_reason: How it was found.
        losses: Losses before and after.
        labels_changed: Share of the deciding images whose label changes; None without labels.
        accuracies: Share of right labels before and after; None where the truth is not known.
        brightness: The means of the camera's images, where the package warns outside of these.
        is_kept: Whether the new statistics are kept.
        reason: Why.
        notes: What was not used or is not known.
        path: The package that was written; None where nothing changed or none was asked for.
    """

    source: str
    folder: str
    num_estimating: int
    num_judging: int
    seed: int
    white_before: float | None
    white_after: float | None
    white_reason: str
    losses: tuple[Compared, ...] = ()
    labels_changed: float | None = None
    accuracies: tuple[float, float] | None = None
    brightness: BrightnessRange | None = None
    is_kept: bool = False
    reason: str
    notes: tuple[str, ...] = ()
    path: str | None = None

    @property
    def changes(self) -> bool:
        """Whether the network or its preparation is another one now."""
        return self.is_kept or self.white_before != self.white_after

    @property
    def title(self) -> str:
        """Which images were used, for people."""
        return (
            f"estimated on {self.num_estimating} images of {self.folder}, decided on "
            f"{self.num_judging} others, seed {self.seed}"
        )

    def cells(self) -> tuple[tuple[str, str, str], ...]:
        """Return a row of texts for what has a value before and after."""
        whites = (
            "as the files say" if white is None else f"{white:g}"
            for white in (self.white_before, self.white_after)
        )
        losses = ((one.name, f"{one.before:.4g}", f"{one.after:.4g}") for one in self.losses)
        changed = self.labels_changed
        labels = () if changed is None else (("labels that change", "", f"{changed:.1%}"),)
        right = self.accuracies and (("accuracy", *(f"{one:.1%}" for one in self.accuracies)),)
        return (("white level", *whites), *losses, *(right or ()), *labels)


class _Subject(NamedTuple):
    """What is calibrated.

    Attributes:
        form: The network of a run; of a package, whose statistics are gone, the package.
        manifest: Manifest of the package, or of the one that the run becomes.
        plan: Noise of the training; None where it is not known.
    """

    form: Network | Package
    manifest: Manifest
    plan: NoisePlan | None = None


def calibrate(
    source: str | Path,
    folder: str | Path,
    *,
    out: str | Path | None = None,
    noise: str | float | None = None,
    clean: bool = False,
    prefer: Prefer = "balanced",
    white: str | float = "auto",
    seed: int = 0,
    overwrite: bool = False,
    progress: ProgressCallback = silent,
) -> Calibrated:
    """Estimate batch statistics and white level again on images of the target camera.

    The images need no labels. One half estimates, the other half decides; where that cannot tell,
    the network stays as it is.

    Example:
        >>> import tapetum
        >>> found = tapetum.calibrate("runs/photos", "new_camera")  # doctest: +SKIP
        >>> found.is_kept, found.reason  # doctest: +SKIP

    Args:
        source: Folder of a finished run or fit; or a ``.tapetum`` file, of which only the white
            level can be calibrated.
        folder: Folder of images: 20 at least; of more than 400 a random choice is used.
        out: The package to write if something changes; None to look only.
        noise: Noise of these images, such as 0.05; default a range up to what they can hide.
        clean: Whether these images show no noise, so that the noise of the training is added.
        prefer: Whose loss decides: ``label``, ``image``, or both (``balanced``), where neither may
            become worse.
        white: ``auto``, or the stored value that means white in files of 16 bits and floats.
        seed: Random seed of halves, windows and added noise.
        overwrite: Whether an older result may be replaced; never the source.
        progress: Called after each image.

    Returns:
        White level and losses before and after, what is kept, and why.

    Raises:
        InputError: The options contradict each other, or the network labels boxes.
        DataError: There is no such folder, or no image in it.
        RunError: The run is not finished, or its network has no architecture.
        PackageError: ``out`` exists or is the source.
    """
    source, folder = as_path(source, "a run or a package"), as_path(folder, "a folder of images")
    require_seed(seed)
    given = _noise_of_images(noise, clean=clean)
    if out is not None:
        out = as_path(out, "the package to write")
        _require_free(out, source, overwrite=overwrite)
    if source.is_file() and (given is not None or clean or prefer != "balanced"):
        problem = "of a package the white level alone is calibrated, so noise has no effect"
        raise InputError(problem, "leave out --noise, --clean and --prefer")
    subject, images = _opened(source, adds_noise=clean), find_images(folder, seed)
    images = images._replace(notes=(*images.notes, *_trained_on(source, images)))
    found = _unchanged(source, folder, subject, images, seed)
    if images.total < FEWEST:
        return found
    subject, why = _with_white(subject, images, white)
    preparation, size_px = subject.manifest.preparation, subject.manifest.size_px
    update: dict[str, Any] = {"reason": _folded(source)}
    if isinstance(subject.form, Network):
        viewer = Viewer(preparation, size_px, subject.plan if clean else None, seed)
        update = _judged(subject, images, viewer, given, prefer, progress)
    update |= {"white_after": preparation.white, "white_reason": why}
    found = found.model_copy(update=update)
    if out is None or not found.changes:
        return found
    _write(subject, found, out, overwrite=overwrite)
    return found.model_copy(update={"path": str(out)})


def _noise_of_images(noise: str | float | None, *, clean: bool) -> Noise | None:
    """Return the noise that the user gives for the images; None where that is not known."""
    if clean and noise is not None:
        raise InputError("images without noise have no noise level", "give one of the two")
    return None if noise is None else parse_noise(str(noise))


def _unchanged(
    source: Path, folder: Path, subject: _Subject, images: CameraImages, seed: int
) -> Calibrated:
    """Return what is found in too few images to decide."""
    white = subject.manifest.preparation.white
    return Calibrated(
        source=display_name(source.resolve().name),
        folder=display_name(folder.resolve().name),
        num_estimating=len(images.estimating),
        num_judging=len(images.judging),
        seed=seed,
        white_before=white,
        white_after=white,
        white_reason="too few images",
        reason=f"{images.total} images are too few to decide: {FEWEST} are needed",
        notes=images.notes,
    )


def _with_white(
    subject: _Subject, images: CameraImages, white: str | float
) -> tuple[_Subject, str]:
    """Return what is calibrated with the white level of the images, and how that was found."""
    preparation = subject.manifest.preparation
    of_images = white == "auto"
    level, why = images.white_level(preparation.white) if of_images else (white, "as given")
    preparation = changed(preparation, {"white": level}, what="the white level")
    manifest = subject.manifest.model_copy(update={"preparation": preparation})
    return subject._replace(manifest=manifest), why


def _require_free(out: Path, source: Path, *, overwrite: bool) -> None:
    if source.exists() and out.exists() and out.samefile(source):
        raise PackageError(f"{shown_path(out)} is what is calibrated", "choose another name")
    require_free_name(out, overwrite=overwrite, kind=PackageError)


def _opened(source: Path, *, adds_noise: bool) -> _Subject:
    """Open a package or the network of a run."""
    if source.is_file():
        package = open_package(source)
        return _Subject(package, package.manifest)
    require_network(source)
    prepare_process()  # before torch starts its threads
    path = run_at(source)
    RUNS.require_finished(path)
    request = RUNS.open(path).request
    network, manifest = network_of_run(path)
    if manifest.labels == "boxes":
        raise InputError(
            f"the network of {shown_path(source)} labels boxes, which images of a camera do "
            "not have",
            "calibrate a network that labels whole images",
        )
    if not request.data.is_paired:
        return _Subject(network, manifest, request.recipe.noise)
    if adds_noise:
        problem = (
            f"{shown_path(source)} was trained on pairs, so that it is not known which noise to add"
        )
        raise InputError(problem, "leave --clean out")
    return _Subject(network, manifest)


def _trained_on(source: Path, images: CameraImages) -> Iterator[str]:
    """Say how many of the images that decide were trained on, where a run keeps the list."""
    path = run_at(source) / SPLIT
    trained = {file.digest for file in SplitList.read(path).train} if path.is_file() else set()
    if count := sum(content_of(one) in trained for one in images.judging):
        of = f"the {len(images.judging):,} images that decide"
        yield f"{of} include {count:,} of the training: losses on these are too good"


def _folded(package: Path) -> str:
    """Return why a package keeps its statistics, and which run does not have to."""
    folder = package.resolve().parent
    has_run = (folder / "request.json").is_file()
    run = f"in {display_name(folder.name)}" if has_run else "that it was exported from"
    return f"a package has them folded into its weights: calibrate the run {run}"


def _judged(
    subject: _Subject,
    images: CameraImages,
    viewer: Viewer,
    given: Noise | None,
    prefer: Prefer,
    progress: ProgressCallback,
) -> dict[str, Any]:
    """Estimate the statistics of a network in place, keep the better ones, and say what was found.

    The fields of the answer are those of :class:`Calibrated`.
    """
    network, manifest, plan = subject
    assert isinstance(network, Network)  # noqa: S101  (the caller has looked)
    notes, halves = list(images.notes), (images.estimating, images.judging)
    seen, views = (list(viewer.each(half, notes, progress)) for half in halves)
    found: dict[str, Any] = {
        "num_estimating": len(seen),
        "num_judging": len(views),
        "notes": tuple(notes),
    }
    if min(len(seen), len(views)) < FEWEST // 2:
        return found | {"reason": "too few of the images can be read"}
    criteria = criteria_of(views, manifest, given=given, plan=plan)
    old = copy.deepcopy(network.state_dict())
    before = measure(network, views, criteria, viewer.seed)
    with step(progress, "estimating statistics"):
        _estimate(network, seen, criteria, viewer.seed)
    after = measure(network, views, criteria, viewer.seed)
    losses = compare(before, after)
    is_kept, reason = decide(losses, criteria, prefer)
    if not is_kept:
        network.load_state_dict(old)
    elif manifest.brightness is not None:
        every = [brightness_of(view.whole.numpy())[0] for view in (*seen, *views)]
        found["brightness"] = BrightnessRange.of(every)
    found |= {"losses": losses, "is_kept": is_kept, "reason": reason}
    if not manifest.classifies:
        return found
    labels = np.array(manifest.class_names)[[before.labels, after.labels]]
    found["labels_changed"] = float((labels[0] != labels[1]).mean())
    if criteria.class_names:
        right = labels == np.array([view.folder_name for view in views])
        return found | {"accuracies": tuple(right.mean(axis=1).tolist())}
    return found | {"notes": (*notes, f"labels were not judged, since {UNLABELLED}")}


def _estimate(network: Network, seen: Sequence[View], criteria: Criteria, seed: int) -> None:
    """Estimate statistics, and fit the output where the noise is known."""
    reestimate_statistics(network, _batches(seen))
    if criteria.noises:
        fit_output(network, seen, criteria.noises[-1], seed=seed)
        reestimate_statistics(network, _batches(seen))  # of what reads the denoised image


def _batches(views: Sequence[View]) -> Iterator[tuple[Tensor, None]]:
    """Yield images in batches, without boxes; one that is left alone has too few values."""
    for start in range(0, len(views) - 1, BATCH):
        yield torch.stack([view.whole for view in views[start : start + BATCH]]), None


def _write(subject: _Subject, found: Calibrated, out: Path, *, overwrite: bool) -> None:
    """Write the package of what was kept."""
    form, manifest = subject.form, subject.manifest
    kept = found.model_dump(mode="json", exclude={"path", "notes", "brightness"})
    origin = manifest.provenance | {"calibration": kept}
    light = found.brightness or manifest.brightness
    manifest = manifest.model_copy(update={"provenance": origin, "brightness": light})
    if isinstance(form, Network):
        export_network(form, out, manifest, overwrite=overwrite)
    else:
        repack(replace(form, manifest=manifest), out, overwrite=overwrite)
