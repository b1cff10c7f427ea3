"""Laws of many pictures at once: every picture has its row and its place, none is lost."""

import json
from pathlib import Path

import numpy as np
import pytest

from tapetum.arch import find
from tapetum.errors import InputError
from tapetum.graph import random_weights, write_graph
from tapetum.noise import Gaussian
from tapetum.runtime import Manifest, Package, Picture, Predictor, read_picture, write_picture
from tapetum.runtime.bulk import Job, read_boxes, run_job


def predictor_of(name: str) -> Predictor:
    """A named network with random weights, opened."""
    architecture = find(name)
    classes = [str(digit) for digit in range(10)] if architecture.classifier else []
    model = write_graph(architecture, random_weights(architecture, seed=0))
    manifest = Manifest.of(architecture, size_px=64, class_names=classes)
    return Predictor(Package(manifest, model.SerializeToString(), ""), threads=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures of one name in two folders, and one of 16 bits."""
    generator = np.random.default_rng(0)
    for name, bit_depth in (("a/x.png", 8), ("b/x.png", 8), ("deep.png", 16)):
        pixels = generator.random((1, 40, 40), dtype=np.float32)
        write_picture(tmp_path / "in" / name, Picture(pixels, None, bit_depth, "grey"))
    return tmp_path / "in"


def test_a_folder_keeps_its_shape(folder: Path, tmp_path: Path) -> None:
    """Every picture is cleaned into the same sub-folder, as deep as it was."""
    rows = run_job(predictor_of("unet-s"), Job([folder], tmp_path / "out"))
    found = [Path(row.cleaned).relative_to(tmp_path / "out") for row in rows if row.cleaned]
    assert sorted(map(str, found)) == ["a/x.png", "b/x.png", "deep.png"]
    assert read_picture(tmp_path / "out" / "deep.png").bit_depth == 16


def test_names_that_meet_are_told_apart(folder: Path, tmp_path: Path) -> None:
    """Two pictures of one name from two places do not replace each other."""
    pictures = [folder / "a" / "x.png", folder / "b" / "x.png"]
    rows = run_job(predictor_of("unet-s"), Job(pictures, tmp_path / "out"))
    assert len({row.cleaned for row in rows}) == 2


def test_equal_seeds_add_equal_noise(folder: Path, tmp_path: Path) -> None:
    """The noisy pictures are the same again, and others with another seed."""
    noisy = []
    for index, seed in enumerate((1, 1, 2)):
        job = Job([folder / "deep.png"], tmp_path / str(index), Gaussian(sigma=0.2), seed=seed)
        row = run_job(predictor_of("unet-s"), job)[0]
        noisy.append(read_picture(Path(row.noisy or "")).pixels)
    assert np.array_equal(noisy[0], noisy[1])
    assert not np.array_equal(noisy[0], noisy[2])


def test_boxes_are_read_by_the_name_of_the_picture(folder: Path, tmp_path: Path) -> None:
    """A picture with boxes gets a name for each; one without them gets a reason."""
    (tmp_path / "boxes.json").write_text(json.dumps({"deep.png": [[0, 0, 28, 28]] * 3}))
    job = Job([folder], tmp_path / "out", boxes=read_boxes(tmp_path / "boxes.json"))
    rows = {Path(row.picture).name: row for row in run_job(predictor_of("mb2.5-m"), job)}
    assert len(rows["deep.png"].labels) == 3
    assert "names boxes, and none are listed for x.png" in (rows["x.png"].error or "")


@pytest.mark.parametrize("text", ["{", "[]", '{"a.png": "left"}', '{"a.png": [[1], [1, 2]]}'])
def test_a_file_that_lists_no_boxes_is_refused(text: str, tmp_path: Path) -> None:
    """One sentence with the form that is expected."""
    (tmp_path / "boxes.json").write_text(text)
    with pytest.raises(InputError, match=r"does not list boxes .*picture\.png"):
        read_boxes(tmp_path / "boxes.json")


def test_pictures_are_never_replaced_by_their_cleaned_form(folder: Path) -> None:
    """Not even where overwriting was allowed."""
    before = (folder / "deep.png").read_bytes()
    with pytest.raises(InputError, match="choose another --out"):
        run_job(predictor_of("unet-s"), Job([folder], folder, overwrite=True))
    assert (folder / "deep.png").read_bytes() == before
