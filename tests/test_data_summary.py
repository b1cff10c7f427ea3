"""What is said of a folder: sizes, values, duplicates, uneven classes, and what is left out."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from folders import draw, draw_pairs, draw_tree
from tapetum.data import describe_folder, folder, loading
from tapetum.data.folder import open_folder
from tapetum.data.layout import ImageFile
from tapetum.data.sizes import training_size
from tapetum.errors import DataError
from tapetum.images import decode_frames


@pytest.mark.parametrize(
    ("sides", "size_px"),
    [
        *(([160] * 60 + [20], 160), ([160] * 5 + [20], 160), ([160, 20, 160], 160)),
        *(([50, 44, 90], 40), ([20, 160], 16), ([103] + [200] * 99, 200)),
        *(([100] * 20 + [200] * 80, 96), ([9] * 4, 16), ([900] * 4, 256), ([33], 32)),
    ],
)
def test_no_odd_image_sets_the_size(sides: list[int], size_px: int) -> None:
    """The size is what nine of ten images reach, in steps of 8, from 16 to 256."""
    found = training_size(sides)
    assert found.size_px == size_px
    assert f"{size_px} px" in found.rule
    assert training_size(sides, 64) == (64, "64 px, as given")


def test_smaller_images_are_listed_and_used(tmp_path: Path) -> None:
    """An image below the training size is named, and still trains or validates."""
    draw_tree(tmp_path, {"a": 5, "b": 5})
    draw(tmp_path / "a" / "thumb.png", side_px=10)
    summary = describe_folder(tmp_path)
    assert summary.size_px == 32
    assert summary.odd == ("a/thumb.png (10 x 10 px)",)
    assert summary.train.num_images + summary.validation.num_images == 11
    assert (summary.sizes.smallest, summary.sizes.largest) == ((10, 10), (32, 32))


def test_values_and_depths_are_found(tmp_path: Path) -> None:
    """Bit depths, colours and the values in use are those of the files."""
    values = np.linspace(7, 4000, 32 * 32).astype(np.uint16).reshape(32, 32)
    for index in range(4):
        Image.fromarray(values).save(draw(tmp_path / f"{index}.png"))
    summary = describe_folder(tmp_path)
    assert summary.bit_depths == {16: 4}
    assert summary.colours["grey"] == 4
    lowest, highest = summary.ranges[16]
    assert (lowest, highest) == (pytest.approx(7, abs=1), pytest.approx(4000, abs=1))


def test_duplicates_and_uneven_classes_are_said(tmp_path: Path) -> None:
    """A validation file with the content of a training file is named, and so is a rare class."""
    draw_tree(tmp_path, {"train/a": 12, "train/b": 2, "val/a": 2, "val/b": 2})
    shutil.copy(tmp_path / "train/a/03.png", tmp_path / "val/a/00.png")
    summary = describe_folder(tmp_path)
    assert summary.duplicates == (("train/a/03.png", "val/a/00.png"),)
    assert summary.imbalance == 6
    assert "val/a/00.png = train/a/03.png" in summary.facts()["duplicates"]
    assert "86%" in summary.facts()["uneven classes"]
    assert "--balance" in summary.facts()["uneven classes"]


def test_pairs_are_counted(tmp_path: Path) -> None:
    """Pairs have a number, and files are counted on both sides."""
    summary = describe_folder(draw_pairs(tmp_path, "noisy/{}.png", "clean/{}.png", count=5))
    assert (summary.num_pairs, summary.num_files) == (5, 10)
    assert "pairs" in summary.layout


def test_frames_of_a_file_stay_together(tmp_path: Path) -> None:
    """Each frame of a stack is an image, and all frames of a file are on one side."""
    for name in "abcd":
        frames = [Image.fromarray(np.full((16, 16), 9 * i, np.uint8)) for i in range(3)]
        frames[0].save(tmp_path / f"{name}.tif", save_all=True, append_images=frames[1:])
    opened = open_folder(tmp_path, seed=0)
    assert len(opened.train) + len(opened.validation) == 12
    assert len(opened.validation) % 3 == 0


def test_an_animation_is_decoded_from_its_start_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All frames of a file come from one pass over it."""
    frames = [
        Image.fromarray(np.random.default_rng(i).integers(0, 99, (16, 16), np.uint8))
        for i in range(9)
    ]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    files = [ImageFile(tmp_path / "a.gif", None, None, number) for number in range(9)]
    calls: list[Any] = []

    def counted(*args: Any, **options: Any) -> Any:
        calls.append(options["only"])
        return decode_frames(*args, **options)

    monkeypatch.setattr(loading, "decode_frames", counted)
    loaded, lost = loading.load_all(files, loading.Decoding(), kept_bytes=2**20)
    assert (len(loaded), lost, calls) == (9, [], [list(range(9))])
    for one, frame in zip(loaded, frames, strict=True):
        np.testing.assert_array_equal(one.pixels().clean[0], np.asarray(frame))


