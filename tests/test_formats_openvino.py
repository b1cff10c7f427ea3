"""OpenVINO's files: every block gives what its package gives, and the precision is stated."""

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from every_block import every_block
from packages import JOINT, package_of, real
from snippets import outputs_of
from tapetum.errors import InputError, MissingExtraError
from tapetum.formats import Examples, Settings, WrittenFile, proof, quantise, write_target, writing
from tapetum.formats.target_openvino import OpenVinoTarget
from tapetum.noise import Gaussian
from tapetum.runtime import Package, Predictor, Preparation
from test_formats_precision import took, waves

pytest.importorskip("openvino")

TARGET = OpenVinoTarget()


def packaged(**options: Any) -> Package:
    """A joint network of random weights for RGB images of 32 px."""
    return real(JOINT, boxes=False, channels=3, size_px=32, **options)


def test_every_block_gives_what_its_package_gives(tmp_path: Path) -> None:
    """Image and probabilities of two sizes, for all blocks, joins and upsamplings."""
    for index, architecture in enumerate(every_block()):
        package = package_of(architecture, size_px=32)
        written = write_target(package, tmp_path / f"{index}.xml", TARGET, Settings())
        assert written.parity.sizes_px == ((32, 32), (37, 43))
        assert written.parity.worst <= 2e-5
        assert "(f32)" in written.parity.runtime


def test_boxes_and_batches_are_run_too(tmp_path: Path) -> None:
    """A network that classifies boxes, and two images of one size at once."""
    written = write_target(real(JOINT, boxes=True), tmp_path / "a.xml", TARGET, Settings())
    assert set(written.parity.max_difference) == {"denoised", "probabilities"}
    settings = Settings(fixed=(40, 24), batch=2)
    preparation = Preparation(size_px=32, channels=3, resize="letterbox", background=0.25)
    package = packaged(preparation=preparation)
    written = write_target(package, tmp_path / "b.xml", TARGET, settings)
    assert written.parity.num_images == 2
    assert written.parity.worst <= 2e-5


def test_the_file_says_what_the_network_is_for(tmp_path: Path) -> None:
    """Classes, preparation, noise, licences and origin stand among the layers."""
    package = packaged()
    written = write_target(package, tmp_path / "a.xml", TARGET, Settings())
    assert set(written.sha256) == {"a.xml", "a.bin"}
    tree = ElementTree.parse(tmp_path / "a.xml")  # noqa: S314  (it was written here)
    found = {one.tag: one.get("value") for one in tree.findall("rt_info/tapetum/*")}
    assert found == written.metadata
    assert json.loads(str(found["class_names"])) == list(package.manifest.class_names)


def test_weights_of_half_the_size(tmp_path: Path) -> None:
    """fp16 halves them, and the image stays the same to some thousandths."""
    paths = {name: tmp_path / f"{name}.xml" for name in ("fp32", "fp16")}
    package = packaged()
    for name, path in paths.items():
        write = {".xml": path, ".bin": path.with_suffix(".bin")}
        for ending, content in TARGET.contents(package, Settings(precision=name)).items():
            write[ending].write_bytes(content)
    sizes = [path.with_suffix(".bin").stat().st_size for path in paths.values()]
    assert sizes[1] == pytest.approx(sizes[0] / 2, rel=0.05)
    with TARGET.opened(paths["fp16"], Settings(precision="fp16")) as run:
        parity = proof.probe(package, run, Settings(precision="fp16"))
    assert 0 < parity.worst < 0.005


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file takes two milliseconds, and fp32 one."""
    monkeypatch.setattr(proof, "time_interleaved", lambda *_, **__: [took(2.0), took(1.0)])


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """int8 is calibrated on eight images, which is quick."""
    monkeypatch.setattr(writing, "quantise", partial(quantise, num_images=8))


@pytest.mark.usefixtures("timed", "few")
def test_int8_is_compared_with_fp32(tmp_path: Path) -> None:
    """It computes what the package in int8 does; its loss and its speed are those beside fp32."""
    package = packaged()
    examples = Examples(waves(package, 12), [Gaussian(sigma=0.1)])
    settings = Settings(precision="int8", calibration_method="min-max", float_ends=False)
    out = tmp_path / "a.xml"
    written = write_target(package, out, TARGET, settings, examples=examples)
    assert 'type="FakeQuantize"' in out.read_text()
    assert written.parity.worst <= 0.05
    assert written.comparison is not None
    assert written.comparison.between_db is not None  # against fp32, which it does not equal
    assert 20 < written.comparison.between_db < 70
    assert written.speed_text == (
        "int8 is slower than fp32 on this machine: one pass over 1 image(s) of 32 x 32 px takes "
        "2.00 times as long on one thread"
    )
    assert written.faults[0] == "it is slower here"
    assert written.ranges is not None
    assert "calibrated by min-max; the first" in written.ranges.text
    assert "in int8 too" in written.ranges.text
    assert json.loads(written.metadata["int8"])["method"] == "min-max"
    assert WrittenFile.from_json((tmp_path / "a.xml.json").read_text(), source="it") == written
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bin", "a.xml", "a.xml.json"]


def test_int8_needs_images(tmp_path: Path) -> None:
    """Without them nothing is written."""
    with pytest.raises(InputError, match="int8 is calibrated on images"):
        write_target(packaged(), tmp_path / "a.xml", TARGET, Settings(precision="int8"))
    assert not list(tmp_path.iterdir())


def test_the_snippet_works_as_it_stands(tmp_path: Path) -> None:
    """Its lines, in a process of their own, give the package's image and probabilities."""
    package = packaged()
    written = write_target(package, tmp_path / "one.xml", TARGET, Settings())
    found = outputs_of(written.snippet, package.manifest, tmp_path)
    wanted = Predictor(package)(tmp_path / "IMAGE")
    assert wanted.pixels is not None
    pixels = np.moveaxis(found["denoised"][0], 0, 2)
    np.testing.assert_allclose(pixels, wanted.pixels, atol=2e-5)
    np.testing.assert_allclose(found["probabilities"], wanted.probabilities, atol=2e-5)


def test_a_missing_runtime_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is installed."""
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r"pip install '.\[openvino\]'"):
        TARGET.require(Settings())
