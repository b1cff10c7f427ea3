"""Every format: the very file is run before it gets its name, and described beside it."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image, ImageOps

from packages import CLASSIFIER, DENOISER, JOINT, noise, real, toy
from tapetum.errors import InputError, PackageError
from tapetum.evaluation import Answer
from tapetum.formats import (
    Comparison,
    Examples,
    Settings,
    WrittenFile,
    find_target,
    proof,
    write_target,
)
from tapetum.formats.exported import Speed
from tapetum.formats.proof import _Tally, at_size
from tapetum.formats.target import Outputs
from tapetum.formats.target_onnx import GraphRun, OnnxTarget, image_lines
from tapetum.images import read_image
from tapetum.metrics import accuracy, macro_accuracy
from tapetum.noise import Gaussian
from tapetum.runtime import Package, Predictor, Preparation
from test_formats_precision import took, waves
from test_formats_quantise import lowered

NONE = Settings()
ORIENTATION, TURNED_RIGHT = 0x0112, 6  # of Exif


def small(name: str = JOINT, channels: int = 1) -> Package:
    """A package of random weights, whose labels are of images of 32 px."""
    return real(name, boxes=False, channels=channels, size_px=32)


class Twisted(OnnxTarget):
    """A format whose files compute something else by ``offset``."""

    def __init__(self, offset: float) -> None:
        self.offset = offset

    @contextmanager
    def opened(self, path: Path, settings: Settings) -> Iterator[Any]:
        """A file that is off."""
        with super().opened(path, settings) as run:

            class Off:
                runtime = "a twisted runtime"
                threads = 1

                def __call__(_, images: Any, boxes: Any) -> Outputs:  # noqa: N805
                    found = run(images, boxes)
                    return Outputs(found.denoised + self.offset, found.probabilities)

            yield Off()


class InTwo(OnnxTarget):
    """A format of two files, one of which needs the other."""

    endings = (".onnx", ".rest")

    def contents(self, package: Package, settings: Settings, images: Any = ()) -> dict[str, bytes]:
        """The graph, cut in two."""
        (whole,) = super().contents(package, settings, images).values()
        return {".onnx": whole[:1000], ".rest": whole[1000:]}

    @contextmanager
    def opened(self, path: Path, settings: Settings) -> Iterator[Any]:  # noqa: ARG002
        """Both, put together."""
        yield GraphRun(path.read_bytes() + path.with_suffix(".rest").read_bytes())


def test_a_format_may_have_several_files(tmp_path: Path) -> None:
    """They lie beside each other when they are run, get their names together, and are kept."""
    written = write_target(small(), tmp_path / "one.onnx", InTwo(), NONE)
    names = ["one.onnx", "one.onnx.json", "one.rest"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert set(written.sha256) == {"one.onnx", "one.rest"}
    (tmp_path / "one.onnx").unlink()
    (tmp_path / "one.onnx.json").unlink()
    with pytest.raises(PackageError, match=r"one.rest exists already"):
        write_target(small(), tmp_path / "one.onnx", InTwo(), NONE)


def test_a_file_is_described_beside_it(tmp_path: Path) -> None:
    """Digest, size, classes, tried shapes and a snippet stand in FILE.json, as returned."""
    out = tmp_path / "small.onnx"
    written = write_target(small(), out, OnnxTarget(), NONE)
    assert (
        WrittenFile.from_json((tmp_path / "small.onnx.json").read_text(), source="the description")
        == written
    )
    assert written.sha256 == {out.name: hashlib.sha256(out.read_bytes()).hexdigest()}
    assert written.size_bytes == out.stat().st_size
    assert json.loads(written.metadata["class_names"]) == [str(number) for number in range(10)]
    assert written.parity.sizes_px == ((32, 32), (37, 43))
    assert written.parity.worst <= 1e-5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small.onnx", "small.onnx.json"]


@pytest.mark.parametrize("offset", [0.01, float("nan")])
def test_a_file_that_differs_gets_no_name(offset: float, tmp_path: Path) -> None:
    """An older file stays, and nothing else is left behind."""
    out = tmp_path / "small.onnx"
    out.write_text("older")
    with pytest.raises(PackageError, match="differs from the package"):
        write_target(small(), out, Twisted(offset), NONE, overwrite=True)
    assert out.read_text() == "older"
    assert list(tmp_path.iterdir()) == [out]


def test_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    """Neither the file nor its description."""
    out = tmp_path / "small.onnx"
    (tmp_path / "small.onnx.json").write_text("{}")
    with pytest.raises(PackageError, match=r"small.onnx.json exists already"):
        write_target(small(), out, OnnxTarget(), NONE)
    write_target(small(), out, OnnxTarget(), NONE, overwrite=True)


def test_a_file_that_came_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    """Two exports to one name: the second one to end is refused."""
    out = tmp_path / "one.onnx"

    class Overtaken(OnnxTarget):
        def contents(self, *given: Any) -> dict[str, bytes]:
            out.write_text("of another export")
            return dict(super().contents(*given))

    with pytest.raises(PackageError, match=r"one.onnx exists already"):
        write_target(small(), out, Overtaken(), NONE)
    assert out.read_text() == "of another export"


@pytest.mark.parametrize(
    ("settings", "shapes"),
    [
        (Settings(fixed=(40, 24)), ((40, 24),)),
        (Settings(fixed=(40, 24), batch=3), ((40, 24),)),
        (Settings(batch=2, opset=13), ((32, 32), (37, 43))),
        (Settings(opset=13, precision="int8"), ((32, 32), (37, 43))),
        (Settings(fixed=(40, 24), precision="int8"), ((40, 24),)),
    ],
)
def test_a_file_is_run_in_the_shapes_that_it_takes(
    settings: Settings, shapes: Any, tmp_path: Path
) -> None:
    """Each image of a batch gives what the package gives, also in int8."""
    package = small() if settings.precision == "fp32" else lowered(small(JOINT, 3))
    written = write_target(package, tmp_path / "one.onnx", OnnxTarget(), settings)
    assert written.precision == settings.precision
    assert written.parity.sizes_px == shapes
    assert written.parity.num_images == (settings.batch or 1)
    assert written.parity.worst <= 1e-5


class Calibrated(OnnxTarget):
    """A format that finds its own ranges in int8, and keeps what its files are run on."""

    calibrates = "a converter"

    def __init__(self) -> None:
        self.given: list[Any] = []

    def contents(self, package: Package, settings: Settings, images: Any = ()) -> dict[str, bytes]:
        """The graph as it is."""
        plain = settings.model_copy(update={"precision": "fp32"})
        return dict(super().contents(package, plain, images))

    @contextmanager
    def opened(self, path: Path, settings: Settings) -> Iterator[Any]:
        """A file that keeps its images."""
        with super().opened(path, settings) as run:

            class Kept:
                runtime, threads = run.runtime, 1

                def __call__(_, images: Any, boxes: Any) -> Outputs:  # noqa: N805
                    self.given.append(images)
                    return run(images, boxes)

            yield Kept()


def test_a_calibrated_file_is_run_on_noisy_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its ranges hold for images of the user; each of ours is one of them with noise of 0.1."""
    monkeypatch.setattr(proof, "time_interleaved", lambda *_, **__: [took(1.0), took(2.0)])
    package, target, settings = small(JOINT, 3), Calibrated(), Settings(precision="int8", batch=2)
    examples = Examples(waves(package, 6), [Gaussian(sigma=0.1)])
    written = write_target(package, tmp_path / "a.onnx", target, settings, examples=examples)
    assert (written.parity.images, written.parity.sizes_px) == ("noisy", ((32, 32), (37, 43)))
    clean = [examples.dataset.validation.sample(index).image.pixels for index in range(6)]
    for images, size in zip(target.given, written.parity.sizes_px, strict=False):
        assert images.shape == (2, 3, *size)
        for one in images:
            nearest = min(float(np.std(one - at_size(size, image, None)[0])) for image in clean)
            assert 0.05 < nearest < 0.11  # resampling takes some of the noise


