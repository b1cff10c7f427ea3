"""The limits of an export: what the file loses."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest

from folders import draw_tree
from packages import DENOISER, JOINT, real
from tapetum.errors import InputError, PackageError
from tapetum.formats import Comparison, Exported, Settings, proof, quantise, writing
from tapetum.jobs import export
from tapetum.jobs.deploying import _Limits, _remarks, _Run
from tapetum.progress import silent
from tapetum.runtime import Package, Preparation, write_package
from test_formats_precision import took
from test_graph_quantise import in_int8


def exported(choice: Any = None, comparison: Any = "no file") -> Exported:
    """The result of an export with these losses."""
    written = None if comparison == "no file" else SimpleNamespace(comparison=comparison)
    return Exported.model_construct(path="x", size_bytes=1, precision=choice, written=written)


INT8 = SimpleNamespace(precision="int8", lost_db=0.25, lost_points=1.0)
FP32 = SimpleNamespace(
    precision="fp32", lost_db=3.0, lost_points=9.0
)  # of int8, which was not used
LOSSY = Comparison(
    num_images=4, max_difference={}, psnr_db=(30.0, 29.75), macro_accuracy=(0.75, 0.75)
)


@pytest.mark.parametrize(
    ("result", "lost_db"),
    [
        (exported(), 0.0),
        (exported(INT8), 0.25),
        (exported(FP32), 0.0),
        (exported(comparison=LOSSY), 0.25),
        (exported(INT8, LOSSY), 0.25),
    ],
)
def test_the_loss_is_that_of_what_was_written(result: Exported, lost_db: float) -> None:
    """A file is compared with fp32 itself. What is at the limit is allowed; more is told."""
    assert _Limits(lost_db, None).applied(result).exceeded == ()
    if lost_db:
        told = f"{lost_db:.2f} dB are lost, and at most 0.1 may be"
        assert _Limits(0.1, 50).applied(result).exceeded == (told,)


def test_what_was_not_measured_keeps_no_limit() -> None:
    """A denoiser has no accuracy, and without images nothing is known."""
    no_labels = LOSSY.model_copy(update={"macro_accuracy": None})
    for result in (exported(comparison=None), exported(comparison=no_labels)):
        (told,) = _Limits(None, 1).applied(result).exceeded
        assert (
            told == "the loss in points of macro accuracy was not measured, and a limit was given"
        )
    assert _Limits(None, None).applied(exported(comparison=None)).exceeded == ()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A denoiser of grey images in a file; int8 is calibrated on few of them and is slow."""
    one, path = real(DENOISER, channels=1, size_px=32), tmp_path / "one.tapetum"
    write_package(path, one.graph_bytes, one.manifest, "")
    monkeypatch.setattr(writing, "quantise", partial(quantise, num_images=8))
    monkeypatch.setattr(proof, "time_interleaved", lambda *_, **__: [took(2.0), took(1.0)])
    return path


def joint() -> Package:
    """A network of labels and images of 32 px."""
    return real(JOINT, boxes=False, preparation=Preparation(size_px=32, channels=1))


@pytest.mark.parametrize(("fixed", "passes"), [(None, 2), ((64, 64), 2), ((32, 32), 1)])
def test_a_file_that_takes_longer_than_its_package_says_so(
    fixed: tuple[int, int] | None, passes: int, tmp_path: Path
) -> None:
    """Where the image is not the prepared one, the label takes a pass of its own."""
    one, path = joint(), tmp_path / "one.tapetum"
    write_package(path, one.graph_bytes, one.manifest, "")
    remarks = " ".join(export(path, tmp_path / "one.onnx", fixed=fixed).remarks)
    assert ("takes two passes" in remarks) == (passes == 2)
    assert ("--fixed 32x32" in remarks) == (passes == 2)


