"""Laws of one file among many: it has its place and its row, or the reason why not."""

import json
import os
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from many_images import package_in, save_image
from tapetum.errors import DataError, InputError
from tapetum.images import DecodedImage, read_frames, read_image, write_frames, write_image
from tapetum.noise import Gaussian, Protocol
from tapetum.runtime.bulk import Execution, Job, PredictionRow, read_boxes, read_rows, run_job
from tapetum.scores import ScoreRow, Scores

ONE = Execution(threads=1)


@pytest.fixture(scope="module")
def unet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that denoises grey images."""
    return package_in(tmp_path_factory.mktemp("package"), "unet-s")


@pytest.fixture(scope="module")
def joint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that denoises and classifies whole grey images."""
    folder = tmp_path_factory.mktemp("package")
    return package_in(folder, "dc-net-reduced-integrated", num_classes=3, boxes=False)


@pytest.fixture(scope="module")
def boxed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that classifies boxes."""
    return package_in(tmp_path_factory.mktemp("package"), "mb2.5-m")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images of one name in two folders, and one of 16 bits."""
    save_image(tmp_path / "in" / "a" / "x.png", seed=0)
    save_image(tmp_path / "in" / "b" / "x.png", seed=1)
    save_image(tmp_path / "in" / "deep.png", seed=2, bit_depth=16)
    return tmp_path / "in"


def rows_of(job: Job) -> dict[str, PredictionRow]:
    """Run a job of files of one frame; its rows by the name of the image."""
    run_job(job, ONE)
    return {row.name: row for row in read_rows(job.out)}


def test_a_folder_keeps_its_shape(unet: Path, folder: Path, tmp_path: Path) -> None:
    """Every image is denoised into the same sub-folder, as deep as it was."""
    rows = rows_of(Job(package=unet, paths=[folder], out=tmp_path / "out"))
    assert sorted(rows) == ["a/x.png", "b/x.png", "deep.png"]
    assert all(row.denoised == str(tmp_path / "out" / name) for name, row in rows.items())
    assert read_image(tmp_path / "out" / "deep.png").bit_depth == 16


def test_names_that_meet_are_told_apart(unet: Path, folder: Path, tmp_path: Path) -> None:
    """Two images of one name from two places do not replace each other, nor do two folders."""
    images = [folder / "a" / "x.png", folder / "b" / "x.png"]
    rows = rows_of(Job(package=unet, paths=images, out=tmp_path / "out"))
    assert sorted(rows) == ["x-2.png", "x.png"]
    assert all(row.denoised == str(tmp_path / "out" / name) for name, row in rows.items())
    folders = [folder / "a", folder / "b"]
    assert sorted(rows_of(Job(package=unet, paths=folders, out=tmp_path / "two"))) == [
        "a/x.png",
        "b/x.png",
    ]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"top_k": 3}, "--top-k has no effect: no label is computed"),
        ({"probabilities": True}, "--probabilities has no effect"),
        ({"reject_below": 0.5}, "--reject-below has no effect"),
        ({"seed": 3}, "--seed has no effect: no noise is added"),
        ({"file_format": "png", "mode": "label"}, "--format has no effect: no image is written"),
    ],
)
def test_an_option_without_an_effect_is_refused(
    options: dict[str, Any], problem: str, unet: Path, joint: Path, folder: Path, tmp_path: Path
) -> None:
    """Before anything is written."""
    package = joint if "mode" in options else unet
    job = Job(package=package, paths=[folder], out=tmp_path / "out", **options)
    with pytest.raises(InputError, match=problem):
        run_job(job, ONE)
    assert not (tmp_path / "out").exists()


def test_equal_seeds_add_equal_noise(unet: Path, folder: Path, tmp_path: Path) -> None:
    """Noise depends on image and seed, not on the place of the image among others."""
    noisy = []
    for index, (seed, path) in enumerate([(1, folder), (1, folder / "deep.png"), (2, folder)]):
        job = Job(
            package=unet,
            paths=[path],
            out=tmp_path / str(index),
            noise=Gaussian(sigma=0.2),
            seed=seed,
        )
        noisy.append(read_image(Path(rows_of(job)["deep.png"].noisy or "")).pixels)
    assert np.array_equal(noisy[0], noisy[1])
    assert not np.array_equal(noisy[0], noisy[2])