def test_everything_left_out_has_a_reason(tmp_path: Path) -> None:
    """The record names all that is left out, and the line counts each reason with examples."""
    draw_tree(tmp_path, {"a": 3, "b": 3, "a/@eaDir": 1})
    for index in range(5):
        (tmp_path / "a" / f"{index}.txt").write_text("notes")
    summary = describe_folder(tmp_path)
    assert len(summary.left_out) == 6
    assert "and 2 more" in summary.facts()["left out"]
    assert "a/@eaDir" in summary.facts()["left out"]


def test_names_that_are_no_text_are_kept(tmp_path: Path) -> None:
    """Folders and files whose names are not UTF-8 become classes and lists that can be written."""
    for name in (b"caf\xe9", b"line\nbreak"):
        for index in range(3):
            draw(tmp_path / os.fsdecode(name) / os.fsdecode(b"\xff%d.png" % index))
    opened = open_folder(tmp_path, seed=0)
    assert opened.info.class_names == ("caf\\xe9", "line\\x0abreak")
    assert opened.split_list is not None
    assert opened.summary is not None
    opened.split_list.write(tmp_path / "split.json")
    opened.summary.write(tmp_path / "data.json")
    assert "caf\\\\xe9" in (tmp_path / "split.json").read_text()


def test_twins_of_other_sizes_are_refused_as_in_training(tmp_path: Path) -> None:
    """Where all twins differ in size, the description and the training say so, and no classes."""
    for index in range(4):
        draw(tmp_path / "noisy" / f"{index}.png", side_px=24)
        draw(tmp_path / "clean" / f"{index}.png", side_px=32)
    for opening in (describe_folder, lambda root: open_folder(root, seed=0)):
        with pytest.raises(DataError, match="its noisy twin 24 x 24 px") as refused:
            opening(tmp_path)
        assert "class" not in str(refused.value).lower()


def test_one_image_in_two_classes_is_named(tmp_path: Path) -> None:
    """Files of equal content in two classes of one part are named; those of one class are not."""
    draw_tree(tmp_path, {"train/a": 4, "train/b": 4, "val/a": 2, "val/b": 2})
    shutil.copy(tmp_path / "train/a/01.png", tmp_path / "train/b/02.png")
    shutil.copy(tmp_path / "train/a/00.png", tmp_path / "train/a/03.png")
    summary = describe_folder(tmp_path)
    assert summary.conflicts == (("train/a/01.png", "train/b/02.png"),)
    assert "train/a/01.png = train/b/02.png" in summary.facts()["two classes"]


def test_damaged_pixels_are_found_as_in_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A truncated file is left out of a small folder; of a large one is said what was decoded."""
    draw_tree(tmp_path, {"a": 30, "b": 30})
    damaged = tmp_path / "a" / "07.png"
    damaged.write_bytes(damaged.read_bytes()[:-60])
    summary = describe_folder(tmp_path)
    trained = open_folder(tmp_path, seed=0)
    assert summary.left_out == trained.summary.left_out if trained.summary else False
    assert [one.path for one in summary.left_out] == ["a/07.png"]
    assert summary.facts()["pixels"] == "pixels of all 59 files were decoded"
    monkeypatch.setattr(folder, "_DECODED_PX", 0)
    assert "of 60 files were decoded" in describe_folder(tmp_path).facts()["pixels"]


def test_damaged_pixels_of_every_pair_have_their_remedy(tmp_path: Path) -> None:
    """Where all pairs are damaged behind their headers, no folders of classes are proposed."""
    draw_pairs(tmp_path, "noisy/{}.png", "clean/{}.png", count=2)
    for damaged in (tmp_path / "noisy").iterdir():
        damaged.write_bytes(damaged.read_bytes()[:-60])
    with pytest.raises(DataError) as raised:
        describe_folder(tmp_path)
    assert "has no readable image" in raised.value.problem
    assert "its noisy twin" in raised.value.problem
    assert raised.value.remedy == "copy the files again, or add images"


def test_a_description_has_every_file(tmp_path: Path) -> None:
    """Each used file stands in the description with its part, class and side of a pair."""
    for name in ("a", "b"):
        draw_pairs(tmp_path, f"noisy/{name}/{{}}.png", f"clean/{name}/{{}}.png")
    summary = describe_folder(tmp_path)
    assert len(summary.files) == summary.num_files == 16
    part = next(one.part for one in summary.files if one.path == "clean/a/0.png")
    assert ("noisy/a/0.png", part, "a", "noisy") in summary.files
    validating = [one for one in summary.files if one.part == "validation"]
    assert len(validating) == 2 * summary.validation.num_images


def test_the_largest_value_is_that_of_every_file(tmp_path: Path) -> None:
    """The range and the note on white name one maximum, though only some images are decoded."""
    for index in range(60):
        values = np.full((16, 16), 500, np.uint16)
        values[0, 0] = 3263 if index == 1 else 600
        Image.fromarray(values).save(draw(tmp_path / f"{index:02}.png"))
    summary = describe_folder(tmp_path)
    assert summary.ranges[16].highest == pytest.approx(3263, abs=1)
    assert any("up to 3263" in note for note in summary.notes)
