"""Write the file of a format: run it, compare it, and describe it beside.

The file is written into a hidden folder beside its place and run there under its own name. Only
then does it move; where it computes something else, nothing is written. In int8 the network is put
into int8 first, and what it loses thereby is part of the comparison.
"""

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tapetum.errors import InputError, PackageError
from tapetum.formats.exported import Comparison, Parity, Speed, WrittenFile
from tapetum.formats.opening import described_at, paths_of
from tapetum.formats.proof import Examples, at_size, compare_images, compare_speed, probe
from tapetum.formats.quantise import NUM_IMAGES, noisy_samples, quantise
from tapetum.formats.ranges import RangeChoice
from tapetum.formats.target import Run, Settings, Target
from tapetum.formats.targets import require_precision
from tapetum.progress import ProgressCallback, silent
from tapetum.records import hidden_beside, hold_name, require_free_name, write_atomically
from tapetum.runtime import KeptBudget, Manifest, Package, facts_of

__all__ = ["require_free", "write_target"]


def write_target(
    package: Package,
    out: Path,
    target: Target,
    settings: Settings,
    *,
    examples: Examples | None = None,
    budget: KeptBudget | None = None,
    overwrite: bool = False,
    progress: ProgressCallback = silent,
) -> WrittenFile:
    """Write a package in another format, and its description as ``FILE.json`` beside it.

    Args:
        package: The package; in int8 where its file shall be so without images.
        out: The file to write.
        target: The format.
        settings: What the user has settled.
        examples: Images to compare on, and for int8; None for random images alone.
        budget: The latency budget of the fit that the package is of.
        overwrite: Whether both files may be replaced.
        progress: Called after each image and each timing.

    Raises:
        InputError: There are no images for int8.
        PackageError: A file exists or cannot be written, or it does not do what the package does.
        MissingExtraError: The converter is not installed.
    """
    paths = paths_of(out, target)
    require_free(out, target, overwrite=overwrite)
    if package.manifest.precision != "fp32":
        settings = settings.model_copy(update={"precision": package.manifest.precision})
    require_precision(target, settings.precision)
    target.require(settings)
    source, images = _in_its_precision(package, target, settings, examples)
    contents = target.contents(source, settings, images)
    with hold_name(out), _workshop(out) as folder:
        require_free(out, target, overwrite=overwrite)  # another export may have ended meanwhile
        first = _placed(contents, paths, folder)
        found = _examined(package, source, first, target, settings, examples, progress)
        if budget is not None and found.speed is not None:
            budget = budget.model_copy(update={"file_ms": found.speed.file.median_ms})
        written = WrittenFile(
            format=target.name,
            precision=settings.precision,
            ranges=RangeChoice.of(source.manifest),
            file=out.name,
            size_bytes=sum(len(content) for content in contents.values()),
            sha256={
                path.name: hashlib.sha256(contents[ending]).hexdigest()
                for ending, path in paths.items()
            },
            metadata=facts_of(source.manifest),
            manifest=_without_origin(package.manifest),
            budget=budget,
            snippet="\n".join([*target.snippet(out.name, package.manifest, settings), ""]),
            **found._asdict(),
        )
        for path in paths.values():
            os.replace(folder / path.name, path)
        write_atomically(described_at(out), written.to_json().encode())
    return written


class _Found(NamedTuple):
    """What running a file has shown; None where that was not examined."""

    parity: Parity
    comparison: Comparison | None = None
    speed: Speed | None = None


def _examined(
    package: Package,
    source: Package,
    path: Path,
    target: Target,
    settings: Settings,
    examples: Examples | None,
    progress: ProgressCallback,
) -> _Found:
    """Run a file: against its source, on images, and in turn with fp32 where it is not fp32.

    Raises:
        PackageError: It does not do what its source does.
    """
    with target.opened(path, settings) as run:
        found = _Found(probe(source, run, settings, examples))
        found.parity.require(package.manifest.name, than="package")
        if examples is not None:
            images = compare_images(package, run, settings, examples, progress=progress)
            found = found._replace(comparison=images)
        if settings.precision != package.manifest.precision:
            speed = _beside_fp32(package, run, target, settings, path, progress)
            found = found._replace(speed=speed)
    return found


def _without_origin(manifest: Manifest) -> Manifest:
    """Return a manifest without machine and folder of the training; the seed gives its split."""
    kept = {name: value for name, value in manifest.provenance.items() if name == "seed"}
    scores = manifest.scores and manifest.scores.model_copy(update={"source": ""})
    return manifest.model_copy(update={"provenance": kept, "scores": scores})


def _in_its_precision(
    package: Package, target: Target, settings: Settings, examples: Examples | None
) -> tuple[Package, Iterable[NDArray[np.float32]]]:
    """Return what a file is made from: a package, in int8 or with images that calibrate it."""
    if settings.precision != "int8" or package.manifest.precision == "int8":
        return package, ()
    if examples is None:
        raise InputError("int8 is calibrated on images, and there are none", "name their folder")
    source = (package, examples.of_calibration, examples.noises)
    method, ends, protocol = settings.calibration_method, settings.float_ends, examples.protocol
    if target.calibrates is None:
        return quantise(*source, method=method, float_ends=ends, protocol=protocol), ()
    samples = noisy_samples(*source, protocol=protocol)
    colours = package.manifest.preparation.colours
    by = target.calibrates if method == "auto" else method
    choice = RangeChoice(method=by, float_ends=ends, num_images=NUM_IMAGES, losses={})
    noted = replace(package, manifest=choice.noted_in(package.manifest))
    noisy = (at_size(settings.fixed, colours(one.noisy or one.image), None)[0] for one in samples)
    return noted, (np.repeat(one[None], settings.batch or 1, axis=0) for one in noisy)


def _placed(contents: Mapping[str, bytes], paths: Mapping[str, Path], folder: Path) -> Path:
    """Write the files of a format into a folder, and return the one that is opened."""
    for ending, path in paths.items():
        write_atomically(folder / path.name, contents[ending])
    return folder / next(iter(paths.values())).name


def _beside_fp32(
    package: Package,
    run: Run,
    target: Target,
    settings: Settings,
    path: Path,
    progress: ProgressCallback,
) -> Speed:
    """Time a file and the same one in fp32 in turn."""
    plain, folder = settings.model_copy(update={"precision": "fp32"}), path.parent / "fp32"
    folder.mkdir()
    other = _placed(target.contents(package, plain), paths_of(path, target), folder)
    with target.opened(other, plain) as beside:
        return compare_speed(run, beside, package.manifest, settings, progress=progress)


def require_free(out: Path, target: Target | None, *, overwrite: bool) -> None:
    """Refuse to write over a file unasked; the target is None for a package.

    Raises:
        PackageError: A file of the format or its description exists, or cannot be made.
    """
    others = () if target is None else (*paths_of(out, target).values(), described_at(out))
    for path in dict.fromkeys((out, *others)):
        require_free_name(path, overwrite=overwrite, kind=PackageError)


@contextmanager
def _workshop(out: Path) -> Iterator[Path]:
    """Make a hidden folder beside a file; the next writer of the file removes what a kill left."""
    folder = hidden_beside(out, "-export.part")
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        yield folder
    except OSError as error:
        raise PackageError(
            f"cannot write {out}: {error.strerror or error}", "check the folder and its free space"
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