def test_boxes_are_compared_too(tmp_path: Path) -> None:
    """A network that classifies boxes gets some."""
    written = write_target(real(JOINT, boxes=True), tmp_path / "one.onnx", OnnxTarget(), NONE)
    assert set(written.parity.max_difference) == {"denoised", "probabilities"}


def test_validation_images_say_what_is_lost(tmp_path: Path) -> None:
    """An error of the file shows as decibels between the images, and as a loss of PSNR."""
    package = small()
    examples = Examples(waves(package, 20), [Gaussian(sigma=0.1)])
    exact = write_target(package, tmp_path / "a.onnx", OnnxTarget(), NONE, examples=examples)
    assert exact.comparison is not None
    assert exact.comparison.num_images == len(examples.dataset.validation)
    assert exact.comparison.agreement == 1
    assert exact.comparison.lost_db == pytest.approx(0, abs=1e-4)
    assert exact.comparison.ssim == pytest.approx([exact.comparison.ssim[0]] * 2, abs=1e-5)
    off = write_target(package, tmp_path / "b.onnx", Twisted(5e-5), NONE, examples=examples)
    assert off.comparison is not None
    assert off.comparison.between_db == pytest.approx(20 * np.log10(1 / 5e-5), abs=0.2)
    assert off.comparison.psnr_db != exact.comparison.psnr_db


