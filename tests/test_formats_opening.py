"""A written file is run and scored as it is."""

from dataclasses import replace
from pathlib import Path

import pytest

from tapetum.evaluation import score
from tapetum.formats import Examples, OpenedFile, Settings, WrittenFile, write_target
from tapetum.formats.target_onnx import OnnxTarget
from tapetum.noise import Gaussian
from tapetum.scores import ScoreRow, Scores
from test_formats_precision import waves
from test_formats_quantise import package_of


def test_a_description_names_no_machine_and_no_folder(tmp_path: Path) -> None:
    """The manifest in it has the noise and the seed of the training, which give its scores."""
    row = ScoreRow(title="noise", noise=Gaussian(sigma=0.1), num_images=1, recalls={})
    scores = Scores(protocol="camera", seed=0, source="of /home/me", rows=(row,), mean=row)
    package = package_of("unet-s")
    facts = {"provenance": {"seed": 3, "command": "tapetum /home/me"}, "scores": scores}
    manifest = package.manifest.model_copy(update=facts)
    write_target(replace(package, manifest=manifest), tmp_path / "a.onnx", OnnxTarget(), Settings())
    text = (tmp_path / "a.onnx.json").read_text()
    assert "/home/me" not in text
    read = WrittenFile.from_json(text, source="it").manifest
    assert (read.provenance, read.scores.rows) == ({"seed": 3}, (row,))


def test_a_file_for_one_size_is_scored_at_it(tmp_path: Path) -> None:
    """Noisy and clean images are resized to it, as an export compares it with its package."""
    package, path = package_of("dc-net-reduced-integrated"), tmp_path / "a.onnx"
    examples = Examples(waves(package, 10), [Gaussian(sigma=0.3)])
    settings = Settings(fixed=(24, 40), batch=2)
    written = write_target(package, path, OnnxTarget(), settings, examples=examples)
    opened = OpenedFile.find(path)
    assert opened is not None
    assert written.comparison is not None
    found = score(opened, examples.dataset, examples.noises).mean
    for field in ("psnr_db", "ssim", "accuracy", "macro_accuracy"):
        _, of_file = getattr(written.comparison, field)
        assert getattr(found, field) == pytest.approx(of_file, abs=1e-4)
    conditions = opened.conditions(threads=1)
    assert (conditions.batch, conditions.height_px, conditions.width_px) == (2, 24, 40)
    assert opened.written.settings == settings
