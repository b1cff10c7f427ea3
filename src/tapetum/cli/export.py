"""``tapetum export``: write a run or a package in the format of a device."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from tapetum.cli import options
from tapetum.cli.common import answer, run_job, say
from tapetum.progress import shown_path

if TYPE_CHECKING:
    from tapetum.formats import Exported, Parity, WrittenFile

__all__ = ["export"]

EXIT_EXCEEDED = 1

PrecisionName = Literal["fp32", "fp16", "bf16", "int8", "auto"]
MethodName = Literal["auto", "min-max", "percentile"]

_FORMAT = options.option(
    None,
    options.MAIN,
    "Format of the file: tapetum, onnx, openvino, ncnn, litert, executorch or html.",
    "--format",
    metavar="NAME",
    shown="by the ending",
)
_PRECISION = options.option(
    "fp32",
    options.MAIN,
    "Number format: fp32, fp16 (smaller), bf16, int8 (measured against fp32), or auto for the "
    "better one of fp32 and int8.",
    metavar="NAME",
)
_CALIBRATE = options.option(
    None,
    options.MAIN,
    "Folder of images that say the ranges of int8, with the noise of the training.",
    shown="the training images",
)
_METHOD = options.option(
    "auto",
    options.MAIN,
    "Ranges of int8: min-max of all numbers, percentile without the outermost 0.01 %, or auto for "
    "what loses less.",
    metavar="NAME",
)
_FLOAT_ENDS = options.option(
    True,
    options.MAIN,
    "Keep the first and the last layers in float in int8, or put them into int8 too.",
    "--float-ends/--int8-ends",
)
_FINETUNE = options.option(
    None,
    options.MAIN,
    "Passes over the training images of a run in which int8 learns to make up for its rounding; "
    "kept only where it then loses less.",
    rule=options.EPOCH_RULE,
    shown="no training",
)
_FIXED = options.option(
    None,
    options.MAIN,
    "Height and width of all images, for runtimes that need one size.",
    rule=options.PIXELS,
    shown="any size",
)
_BATCH = options.option(
    None, options.MAIN, "Images at once.", rule=options.COUNT, shown="any number, 1 with --fixed"
)
_OPSET = options.option(
    None,
    options.MAIN,
    "Version of the ONNX operators, for older runtimes.",
    rule=options.a_number(int, 16, least=13, most=21),
    shown="18",
)
_TARGET_MS = options.option(
    None,
    options.MAIN,
    "Latency budget that a page shows, in milliseconds.",
    rule=options.a_number(float, 8, above=0),
    shown="that of the fit",
)
_WEB_RUNTIME = options.option(
    None,
    options.MAIN,
    "Folder of onnxruntime-web, which a page contains.",
    shown="where npm installed it in this environment",
)
_MAX_PSNR_DROP = options.option(
    None,
    options.MAIN,
    "Largest loss of PSNR on validation images, in dB; exit code 1 if it is exceeded.",
    rule=options.a_number(float, 0.1, least=0),
)
_MAX_ACCURACY_DROP = options.option(
    None,
    options.MAIN,
    "Largest loss of macro accuracy, in points; exit code 1 if it is exceeded.",
    rule=options.a_number(float, 0.5, least=0),
)


def export(
    source: Path = typer.Argument(
        ..., metavar="RUN|PACKAGE", help="Folder of a finished run, or a .tapetum file."
    ),
    out: Path = options.option(..., options.MAIN, "File to write, such as FILE.onnx."),
    format: str | None = _FORMAT,  # noqa: A002  (the name of the option)
    precision: PrecisionName = _PRECISION,
    data: str | None = options.option(
        None,
        options.MAIN,
        "Folder of the training images, to compare on and for int8.",
        shown="as in the training",
    ),
    calibrate: Path | None = _CALIBRATE,
    calibration_method: MethodName = _METHOD,
    float_ends: bool = _FLOAT_ENDS,
    finetune: int | None = _FINETUNE,
    fixed: str | None = _FIXED,
    batch: int | None = _BATCH,
    opset: int | None = _OPSET,
    target_ms: float | None = _TARGET_MS,
    web_runtime: Path | None = _WEB_RUNTIME,
    max_psnr_drop: float | None = _MAX_PSNR_DROP,
    max_accuracy_drop: float | None = _MAX_ACCURACY_DROP,
    overwrite: bool = options.OVERWRITE,
    json: bool = options.JSON,
) -> None:
    """Write a run or a package in the format of a device, and run the file that was written.

    A .tapetum file is for Tapetum, a .onnx file is a plain graph for other runtimes, a .xml file is
    for OpenVINO, a .param file for ncnn, a .tflite file for LiteRT, a .pte file for ExecuTorch, and
    a .html file is a page that runs the network in a browser, without a server. The file is
    compared with the package on validation images; FILE.json beside it has the result, and lines
    that use it.

    Examples:

      tapetum export runs/digits --out digits.tapetum

      tapetum export photos.tapetum --out photos.onnx --fixed 480x640 --opset 16

      tapetum export runs/photos --out photos.html

      tapetum export runs/photos --out photos.xml --precision int8

      tapetum export photos.tapetum --out photos.param --fixed 96x96

      tapetum export runs/photos --out photos.tapetum --precision auto
    """
    given = {**locals(), "fixed": None if fixed is None else options.parse_size(fixed)}
    from tapetum import jobs  # here, since the locals are the options

    jobs.refuse_early("export", given)
    exported = run_job("export", given, needs_torch=False)
    if json:
        answer(exported.model_dump(mode="json"))
    else:
        _show(exported)
    if exported.exceeded:
        raise typer.Exit(EXIT_EXCEEDED)


def _show(exported: "Exported") -> None:
    if exported.parity is not None:
        _show_parity(exported.parity)
    if exported.precision is not None:
        say(exported.precision.text)
    if exported.written is not None:
        _show_written(exported.written)
    for remark in exported.remarks:
        say(remark, label="note")
    for loss in exported.exceeded:
        say(loss, label="error")
    kind = "package" if exported.written is None else exported.written.format
    say(f"{kind}: {shown_path(exported.path)}, {exported.size_bytes / 1024:,.0f} KiB")


def _show_parity(parity: "Parity") -> None:
    for name, worst in parity.max_difference.items():
        say(
            f"parity of {name}: the largest difference is {worst:.1e} in {parity.runtime} "
            f"(tolerance {parity.tolerance:g})"
        )


def _show_written(written: "WrittenFile") -> None:
    parity = written.parity
    shapes = ", ".join(f"{width} x {height}" for height, width in parity.sizes_px)
    listed = ", ".join(f"{name} {worst:.1e}" for name, worst in parity.max_difference.items())
    images = {"random": "random", "noisy": "noisy validation"}[parity.images]
    say(
        f"the file against what it was made from, in {parity.runtime} on {parity.num_images} "
        f"{images} image(s) of {shapes} px: the largest difference is {listed}"
    )
    if written.comparison is not None:
        say(written.comparison.text)
    if written.ranges is not None:
        say(written.ranges.text)
    if written.speed is not None:
        say(written.speed_text)
    say(f"use without Tapetum (also in {written.file}.json):")
    for line in written.snippet.splitlines():
        say(f"    {line}")
