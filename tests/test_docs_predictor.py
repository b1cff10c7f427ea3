"""The Python of the documents that predicts: it runs as it is written, on a colour image."""

import re
from pathlib import Path
from types import SimpleNamespace

import house
import numpy as np
import pytest
from PIL import Image

import tapetum
from packages import JOINT, real
from tapetum.runtime import write_package

PAGES = {"README.md": "# Ten lines", "docs/guides/python.md": "## Predict"}


@pytest.mark.parametrize("page", PAGES)
def test_the_python_of_the_documents_predicts(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every block from there on runs, and the first one prints the shape of a colour image."""
    package = real(JOINT, boxes=False, channels=3, size_px=32)
    path = tmp_path / "photos.tapetum"
    write_package(path, package.graph_bytes, package.manifest, "")
    (tmp_path / "night").mkdir()
    pixels = np.random.default_rng(0).integers(256, size=(40, 50, 3), dtype=np.uint8)
    for name in ("night.png", "night/one.png"):
        Image.fromarray(pixels).save(tmp_path / name)
    timing = SimpleNamespace(timing=SimpleNamespace(median_ms=1.0))
    fitted = SimpleNamespace(package=path, delivery=timing)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(vars(tapetum), "fit", lambda *_, **__: fitted)
    text = (house.ROOT / page).read_text().partition(PAGES[page])[2]
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    for block in blocks:
        exec(block, {"__name__": "example"})  # noqa: S102  (our own documents)
    printed = capsys.readouterr().out
    assert "(40, 50, 3)" in printed
    with Image.open("denoised.png") as denoised:
        assert denoised.size == (50, 40)