def test_at_the_prepared_size_both_branches_share_their_encoder(tmp_path: Path) -> None:
    """A file for that size has each convolution once; one for another size needs some twice."""
    package = small()
    counts = {}
    for side in (32, 40):
        out = tmp_path / f"{side}.onnx"
        write_target(package, out, OnnxTarget(), Settings(fixed=(side, side)))
        counts[side] = convolutions(out.read_bytes())
    assert counts[32] == convolutions(package.graph_bytes) < counts[40]


def convolutions(graph: bytes) -> int:
    """How many a graph has."""
    return sum("Conv" in node.op_type for node in onnx.load_model_from_string(graph).graph.node)


def test_a_fixed_size_is_what_images_are_compared_at(tmp_path: Path) -> None:
    """They are resized for the package and the file alike."""
    package = small()
    examples = Examples(waves(package, 20), [Gaussian(sigma=0.1)])
    settings = Settings(fixed=(24, 40), batch=2)
    written = write_target(package, tmp_path / "a.onnx", OnnxTarget(), settings, examples=examples)
    assert written.comparison is not None
    assert written.comparison.size_px == (24, 40)
    assert written.comparison.max_difference["denoised"] < 1e-5


@pytest.mark.parametrize(
    ("ms", "words"),
    [(0.5, "int8 is faster than"), (0.99, "int8 is as fast as"), (1.2, "int8 is slower than")],
)
def test_a_lower_precision_is_said_to_be_slower_where_it_is(ms: float, words: str) -> None:
    """In multiples of fp32; where both take the same time but for noise, neither is faster."""
    speed = Speed(size_px=(40, 30), num_images=1, file=took(ms), fp32=took(1.0))
    written = WrittenFile.model_construct(precision="int8", speed=speed)
    assert written.speed_text == (
        f"{words} fp32 on this machine: one pass over 1 image(s) of 30 x 40 px takes {ms:.2f} "
        "times as long on one thread"
    )


def test_losses_are_differences() -> None:
    """What the package has less what the file has, in dB and points."""
    one = Comparison(
        num_images=4,
        max_difference={},
        agreement=0.75,
        psnr_db=(30.0, 29.5),
        ssim=(0.9, 0.88),
        accuracy=(0.9, 0.8),
        macro_accuracy=(0.75, 0.5),
    )
    assert one.lost_db == 0.5
    assert one.lost_points == 25
    assert one.text == (
        "on 4 validation images: 75.0% of the labels are the same, the file loses 0.50 dB "
        "and 0.020 of SSIM and 25.0 points of macro accuracy"
    )


def test_a_rare_class_that_is_lost_counts_as_much_as_a_frequent_one() -> None:
    """A file without one class of two loses half of the macro accuracy, however many images."""
    tally, rows = _Tally(), np.eye(2, dtype=np.float32)
    for label in (0, 0, 0, 1):
        answers = [Answer(None, rows[[name]]) for name in (label, 0)]
        tally.add(*answers, np.zeros((1, 2, 2), np.float32), np.array([label]))
    assert tally.of_labels(accuracy) == (1.0, 0.75)
    assert tally.of_labels(macro_accuracy) == (1.0, 0.5)
    assert _Tally().of_labels(accuracy) is None


