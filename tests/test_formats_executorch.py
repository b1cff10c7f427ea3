"""ExecuTorch's program: every block gives what its package gives, and int8 nearly so."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from every_block import every_block
from packages import CLASSIFIER, JOINT, package_of, real
from snippets import outputs_of
from tapetum.errors import InputError, MissingExtraError, PackageError
from tapetum.formats import Examples, Settings, proof, write_target
from tapetum.formats.target_executorch import ExecuTorchTarget
from tapetum.noise import Gaussian
from tapetum.runtime import Predictor, Preparation
from test_formats_precision import took, waves

TARGET = ExecuTorchTarget()
FIXED = Settings(fixed=(32, 32))


@pytest.fixture
def converter() -> None:
    """ExecuTorch, which the tests of a fresh environment do without (docs/guides/android.md)."""
    reason = "executorch is not installed: pip install '.[executorch]'"
    pytest.importorskip("torchao", reason=reason)  # importing executorch itself gives warnings


@pytest.mark.slow
@pytest.mark.usefixtures("converter")
@pytest.mark.parametrize("index", range(len(every_block())))
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_every_block_gives_what_its_package_gives(
    index: int, precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Image and probabilities, for all blocks, joins and upsamplings; int8 up to its steps."""
    monkeypatch.setattr(proof, "time_interleaved", lambda *_, **__: [took(1.0), took(2.0)])
    package = package_of(every_block()[index], size_px=32)
    settings = Settings(fixed=(32, 32), precision=precision)
    examples = Examples(waves(package, 12), [Gaussian(sigma=0.1)])
    written = write_target(package, tmp_path / "a.pte", TARGET, settings, examples=examples)
    assert written.parity.sizes_px == ((32, 32),)
    assert written.parity.worst <= (2e-5 if precision == "fp32" else 0.2)
    assert written.comparison is not None
    assert written.comparison.agreement == 1


@pytest.mark.slow
@pytest.mark.usefixtures("converter")
@pytest.mark.parametrize("resize", ["letterbox", "crop"])
def test_the_preparation_is_in_the_program(resize: str, tmp_path: Path) -> None:
    """Images of another size than that of the labels are resized as in the package."""
    preparation = Preparation(size_px=16, channels=1, resize=resize, background=0.9)
    options = {"boxes": False, "channels": 1, "size_px": 16}
    package = real(CLASSIFIER, preparation=preparation, **options)
    settings = Settings(fixed=(30, 40), batch=2)
    written = write_target(package, tmp_path / "a.pte", TARGET, settings)
    assert written.parity.num_images == 2
    assert written.parity.worst <= 2e-5


@pytest.mark.slow
@pytest.mark.usefixtures("converter")
def test_int8_takes_less_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights are stored in it, and image and labels stay near those in fp32."""
    monkeypatch.setattr(proof, "time_interleaved", lambda *_, **__: [took(1.0), took(2.0)])
    package = real(JOINT, boxes=False, channels=3, size_px=32)
    examples = Examples(waves(package, 12), [Gaussian(sigma=0.1)])
    settings = Settings(fixed=(32, 32), precision="int8")
    written = write_target(package, tmp_path / "a.pte", TARGET, settings, examples=examples)
    assert written.size_bytes < 0.6 * len(package.graph_bytes)
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
    written = write_target(package, tmp_path / "one.pte", TARGET, FIXED)
    asks = 'facts = Runtime.get().load_program("one.pte").load_method("tapetum").execute([])[0]\n'
    snippet = f'{written.snippet}{asks}open("facts.json", "w").write(facts)\n'
    found = outputs_of(snippet, package.manifest, tmp_path, (32, 32), warnings="ignore")
    wanted = Predictor(package)(tmp_path / "IMAGE")
    assert wanted.pixels is not None
    np.testing.assert_allclose(np.moveaxis(found["denoised"][0], 0, 2), wanted.pixels, atol=2e-5)
    np.testing.assert_allclose(found["probabilities"], wanted.probabilities, atol=2e-5)
    assert json.loads((tmp_path / "facts.json").read_text()) == written.metadata


def test_what_executorch_cannot_do_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any size, boxes, and a missing converter, with how to install it."""
    with pytest.raises(InputError, match=r"for images of one size.*--fixed HEIGHTxWIDTH"):
        TARGET.require(Settings())
    with pytest.raises(PackageError, match="classifies boxes"):
        TARGET.contents(real(JOINT, boxes=True), FIXED)
    monkeypatch.setitem(sys.modules, "executorch.exir", None)
    with pytest.raises(MissingExtraError, match=r"executorch.*pip install '.\[executorch\]'"):
        TARGET.require(FIXED)
