"""Export a run or a package as the file of a format, run it, and say what it loses.

A package needs no torch for that.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack

from tapetum.data import Dataset, ImageDataset
from tapetum.errors import InputError, PackageError, TapetumError
from tapetum.formats import (
    Examples,
    Exported,
    FilePrecision,
    Parity,
    Settings,
    SettingsGiven,
    WrittenFile,
    choose_precision,
    find_target,
    noted,
    repack,
    require_free,
    require_precision,
    write_target,
)
from tapetum.jobs.choose import AskedPrecision, lists_options, open_logged, require_network
from tapetum.jobs.evaluation import open_images_of, open_trained
from tapetum.progress import ProgressCallback, shown_path, silent
from tapetum.records import as_path, faults_are_ours
from tapetum.report import content
from tapetum.runtime import KeptBudget, Package, open_package

if TYPE_CHECKING:
    from tapetum.jobs.fit_result import FitResult

__all__ = ["export"]


@lists_options
def export(
    source: str | Path,
    out: str | Path,
    *,
    format: str | None = None,  # noqa: A002  (as the option)
    precision: AskedPrecision | FilePrecision = "fp32",
    data: str | Path | None = None,
    calibrate: str | Path | None = None,
    finetune: int | None = None,
    max_psnr_drop: float | None = None,
    max_accuracy_drop: float | None = None,
    overwrite: bool = False,
    progress: ProgressCallback = silent,
    **settings: Unpack[SettingsGiven],
) -> Exported:
    """Write a finished run or a package in the format of a device, and run what was written.

    A package is for Tapetum. Other formats run without it; the file is compared with the package
    on random images and on up to 64 validation images, and described in ``FILE.json`` beside it.

    Example:
        >>> import tapetum
        >>> exported = tapetum.export("runs/digits", "digits.tapetum")
        >>> exported.parity.worst < 1e-4
        True

    Args:
        source: Folder of a run, or a ``.tapetum`` file.
        out: File to write.
        format: ``tapetum``, ``onnx``, ``openvino``, ``ncnn``, ``litert``, ``executorch`` or
            ``html``; by default the ending decides.
        precision: ``fp32``; ``fp16`` for weights of half the size; ``bf16`` for arithmetic in it;
            ``int8``, which is calibrated on the training images, and whose loss is measured on the
            validation images; or ``auto``, which is int8 where that is at least 10 % faster on this
            device and loses less than 0.5 points and 0.1 dB.
        data: The folder of the training; for a run by default where it was. A package in fp32
            needs none.
        calibrate: Folder of images that say the ranges of int8 in place of the training images;
            they get the noise of the training.
        finetune: Passes over the training images of a run in which int8 learns to make up for its
            rounding. The new weights are used only where they lose less.
        max_psnr_drop: Largest loss of PSNR in dB; a larger one stands in ``exceeded``.
        max_accuracy_drop: The same for macro accuracy, in points.
        overwrite: Whether to replace an existing file.
        progress: Called while images are compared, or int8 is measured or fine-tuned.
        settings: What a format follows: ``fixed`` (height and width of all images), ``batch`` and
            ``opset`` (13 to 21) for ``onnx``, the first two for ``openvino``, ``litert`` and
            ``executorch``, and ``fixed`` for ``ncnn``; these last three need it; ``target_ms``, a
            budget that is shown, by default that of a fit, and ``web_runtime``, the folder of
            onnxruntime-web, for ``html``. For int8: ``calibration_method``, ``min-max`` of all
            numbers, ``percentile`` without the outermost 0.01 %, or ``auto`` for what loses less
            on the calibration images; and ``float_ends``, whether the first and the last layers
            stay in float.

    Raises:
        InputError: Images are needed and cannot be opened, or an option has no effect.
        MissingExtraError: The format needs something that is not installed.
        RunError: The run is not finished, or its network has no architecture.
        PackageError: ``out`` exists, or the file does not compute what the network computes.
    """
    source, out = as_path(source, "a run or a package"), as_path(out, "the file to write")
    with faults_are_ours("the file cannot be written so", "correct these options"):
        settled = Settings.model_validate(settings)
    target, limits = find_target(format, out, settled), _Limits(max_psnr_drop, max_accuracy_drop)
    for_int8 = [*settled.given_for_int8, *["calibrate"] * (calibrate is not None)]
    for_int8 += ["data"] * (target is None and data is not None)  # other formats are compared on it
    _require_effect(for_int8, source, precision)
    if finetune is not None:
        _require_finetuning(finetune, source, precision, is_package=target is None)
    require_network(source)
    require_free(out, target, overwrite=overwrite)
    if target is None:
        asked = _asked_of_a_package(source, precision, calibrate)
    else:
        require_precision(target, precision)
        target.require(settled)
    is_file, precision = source.is_file(), _left_to_lower(source, precision)
    origin = _Package(source, data, progress) if is_file else _Run(source, data, progress, finetune)
    if target is None:
        made = origin.package(out, asked, settled, overwrite=overwrite)
        return limits.applied(_beside_budget(made, origin.budget, out))
    settled = _for_page(settled, origin) if "title" in target.settings else settled
    examples, missing = origin.examples(is_needed=limits.are_given or precision in ("int8", "auto"))
    with TemporaryDirectory() as folder:
        exported = origin.package(Path(folder) / "network.tapetum", "fp32", Settings())
        package = open_package(exported.path)
    if examples is not None and calibrate is not None:
        examples = replace(examples, calibration=_images_of(package, calibrate, progress))
    write = partial(
        write_target, package, out, target,
        examples=examples, budget=origin.budget, progress=progress,
    )  # fmt: skip
    written, against = _written(write, settled, precision, overwrite=overwrite)
    facts = {"path": str(out), "size_bytes": written.size_bytes, "written": written}
    own = _remarks(written, delivers_int8=origin.delivers_int8, path=str(out))
    facts["remarks"] = (*own, *exported.remarks, *missing, *against)
    return limits.applied(exported.model_copy(update=facts))


def _require_effect(options: Sequence[str], source: Path, precision: str) -> None:
    """Refuse options of int8 that would change nothing."""
    if precision not in ("int8", "auto"):
        what, remedy = precision, "leave it out, or give --precision int8"
    elif _is_in_int8(source):
        what, remedy = (
            f"{shown_path(source)}, which is in int8 already",
            "export its run, or one in fp32",
        )
    else:
        return
    for name in options:
        raise InputError(f"--{name.replace('_', '-')} has no effect on {what}", remedy)


def _is_in_int8(source: Path) -> bool:
    """Return whether a source is a package in int8."""
    return source.is_file() and open_package(source).manifest.precision == "int8"


def _left_to_lower(
    source: Path, precision: AskedPrecision | FilePrecision
) -> AskedPrecision | FilePrecision:
    """Return the precision to write; ``fp32`` where a package stays in int8, without images."""
    if not _is_in_int8(source):
        return precision
    if precision == "fp16" or precision == "bf16":
        problem = f"{shown_path(source)} is in int8, and {precision} was asked for"
        raise PackageError(problem, "export its run, or leave out --precision")
    return "fp32"


def _for_page(settled: Settings, origin: "_Run | _Package") -> Settings:
    """Return settings with the title and the budget that a page shows, where none are given."""
    given = {"title": settled.title or origin.title, "target_ms": settled.target_ms}
    if settled.target_ms is None and origin.budget is not None:
        given["target_ms"] = origin.budget.target_ms
    return settled.model_copy(update=given)


def _beside_budget(made: Exported, budget: KeptBudget | None, out: Path) -> Exported:
    """Return a package with how it stands to the budget of the fit that it was made of."""
    if budget is None:
        return made
    precision = "fp32" if made.precision is None else made.precision.precision
    note = budget.note(str(out), precision)
    return made.model_copy(update={"remarks": (note, *made.remarks)})


def _remarks(written: WrittenFile, *, delivers_int8: bool, path: str) -> Iterator[str]:
    """Say how a file stands to the budget and to the package of its fit, by its path."""
    if written.budget is not None:
        yield written.budget.note(path, written.precision)
    manifest, size_px = written.manifest, written.manifest.preparation.size_px
    is_slower = manifest.denoises and manifest.resizes_for_labels(written.settings.fixed)
    if is_slower and written.format != "html":  # its page says how long each pass takes
        yield (
            "the file takes two passes, one for the image and one for the label of the prepared "
            f"image, and so longer than the package: --fixed {size_px}x{size_px} takes one, for "
            "images of that size"
        )
    if delivers_int8 and written.precision != "int8":
        yield (
            f"{written.file} is in {written.precision}, and the fit has delivered int8: "
            "--precision int8 writes that"
        )


def _asked_of_a_package(
    source: Path, precision: AskedPrecision | FilePrecision, calibrate: str | Path | None
) -> AskedPrecision:
    """Return the precision of a package; refuse what a package does not have."""
    if precision == "fp16" or precision == "bf16":
        problem = f"a package is in fp32 or int8, and {precision} was asked for"
        raise PackageError(problem, "choose one of these, or another --format")
    if calibrate is not None:
        problem = "--calibrate has no effect on a package"
        raise InputError(problem, "its int8 is calibrated on the training images")
    if _is_in_int8(source):
        raise PackageError(
            f"{shown_path(source)} is a package in int8 already", "copy it, or give --format"
        )
    if source.is_file() and precision == "fp32":
        problem = f"{shown_path(source)} is a package already, and nothing was asked of it"
        raise PackageError(problem, "copy it, or give --format or --precision int8")
    return precision


def _require_finetuning(epochs: int, source: Path, precision: str, *, is_package: bool) -> None:
    """Refuse a fine-tuning of int8 that is not possible, or that would have no effect."""
    if source.is_file():
        problem = f"learns from the images of a run, and {shown_path(source)} is a package"
        remedy = "give the folder of its run"
    elif precision not in ("int8", "auto"):
        problem, remedy = f"has no effect on {precision}", "it is for --precision int8 or auto"
    elif not is_package:
        problem = "makes a package"
        remedy = "write a .tapetum file with it, and export that file in the other format"
    elif epochs < 1:
        problem, remedy = f"must be 1 or more (got {epochs})", "give a number of epochs"
    else:
        return
    raise InputError(f"--finetune {problem}", remedy)


def _written(
    write: Callable[..., WrittenFile], settled: Settings, precision: str, *, overwrite: bool
) -> tuple[WrittenFile, tuple[str, ...]]:
    """Write a file in its precision; for ``auto`` in fp32 where something speaks against int8."""
    asked = "int8" if precision == "auto" else precision
    lower = settled.model_copy(update={"precision": asked})
    if precision != "auto":
        return write(lower, overwrite=overwrite), ()
    try:
        written = write(lower, overwrite=overwrite)
    except (InputError, PackageError) as error:
        reason = f"int8 is not possible: {error.problem}"
    else:
        if not written.faults:
            return written, ()
        reason, overwrite = f"in int8, {' and '.join(written.faults)}", True
    return write(settled, overwrite=overwrite), (f"fp32 was written: {reason}",)


class _Limits(NamedTuple):
    """The largest losses that a user allows: in dB, and in points."""

    most_db: float | None
    most_points: float | None

    @property
    def are_given(self) -> bool:
        return self != (None, None)

    def applied(self, exported: Exported) -> Exported:
        """Return the result of an export with what exceeds the limits, or was not measured."""
        exceeded = []
        for most, name, unit in (
            (self.most_db, "lost_db", "dB"),
            (self.most_points, "lost_points", "points of macro accuracy"),
        ):
            if most is None:
                continue
            found = _lost(exported, name)
            if found is None:
                exceeded.append(f"the loss in {unit} was not measured, and a limit was given")
            elif not round(found, 4) <= most:  # float32 has its roundings
                exceeded.append(f"{found:.2f} {unit} are lost, and at most {most:g} may be")
        return exported.model_copy(update={"exceeded": tuple(exceeded)})


def _lost(exported: Exported, name: str) -> float | None:
    """Return what was lost; None where it was not measured."""
    choice, written = exported.precision, exported.written
    if written is None and (choice is None or choice.precision == "fp32"):
        return 0.0  # the package is the network itself
    compared = choice if written is None else written.comparison
    lost: float | None = getattr(compared, name, None)
    return lost


class _Run:
    """A finished run as the source of an export."""

    def __init__(
        self, path: Path, data: str | Path | None, progress: ProgressCallback, epochs: int | None
    ) -> None:
        from tapetum.jobs.fit_result import PACKAGE, fit_of, run_at  # torch

        delivered = path / PACKAGE
        is_fit = delivered.is_file()
        self.delivers_int8 = is_fit and open_package(delivered).manifest.precision == "int8"
        self._path, self._data, self._progress = run_at(path), data, progress
        self._epochs = epochs
        fit = fit_of(path)
        self.budget = None if fit is None else fit.budget

    @property
    def title(self) -> str:
        """The heading of a page."""
        from tapetum.training import RUNS

        info = RUNS.open(self._path).request.data
        return content.task_title(Path(info.source).name, info.class_names)

    def package(
        self,
        out: Path,
        precision: AskedPrecision,
        settings: Settings,
        *,
        overwrite: bool = False,
    ) -> Exported:
        """Write the package of the run."""
        from tapetum.jobs.exporting import export_run

        return export_run(
            self._path,
            out,
            precision=precision,
            settings=settings,
            epochs=self._epochs,
            dataset=self._data,
            overwrite=overwrite,
            progress=self._progress,
        )

    def examples(self, *, is_needed: bool) -> tuple[Examples | None, tuple[str, ...]]:
        """Return validation images, or a remark where they have moved and are not needed."""
        from tapetum.jobs.exporting import images_of_run
        from tapetum.training import RUNS

        noise = RUNS.open(self._path).request.recipe.noise
        try:
            dataset = images_of_run(self._path, self._data, self._progress)
        except TapetumError as error:
            if is_needed or self._data is not None:
                raise
            return None, (_not_compared(error.problem),)
        return Examples(dataset, noise.spread(), noise.protocol), ()


class _Package:
    """A package as the source of an export."""

    delivers_int8 = False

    def __init__(self, path: Path, data: str | Path | None, progress: ProgressCallback) -> None:
        self._path, self._data, self._progress = path, data, progress
        fit = _fit_of(path)
        self.budget = None if fit is None else fit.budget
        folder = "" if fit is None else Path(fit.request.data.source).name
        self._network = open_trained(path)
        self.title = content.task_title(folder, self._network.class_names)
        self._images: Dataset | None = None

    def package(
        self,
        out: Path,
        precision: AskedPrecision,
        settings: Settings,
        *,
        overwrite: bool = False,
    ) -> Exported:
        """Write the package in int8 where that was asked for; in fp32 it stays where it is."""
        package, choice = open_package(self._path), None
        if precision != "fp32":
            package, choice = choose_precision(
                package,
                self._opened("int8 is calibrated on the images of the training"),
                self._network.noises,
                asked=precision,
                protocol=self._network.protocol,
                settings=settings,
                progress=self._progress,
            )
            repack(noted(package, choice), out, overwrite=overwrite)
        manifest, path = package.manifest, self._path if choice is None else out
        return Exported(
            path=str(path),
            size_bytes=path.stat().st_size,
            parity=None if manifest.parity is None else Parity.model_validate(manifest.parity),
            precision=choice,
            remarks=manifest.remarks,
        )

    def examples(self, *, is_needed: bool) -> tuple[Examples | None, tuple[str, ...]]:
        """Return validation images, or a remark where none were given and none are needed."""
        if self._data is None and not is_needed:
            return None, (_not_compared("a package does not keep its images"),)
        images = self._opened("a loss is measured on validation images")
        return Examples(images, self._network.noises, self._network.protocol), ()

    def _opened(self, reason: str) -> Dataset:
        if self._data is None:
            raise InputError(f"{reason}, and a package does not keep them", "name them with --data")
        if self._images is None:
            self._images = open_images_of(self._network, self._data, progress=self._progress)
        return self._images


def _fit_of(package: Path) -> "FitResult | None":
    """Return the fit in whose folder a package is; None where it is in none."""
    if not (package.parent / "result.json").is_file():
        return None
    from tapetum.jobs.fit_result import fit_of  # torch

    return fit_of(package)


def _images_of(package: Package, folder: str | Path, progress: ProgressCallback) -> ImageDataset:
    """Open all images of a folder in the colours of a network; labels do not matter."""
    preparation = package.manifest.preparation
    form: dict[str, Any] = {"channels": preparation.channels, "white": preparation.white}
    form |= {"size_px": package.manifest.size_px, "progress": progress}
    return open_logged(folder, seed=0, score_all=True, **form).validation


def _not_compared(reason: str) -> str:
    """Return the remark that a file was run on random images alone."""
    return f"the file was not run on validation images: {reason}; name them with --data"
