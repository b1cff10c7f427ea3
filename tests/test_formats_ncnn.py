"""ncnn's files: every block gives what its package gives, at one size."""

import sys
from pathlib import Path

import numpy as np
import pytest

from every_block import every_block
from packages import CLASSIFIER, JOINT, package_of, real
from snippets import outputs_of
from tapetum.errors import InputError, MissingExtraError, PackageError
from tapetum.formats import Settings, require_precision, target_ncnn, write_target
from tapetum.formats.proof import probe
from tapetum.formats.target_ncnn import NcnnTarget
from tapetum.runtime import Predictor, Preparation

pytest.importorskip("ncnn")

TARGET = NcnnTarget()
FIXED = Settings(fixed=(32, 32))


def test_every_block_gives_what_its_package_gives(tmp_path: Path) -> None:
    """Image and probabilities, for all blocks, joins and upsamplings."""
    for index, architecture in enumerate(every_block()):
        package = package_of(architecture, size_px=32)
        written = write_target(package, tmp_path / f"{index}.param", TARGET, FIXED)
        assert written.parity.sizes_px == ((32, 32),)
        assert written.parity.worst <= 1e-4


@pytest.mark.parametrize("resize", ["letterbox", "crop"])
def test_the_preparation_is_in_the_file(resize: str, tmp_path: Path) -> None:
    """Images of another size than that of the labels are resized as in the package."""
    preparation = Preparation(size_px=16, channels=1, resize=resize, background=0.9)
    options = {"boxes": False, "channels": 1, "size_px": 16}
    package = real(CLASSIFIER, preparation=preparation, **options)
    settings = Settings(fixed=(30, 40))
    assert write_target(package, tmp_path / "a.param", TARGET, settings).parity.worst <= 1e-4


def test_the_snippet_works_as_it_stands(tmp_path: Path) -> None:
    """Its lines, in a process of their own, give the package's image and probabilities."""
    package = real(JOINT, boxes=False, channels=3, size_px=32)
    written = write_target(package, tmp_path / "one.param", TARGET, FIXED)
    found = outputs_of(written.snippet, package.manifest, tmp_path, (32, 32))
    wanted = Predictor(package)(tmp_path / "IMAGE")
    assert wanted.pixels is not None
    pixels = np.moveaxis(found["denoised"], 0, 2)
    np.testing.assert_allclose(pixels, wanted.pixels, atol=1e-4)
    np.testing.assert_allclose(found["probabilities"][None], wanted.probabilities, atol=1e-4)


def test_weights_of_half_the_size(tmp_path: Path) -> None:
    """fp16 halves the weights; the snippet lets ncnn compute in it, and in fp32 nothing else."""
    package = real(JOINT, boxes=False, size_px=32)
    path, half = tmp_path / "a.param", FIXED.model_copy(update={"precision": "fp16"})
    contents = TARGET.contents(package, half)
    assert len(contents[".bin"]) == pytest.approx(len(package.graph_bytes) / 2, rel=0.1)
    for ending, content in contents.items():
        path.with_suffix(ending).write_bytes(content)
    with TARGET.opened(path, half) as run:
        assert 0 < probe(package, run, half).worst < 0.005
    for settings, stated in ((half, True), (FIXED, False)):
        lines = TARGET.snippet("a.param", package.manifest, settings)
        assert any(line.endswith(f"net.opt.use_fp16_arithmetic = {stated}") for line in lines)


def test_what_ncnn_cannot_do_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any size, boxes, int8, and a missing runtime or converter, with what to do."""
    with pytest.raises(InputError, match=r"for images of one size.*--fixed HEIGHTxWIDTH"):
        TARGET.require(Settings())
    with pytest.raises(PackageError, match="classifies boxes"):
        TARGET.contents(real(JOINT, boxes=True), FIXED)
    with pytest.raises(PackageError, match=r"int8 was asked for: ncnn2table and ncnn2int8.* no "):
        require_precision(TARGET, "int8")
    monkeypatch.setattr(target_ncnn, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"needs pnnx.*pip install '.\[ncnn\]'"):
        TARGET.require(FIXED)
    monkeypatch.setitem(sys.modules, "ncnn", None)
    with pytest.raises(MissingExtraError, match=r"needs ncnn.*pip install '.\[ncnn\]'"):
        TARGET.require(FIXED)