@pytest.mark.parametrize("delivered", ["int8", "fp32"])
def test_another_precision_than_a_fit_has_delivered_is_said(
    delivered: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fit in int8 has a run in fp32, whose export is in fp32 unless int8 is asked for."""
    one = joint()
    graph = onnx.load_model_from_string(one.graph_bytes)
    manifest = one.manifest.model_copy(update={"precision": delivered})
    write_package(
        tmp_path / "model.tapetum", in_int8(graph) if delivered == "int8" else graph, manifest, ""
    )
    monkeypatch.setattr("tapetum.jobs.fit_result.run_at", lambda path: path)
    origin = _Run(tmp_path, None, silent, None)
    facts: dict[str, Any] = {"precision": "fp32", "file": "one.onnx", "format": "html"}
    facts |= {"manifest": manifest, "budget": None}
    settled: Any = SimpleNamespace(settings=Settings(), **facts)
    said = [*_remarks(settled, delivers_int8=origin.delivers_int8, path="one.onnx")]
    assert ["--precision int8" in one for one in said] == [True] * (delivered == "int8")


def test_auto_writes_fp32_where_int8_does_not_pay(package: Path, tmp_path: Path) -> None:
    """The file in fp32 takes its place, and the reason is said."""
    pytest.importorskip("openvino")
    data, out = draw_tree(tmp_path / "images", {".": 10}), tmp_path / "one.xml"
    exported = export(package, out, precision="auto", data=data)
    assert exported.written is not None
    assert exported.written.precision == "fp32"
    assert "FakeQuantize" not in out.read_text()
    assert exported.remarks[-1].startswith("fp32 was written: in int8, it is slower here")


def test_auto_writes_fp32_where_int8_is_not_possible(package: Path, tmp_path: Path) -> None:
    """Such as with too few images, which is said."""
    pytest.importorskip("openvino")
    data = draw_tree(tmp_path / "images", {".": 4})
    exported = export(package, tmp_path / "one.xml", precision="auto", data=data)
    assert exported.written is not None
    assert exported.written.precision == "fp32"
    assert exported.remarks[-1].startswith("fp32 was written: int8 is not possible: int8 is cal")


def test_other_images_may_say_the_ranges(package: Path, tmp_path: Path) -> None:
    """int8 that is calibrated on another folder has other ranges, and is compared on the same."""
    pytest.importorskip("openvino")
    data, flat = (draw_tree(tmp_path / name, {".": 10}) for name in ("images", "others"))
    ask = {"precision": "int8", "data": data}
    first = export(package, tmp_path / "a.xml", **ask)
    second = export(package, tmp_path / "b.xml", calibrate=flat, **ask)
    assert (tmp_path / "a.bin").read_bytes() != (tmp_path / "b.bin").read_bytes()
    assert first.written.comparison.num_images == second.written.comparison.num_images


def test_what_has_no_effect_on_a_precision_is_refused(package: Path, tmp_path: Path) -> None:
    """Images for a file in float, half precision of a package, and a format without int8."""
    images = draw_tree(tmp_path / "images", {".": 10})
    with pytest.raises(InputError, match="--calibrate has no effect on fp32"):
        export(package, tmp_path / "a.onnx", calibrate=images)
    with pytest.raises(InputError, match="--data has no effect on fp32"):
        export(tmp_path, tmp_path / "a.tapetum", data=tmp_path / "none")
    with pytest.raises(PackageError, match="a package is in fp32 or int8, and fp16 was asked for"):
        export(package, tmp_path / "a.tapetum", precision="fp16")
    with pytest.raises(PackageError, match=r"ncnn is written in fp32 or fp16.*; int8 is for onnx"):
        export(package, tmp_path / "a.param", fixed=(32, 32), precision="int8", data=images)


def package_in_int8(path: Path) -> Path:
    """A package whose graph is in int8."""
    one = joint()
    manifest = one.manifest.model_copy(update={"precision": "int8"})
    write_package(path, in_int8(onnx.load_model_from_string(one.graph_bytes)), manifest, "")
    return path


def test_options_of_int8_are_refused_where_they_change_nothing(
    package: Path, tmp_path: Path
) -> None:
    """In floats, where a runtime has ranges of its own, and on a package in int8."""
    ends, method = {"float_ends": False}, {"calibration_method": "min-max"}
    with pytest.raises(InputError, match="--float-ends has no effect on fp32"):
        export(package, tmp_path / "a.onnx", **ends)
    with pytest.raises(InputError, match="--calibration-method has no effect on executorch; it is"):
        export(package, tmp_path / "a.pte", precision="int8", fixed=(32, 32), **method)
    stored = package_in_int8(tmp_path / "int8.tapetum")
    with pytest.raises(InputError, match=r"--calibration-method has .*, which is in int8 already"):
        export(stored, tmp_path / "a.onnx", precision="int8", **method)
    with pytest.raises(PackageError, match="in int8 already; copy it, or give --format"):
        export(stored, tmp_path / "a.tapetum", precision="int8")
    assert not [*tmp_path.glob("a.*")]


@pytest.mark.parametrize("precision", ["int8", "auto"])
def test_a_package_in_int8_is_written_without_images(tmp_path: Path, precision: str) -> None:
    """Nothing is left to be lowered, so that no loss needs to be measured."""
    stored = package_in_int8(tmp_path / "int8.tapetum")
    written = export(stored, tmp_path / "a.onnx", precision=precision).written
    assert written is not None
    assert (written.precision, written.comparison) == ("int8", None)
    with pytest.raises(PackageError, match="is in int8, and fp16 was asked for; export its run"):
        export(stored, tmp_path / "a.xml", precision="fp16")


def test_a_fine_tuning_that_is_not_possible_is_refused(package: Path, tmp_path: Path) -> None:
    """It needs a run, int8, a package to write, and an epoch; nothing is written."""
    run, out = tmp_path / "run", tmp_path / "a.tapetum"
    run.mkdir()
    for source, file, precision, epochs, said in (
        (package, out, "int8", 1, "learns from the images of a run, and .* is a package"),
        (run, out, "fp32", 1, "has no effect on fp32"),
        (run, tmp_path / "a.onnx", "int8", 1, "makes a package"),
        (run, out, "auto", 0, r"must be 1 or more \(got 0\)"),
    ):
        with pytest.raises(InputError, match=f"--finetune {said}"):
            export(source, file, precision=precision, finetune=epochs)
    assert {path.name for path in tmp_path.iterdir()} == {"one.tapetum", "run"}
