"""LiteRT's file: every block gives what its package gives, and int8 nearly so."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from every_block import every_block
from packages import CLASSIFIER, JOINT, package_of, real
from snippets import outputs_of
from tapetum.errors import InputError, MissingExtraError, PackageError
from tapetum.formats import Examples, Settings, proof, write_target
from tapetum.formats.target_litert import LiteRtTarget
from tapetum.noise import Gaussian
from tapetum.runtime import Predictor, Preparation
from test_formats_precision import took, waves

TARGET = LiteRtTarget()
FIXED = Settings(fixed=(32, 32))


@pytest.fixture
def converter() -> None:
    """The converter, which has an environment of its own (docs/guides/android.md)."""
    pytest.importorskip("litert_torch", reason="litert-torch has an environment of its own")


@pytest.mark.slow
@pytest.mark.usefixtures("converter")
def test_every_block_gives_what_its_package_gives(tmp_path: Path) -> None:
    """Image and probabilities, for all blocks, joins and upsamplings."""
    for index, architecture in enumerate(every_block()):
        package = package_of(architecture, size_px=32)
        written = write_target(package, tmp_path / f"{index}.tflite", TARGET, FIXED)
        assert written.parity.sizes_px == ((32, 32),)
        assert written.parity.worst <= 2e-5


@pytest.mark.slow
@pytest.mark.usefixtures("converter")
@pytest.mark.parametrize("resize", ["squash", "letterbox", "crop"])
def test_the_preparation_is_in_the_file(resize: str, tmp_path: Path) -> None:
    """Images of another size than that of the labels are resized as in the package."""
    preparation = Preparation(size_px=16, channels=1, resize=resize, background=0.9)
    options = {"boxes": False, "channels": 1, "size_px": 16}
    package = real(CLASSIFIER, preparation=preparation, **options)
    settings = Settings(fixed=(30, 40), batch=2)
    written = write_target(package, tmp_path / "a.tflite", TARGET, settings)
    assert written.parity.num_images == 2
    assert written.parity.worst <= 2e-5


@pytest.mark.slow
@pytest.mark.usefixtures("converter")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "by min-max"),
        ({"calibration_method": "percentile", "float_ends": False}, "by percentile; the first"),
    ],
)
def test_int8_is_compared_with_fp32(
    options: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are run and timed on the same images; the file is a third as large."""
    monkeypatch.setattr(proof, "time_interleaved", lambda *_, **__: [took(1.0), took(2.0)])
    package = real(JOINT, boxes=False, channels=3, size_px=32)
    examples = Examples(waves(package, 12), [Gaussian(sigma=0.1)])
    settings = Settings(fixed=(32, 32), precision="int8", **options)
    out = tmp_path / "a.tflite"
    written = write_target(package, out, TARGET, settings, examples=examples)
    assert written.size_bytes < 0.5 * len(package.graph_bytes)
    assert said in written.ranges.text
    assert written.comparison is not None
    assert written.comparison.between_db is not None
    assert 25 < written.comparison.between_db < 70
    assert written.speed is not None
    assert written.speed.speed_up == 2


@pytest.mark.slow
@pytest.mark.usefixtures("converter")
def test_the_snippet_works_as_it_stands(tmp_path: Path) -> None:
    """Its lines, in a process of their own, give the package's image and probabilities."""
    package = real(JOINT, boxes=False, channels=3, size_px=32)
    written = write_target(package, tmp_path / "one.tflite", TARGET, FIXED)
    found = outputs_of(written.snippet, package.manifest, tmp_path, (32, 32))
    wanted = Predictor(package)(tmp_path / "IMAGE")
    assert wanted.pixels is not None
    np.testing.assert_allclose(np.moveaxis(found["denoised"][0], 0, 2), wanted.pixels, atol=2e-5)
    np.testing.assert_allclose(found["probabilities"], wanted.probabilities, atol=2e-5)
    content = (tmp_path / "one.tflite").read_bytes()
    assert json.dumps(written.metadata, ensure_ascii=False).encode() in content


def test_what_litert_cannot_do_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any size, boxes, and a missing converter, with how to install it."""
    with pytest.raises(InputError, match=r"for images of one size.*--fixed HEIGHTxWIDTH"):
        TARGET.require(Settings())
    with pytest.raises(PackageError, match="classifies boxes"):
        TARGET.contents(real(JOINT, boxes=True), FIXED)
    monkeypatch.setitem(sys.modules, "ai_edge_quantizer", None)
    with pytest.raises(MissingExtraError, match=r"litert/bin/pip install '.\[litert\]'"):
        TARGET.require(FIXED)