@pytest.mark.parametrize(("name", "channels"), [(JOINT, 3), (CLASSIFIER, 1), (DENOISER, 1)])
def test_the_snippet_works_as_it_stands(
    name: str, channels: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lines, run beside the file, give the package's image and probabilities."""
    package = small(name, channels)
    written = write_target(package, tmp_path / "one.onnx", OnnxTarget(), Settings(fixed=(30, 20)))
    shape = (30, 20) if channels == 1 else (30, 20, 3)
    Image.fromarray((noise(*shape) * 255).astype(np.uint8)).save(tmp_path / "IMAGE", format="PNG")
    monkeypatch.chdir(tmp_path)
    found: dict[str, Any] = {}
    exec(written.snippet, found)  # noqa: S102
    wanted = Predictor(package)(tmp_path / "IMAGE")
    if wanted.probabilities is not None:
        np.testing.assert_allclose(found["probabilities"], wanted.probabilities, atol=1e-5)
    if wanted.pixels is not None:
        pixels = np.moveaxis(found["denoised"][0], 0, 2).reshape(wanted.pixels.shape)
        np.testing.assert_allclose(pixels, wanted.pixels, atol=1e-5)


@pytest.mark.parametrize("white", [None, 4095])
@pytest.mark.parametrize("kind", ["transparent", "16 bits", "floats"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_snippet_reads_an_image_as_predict_does(
    channels: int, kind: str, white: float | None, tmp_path: Path
) -> None:
    """Turned upright, over the background, resized; white is that of deep files alone."""
    preparation = Preparation(size_px=16, channels=channels, background=0.25, white=white)
    manifest = toy(DENOISER, channels=channels, preparation=preparation).manifest
    path = tmp_path / ("deep.tif" if kind == "floats" else "turned.png")
    values, scale = noise(18, 26), white or {"16 bits": 65535, "floats": 1}.get(kind, 1)
    image = {
        "transparent": lambda: Image.fromarray((noise(18, 26, 4) * 255).astype(np.uint8)),
        "16 bits": lambda: Image.fromarray((values * scale).astype(np.uint16)),
        "floats": lambda: Image.fromarray(values * np.float32(scale)),
    }[kind]()
    exif = image.getexif()
    exif[ORIENTATION] = TURNED_RIGHT
    image.save(path, exif=exif)
    lines = "\n".join(image_lines(manifest, Settings(fixed=(20, 12))))
    found: dict[str, Any] = {"np": np, "Image": Image, "ImageOps": ImageOps}
    exec(lines.replace("IMAGE", str(path)), found)  # noqa: S102
    wanted, _ = at_size((20, 12), preparation.colours(read_image(path, white=white)), None)
    np.testing.assert_allclose(found["x"][0], wanted, atol=1.6 / 255)


def test_name_or_ending_say_the_format() -> None:
    """What is neither, and a setting that a format does not follow, are refused."""
    assert find_target(None, Path("a.tapetum"), NONE) is None
    assert find_target(None, Path("folder/a"), NONE) is None
    for name, file in ((None, "a.ONNX"), ("onnx", "a.bin")):
        target = find_target(name, Path(file), NONE)
        assert target is not None
        assert target.name == "onnx"
    with pytest.raises(PackageError, match=r"ends in .* not in .zip; .*--format"):
        find_target(None, Path("a.zip"), NONE)
    with pytest.raises(PackageError, match="there is no format 'onx'; did you mean 'onnx'"):
        find_target("onx", Path("a"), NONE)
    with pytest.raises(InputError, match="--opset has no effect on tapetum; it is for onnx"):
        find_target(None, Path("a.tapetum"), Settings(opset=16))


@pytest.mark.parametrize("name", ["openvino", "ncnn"])
def test_a_format_of_two_files_needs_its_ending(name: str) -> None:
    """Otherwise both files would get one name, or the second one could not be found."""
    first = {"openvino": ".xml", "ncnn": ".param"}[name]
    assert find_target(name, Path(f"a{first.upper()}"), NONE) is not None
    for file in ("a.bin", "a", "a.onnx"):
        with pytest.raises(PackageError, match=f"and not {file}; end --out with {first}"):
            find_target(name, Path(file), NONE)


def test_the_preparation_is_in_the_file(tmp_path: Path) -> None:
    """Whatever the resize is, labels are those of the package on images of another shape."""
    preparation = Preparation(size_px=16, channels=1, resize="crop", background=0.9)
    package = toy(CLASSIFIER, scale=1, preparation=preparation)
    assert write_target(package, tmp_path / "a.onnx", OnnxTarget(), NONE).parity.worst < 1e-5