@pytest.mark.parametrize("protocol", ["benchmark", "camera"])
def test_added_noise_follows_the_protocol_of_the_training(
    protocol: Protocol, folder: Path, tmp_path: Path
) -> None:
    """A package that was trained on noisy images of 8 bits gets such images, in a deep file too."""
    mean = ScoreRow(title="mean", noise=None, num_images=9)
    scores = Scores(protocol=protocol, seed=0, source="", rows=(mean,), mean=mean)
    package = package_in(tmp_path, "unet-s", scores=scores)
    noise, out = Gaussian(sigma=0.2), tmp_path / "out"
    rows = rows_of(Job(package=package, paths=[folder / "deep.png"], out=out, noise=noise))
    values = read_image(Path(rows["deep.png"].noisy or "")).pixels * 255
    assert np.allclose(values, np.rint(values), atol=1e-3) == (protocol == "camera")


@pytest.mark.parametrize("ending", [".tif", ".gif", ".apng"])
def test_all_frames_come_back_in_one_file(ending: str, joint: Path, tmp_path: Path) -> None:
    """Twelve frames in, twelve out, a row for each, with noise too."""
    frames = np.random.default_rng(0).random((12, 1, 16, 16), dtype=np.float32)
    images = [DecodedImage(frame, None, 8, "grey") for frame in frames]
    (tmp_path / "in").mkdir()
    write_frames(tmp_path / "in" / f"movie{ending}", images, num_frames=12)
    job = Job(
        package=joint,
        paths=[tmp_path / "in"],
        out=tmp_path / "out",
        noise=Gaussian(sigma=0.1),
    )
    summary = run_job(job, ONE)
    rows = list(read_rows(job.out))
    assert summary is not None
    assert summary.num_images == 12
    assert [row.frame for row in rows] == list(range(12))
    assert {(row.num_frames, len(row.labels)) for row in rows} == {(12, 1)}
    for name in ("denoised", "noisy"):
        written = {getattr(row, name) for row in rows}
        assert len(written) == 1
        assert len(list(read_frames(Path(written.pop())))) == 12


def test_a_row_has_the_warnings_of_its_own_frame(joint: Path, tmp_path: Path) -> None:
    """What decoding clips in one frame of a stack is said in the row of that frame alone."""
    stack = np.full((3, 16, 16, 1), 500, np.uint16)
    stack[1] = 2000
    np.save(tmp_path / "x.npy", stack)
    path, out = tmp_path / "x.npy", tmp_path / "out"
    run_job(Job(package=joint, paths=[path], out=out, white=1000.0), ONE)
    clipped = [any("clipped" in text for text in row.warnings) for row in read_rows(out)]
    assert clipped == [False, True, False]


def test_one_frame_is_in_memory_at_a_time(
    joint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stack is read, predicted and written frame by frame, whatever its length."""
    frames, alive, most = [np.full((1, 16, 16), 0.5, np.float32)] * 12, list[Any](), 0

    def watched(*args: Any, **options: Any) -> Iterator[DecodedImage]:
        nonlocal most
        for frame in read_frames(*args, **options):
            alive.append(weakref.ref(frame))
            most = max(most, sum(each() is not None for each in alive))
            yield frame

    path = tmp_path / "x.tif"
    images = (DecodedImage(frame, None, 16, "grey") for frame in frames)
    write_frames(path, images, num_frames=12)
    monkeypatch.setattr("tapetum.runtime.bulk.files.read_frames", watched)
    run_job(Job(package=joint, paths=[path], out=tmp_path / "out"), ONE)
    assert len(list(read_rows(tmp_path / "out"))) == len(alive) == 12
    assert most <= 3


def test_the_file_type_is_that_of_the_image_or_the_requested_one(
    unet: Path, tmp_path: Path
) -> None:
    """JPEG stays JPEG; images that meet in another type keep their old ending, too."""
    for name in ("x.jpg", "x.bmp", "y.tif"):
        save_image(tmp_path / "in" / name)
    job = Job(package=unet, paths=[tmp_path / "in"], out=tmp_path / "kept")
    assert {Path(row.denoised or "").name for row in rows_of(job).values()} == {
        "x.jpg",
        "x.bmp",
        "y.tif",
    }
    assert read_image(tmp_path / "kept" / "x.jpg").format == "JPEG"
    job = Job(package=unet, paths=[tmp_path / "in"], out=tmp_path / "png", file_format="png")
    assert {Path(row.denoised or "").name for row in rows_of(job).values()} == {
        "x.jpg.png",
        "x.bmp.png",
        "y.png",
    }


@pytest.mark.parametrize("names", [("x.png", "x.noisy.png"), ("x.png", "x.tif", "x.noisy.tif")])
@pytest.mark.parametrize("file_format", [None, "png"])
def test_no_result_replaces_another(
    names: tuple[str, ...], file_format: str | None, unet: Path, tmp_path: Path
) -> None:
    """Denoised and noisy images all have files of their own, whatever sources are called."""
    for name in names:
        save_image(tmp_path / "in" / name)
    noise = Gaussian(sigma=0.1)
    rows = rows_of(
        Job(
            package=unet,
            paths=[tmp_path / "in"],
            out=tmp_path / "out",
            noise=noise,
            file_format=file_format,
        )
    )
    written = {name for row in rows.values() for name in (row.denoised, row.noisy)}
    assert len(written) == 2 * len(names)
    others = {str(path) for path in (tmp_path / "out").iterdir()} - written
    assert {Path(name).name for name in others} == {
        "request.json",
        "result.json",
        "predictions.jsonl",
    }


def test_results_are_not_sources(unet: Path, tmp_path: Path) -> None:
    """Cleaning into a sub-folder again gives the same files, and no row for the results."""
    save_image(tmp_path / "photos" / "a" / "x.png")
    job = Job(package=unet, paths=[tmp_path / "photos"], out=tmp_path / "photos" / "clean")
    run_job(job, ONE)
    before = sorted(job.out.rglob("*"))
    run_job(job, ONE, overwrite=True)
    assert sorted(job.out.rglob("*")) == before
    assert [row.name for row in read_rows(job.out)] == ["a/x.png"]


def test_what_is_left_out_has_a_row_with_its_reason(unet: Path, tmp_path: Path) -> None:
    """Texts, pipes, broken links, system folders and results of another job.

    An empty file with the ending of an image is a failure.
    """
    root = tmp_path / "in"
    save_image(root / "good.png")
    save_image(root / "@eaDir" / "thumb.png")
    (root / "notes.txt").write_text("hello")
    (root / "empty.png").touch()
    os.mkfifo(root / "pipe.png")
    (root / "broken.png").symlink_to("nowhere.png")
    run_job(Job(package=unet, paths=[root / "good.png"], out=root / "clean"), ONE)
    summary = run_job(Job(package=unet, paths=[root], out=tmp_path / "out"), ONE)
    rows = {row.name: row for row in read_rows(tmp_path / "out")}
    reasons = {name: row.left_out or "" for name, row in rows.items() if row.left_out}
    words = {
        "notes.txt": "not an image",
        "pipe.png": "pipe",
        "broken.png": "broken link",
        "@eaDir": "system folder",
        "clean": "results of",
    }
    assert reasons.keys() == words.keys()
    assert all(words[name] in reason for name, reason in reasons.items())
    assert summary is not None
    assert (summary.num_images, summary.num_failed, summary.num_left_out) == (1, 1, 5)
    assert "empty" in (rows["empty.png"].error or "")


def test_one_file_never_stops_a_folder(unet: Path, tmp_path: Path) -> None:
    """Damaged, sparse and truncated files, pipes and folders without rights cost a row each."""
    root = tmp_path / "in"
    good = save_image(root / "good.png")
    (root / "cut.png").write_bytes(good.read_bytes()[:-40])
    with (root / "sparse.tif").open("wb") as file:
        file.write(b"II*\0")
        file.truncate(200 * 2**30)
    os.mkfifo(root / "pipe.png")
    paths = [root / name for name in ("cut.png", "good.png", "sparse.tif", "pipe.png", "none.png")]
    rows = rows_of(Job(package=unet, paths=paths, out=tmp_path / "out"))
    failed = {name for name, row in rows.items() if row.error}
    assert failed == {"cut.png", "sparse.tif", "pipe.png", "none.png"}
    assert rows["good.png"].is_done


@pytest.mark.parametrize("length", [232, 251, 255])
def test_long_names_are_written(length: int, unet: Path, tmp_path: Path) -> None:
    """Up to the longest name of a file system, with its noisy twin."""
    name = "é" * ((length - 4) // 2) + "x" * (length % 2) + ".png"
    assert len(name.encode()) == length
    save_image(tmp_path / "in" / name)
    noise = Gaussian(sigma=0.1)
    rows = rows_of(Job(package=unet, paths=[tmp_path / "in"], out=tmp_path / "out", noise=noise))
    assert rows[name].error is None
    assert Path(rows[name].denoised or "").name == name
    assert Path(rows[name].noisy or "").is_file()


def test_names_of_any_bytes_have_rows(unet: Path, tmp_path: Path) -> None:
    """Newlines, escape sequences and bytes that are no text are kept apart and readable."""
    root = tmp_path / "in"
    save_image(root / "a\n.png")
    for name in (b"\x1b[31m.png", b"\xff.png", b"\xfe.png"):
        (root / "a\n.png").with_name(os.fsdecode(name)).write_bytes((root / "a\n.png").read_bytes())
    rows = rows_of(Job(package=unet, paths=[root], out=tmp_path / "out"))
    assert set(rows) == {"a\n.png", "\x1b[31m.png", "\\xff.png", "\\xfe.png"}
    assert all(row.is_done for row in rows.values())
    assert sorted(os.listdir(os.fsencode(tmp_path / "out")))[:4] == sorted(
        [b"a\n.png", b"\x1b[31m.png", b"predictions.jsonl", b"request.json"]
    )


def test_a_row_says_what_was_predicted(joint: Path, tmp_path: Path) -> None:
    """Size, label, confidence, times; all classes and only the best ones where they are wanted."""
    pixels = np.random.default_rng(0).random((1, 40, 56), dtype=np.float32)
    write_image(tmp_path / "x.png", DecodedImage(pixels, None, 8, "grey"))
    names = ("plain", "top", "all", "unsure")
    options = ({}, {"top_k": 2}, {"probabilities": True}, {"reject_below": 1.0})
    plain, top, every, unsure = (
        rows_of(Job(package=joint, paths=[tmp_path / "x.png"], out=tmp_path / name, **values))[
            "x.png"
        ]
        for name, values in zip(names, options, strict=True)
    )
    assert (plain.width_px, plain.height_px) == (56, 40)
    assert (plain.latency_ms or 0) > 0
    assert plain.by_class == ()
    assert next(iter(top.by_class[0])) == plain.labels[0]
    assert len(top.by_class[0]) == 2
    assert list(every.by_class[0])[:2] == list(top.by_class[0])
    assert sum(every.by_class[0].values()) == pytest.approx(1)
    assert unsure.labels == ("unknown",)
    assert unsure.confidences == plain.confidences


def test_a_white_level_is_that_of_the_request(joint: Path, tmp_path: Path) -> None:
    """Twelve bits in sixteen are seen on their own scale, and written back on it."""
    pixels = np.random.default_rng(0).random((1, 32, 32), dtype=np.float32)
    full = save_image(tmp_path / "full.png", side=32, bit_depth=16)
    deep = tmp_path / "deep.png"
    write_image(deep, DecodedImage(pixels, None, 16, "grey", white=4095.0))
    rows = [
        rows_of(Job(package=joint, paths=[path], out=tmp_path / path.stem, white=white))[path.name]
        for path, white in ((full, None), (deep, 4095.0))
    ]
    assert rows[0].confidences == pytest.approx(rows[1].confidences, abs=1e-3)
    denoised = [read_image(Path(row.denoised or ""), white=65535.0).pixels for row in rows]
    np.testing.assert_allclose(denoised[1] * 65535 / 4095, denoised[0], atol=1e-3)


def test_a_full_disk_stops_the_job_with_its_reason(
    unet: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every other image would fail as well; what is done stays done."""

    def full(path: Path, frames: object, num_frames: int) -> None:
        del frames, num_frames
        if path.name == "deep.png":
            raise DataError(f"cannot write {path}") from OSError(28, "No space left on device")

    monkeypatch.setattr("tapetum.runtime.bulk.files.write_frames", full)
    job = Job(package=unet, paths=[folder], out=tmp_path / "out")
    with pytest.raises(DataError, match=r"cannot write .*deep\.png"):
        run_job(job, ONE)
    assert [row.name for row in read_rows(job.out)] == ["a/x.png", "b/x.png"]


def test_boxes_of_one_name_are_told_apart_by_folder(
    boxed: Path, folder: Path, tmp_path: Path
) -> None:
    """The path in the given folder counts first, the file name alone after it."""
    counts = {"a/x.png": 1, "x.png": 2, "deep.png": 3}
    boxes = {name: np.float32([[0, 0, 14, 14]] * count) for name, count in counts.items()}
    rows = rows_of(Job(package=boxed, paths=[folder], out=tmp_path / "out", boxes=boxes))
    assert [len(row.labels) for row in rows.values()] == [1, 2, 3]


def test_boxes_that_are_missing_altogether_stop_the_job(
    boxed: Path, folder: Path, tmp_path: Path
) -> None:
    """One sentence before anything is written, not one for each image."""
    job = Job(package=boxed, paths=[folder], out=tmp_path / "out")
    with pytest.raises(InputError, match=r"classifies boxes, .*--boxes FILE\.json$"):
        run_job(job, ONE)
    assert not job.out.exists()


def test_paths_that_do_not_exist_are_no_job(unet: Path, tmp_path: Path) -> None:
    """All of them are named, and nothing is written."""
    job = Job(package=unet, paths=[tmp_path / "a", tmp_path / "b"], out=tmp_path / "out")
    with pytest.raises(InputError, match=r"there is no .*/a and no .*/b; check the path"):
        run_job(job, ONE)
    assert not job.out.exists()


def test_boxes_are_read_by_the_name_of_the_image(boxed: Path, folder: Path, tmp_path: Path) -> None:
    """An image has a label for each box, an empty list none, and one that is not listed fails."""
    listed = {"deep.png": [[0, 0, 14, 14]] * 3, "b/x.png": []}
    (tmp_path / "boxes.json").write_text(json.dumps(listed))
    boxes = read_boxes(tmp_path / "boxes.json")
    rows = rows_of(Job(package=boxed, paths=[folder], out=tmp_path / "out", boxes=boxes))
    assert len(rows["deep.png"].labels) == 3
    assert (rows["b/x.png"].error, rows["b/x.png"].labels) == (None, ())
    assert "classifies boxes, but none are listed for a/x.png" in (rows["a/x.png"].error or "")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"a.png": "left"}',
        '{"a.png": [[1], [1, 2]]}',
        '{"a.png": [[1, 2, 3]]}',
        '{"a.png": [[]]}',
    ],
)
def test_a_file_that_lists_no_boxes_is_refused(text: str, tmp_path: Path) -> None:
    """One sentence with the form that is expected."""
    (tmp_path / "boxes.json").write_text(text)
    with pytest.raises(InputError, match=r"does not list boxes .*image\.png|is not JSON"):
        read_boxes(tmp_path / "boxes.json")


@pytest.mark.parametrize("place", [".", ".."])
def test_images_are_never_replaced_by_their_denoised_form(
    place: str, unet: Path, folder: Path
) -> None:
    """Not even where overwriting was allowed."""
    before = (folder / "deep.png").read_bytes()
    job = Job(package=unet, paths=[folder / "deep.png"], out=folder / place)
    with pytest.raises(InputError, match="choose another --out"):
        run_job(job, ONE, overwrite=True)
    assert (folder / "deep.png").read_bytes() == before


def test_a_folder_without_an_image_is_refused(unet: Path, tmp_path: Path) -> None:
    """With the reason for what is there, and before anything is written."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("hello")
    job = Job(package=unet, paths=[tmp_path / "in"], out=tmp_path / "out")
    with pytest.raises(DataError, match=r"no image in .*notes\.txt: its content is not an image"):
        run_job(job, ONE)
    assert not job.out.exists()


def test_boxes_without_effect_are_refused(joint: Path, folder: Path, tmp_path: Path) -> None:
    """A network that labels whole images does not pass over boxes without a word."""
    boxes = {"deep.png": np.ones((1, 4), np.float32)}
    with pytest.raises(InputError, match=r"boxes were given.*leave out --boxes"):
        run_job(Job(package=joint, paths=[folder], out=tmp_path / "out", boxes=boxes), ONE)
    assert not (tmp_path / "out").exists()


def test_a_job_in_vain_makes_room_for_the_next(
    unet: Path, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """After a file that is no image the corrected command works and says so; all else is kept."""
    (tmp_path / "none.png").write_text("no image")
    wrong = Job(package=unet, paths=[tmp_path / "none.png"], out=tmp_path / "out")
    right = Job(package=unet, paths=[folder / "deep.png"], out=tmp_path / "out")
    assert rows_of(wrong)["none.png"].error
    (right.out / "mine.txt").touch()
    with pytest.raises(InputError, match="already contains"):
        run_job(right, ONE)
    (right.out / "mine.txt").unlink()
    assert not caplog.messages
    assert rows_of(right)["deep.png"].error is None
    assert caplog.messages == [f"the earlier job in {right.out} predicted no image: it is replaced"]
    with pytest.raises(InputError, match="already contains"):
        run_job(wrong, ONE)


def test_a_change_of_colour_is_a_warning_of_the_row(unet: Path, tmp_path: Path) -> None:
    """A network for grey makes a grey image of an RGB file, and says so."""
    pixels = np.full((3, 16, 16), 0.5, np.float32)
    write_image(tmp_path / "rgb.png", DecodedImage(pixels, None, 8, "rgb"))
    rows = rows_of(Job(package=unet, paths=[tmp_path / "rgb.png"], out=tmp_path / "out"))
    assert rows["rgb.png"].warnings == (
        "the denoised image is grey, as the network is, and not RGB",
    )


def test_useless_labels_of_a_package_are_warned_of_in_the_summary(
    folder: Path, tmp_path: Path
) -> None:
    """Once for all images that were labelled, and not where nothing is."""
    mean = ScoreRow(title="mean", noise=None, num_images=9, accuracy=0.6)
    confusion = {"class 0": {"class 0": 6}, "class 1": {"class 0": 3}}
    fields = {"protocol": "camera", "seed": 0, "source": "", "rows": (mean,), "mean": mean}
    options = {"num_classes": 3, "boxes": False, "scores": Scores(**fields, confusion=confusion)}
    package = package_in(tmp_path, "dc-net-reduced-integrated", **options)
    job = Job(package=package, paths=[folder], out=tmp_path / "out")
    summary = run_job(job, ONE)
    assert summary is not None
    said = "do not rely on the label: on held-out images the network classifies every image as"
    assert [(text.startswith(said), count) for text, count in summary.warnings.items()] == [
        (True, 3)
    ]
    assert not any(row.warnings for row in read_rows(job.out))
    image = run_job(replace(job, out=tmp_path / "image", mode="image"), ONE)
    assert image is not None
    assert not image.warnings
