"""Laws of many images at once: every image has its row and its place, none is lost."""

import json
from pathlib import Path

import numpy as np
import pytest

from tapetum.arch import find_architecture
from tapetum.errors import DataError, InputError
from tapetum.graph import random_weights, write_graph
from tapetum.noise import Gaussian
from tapetum.runtime import DecodedImage, Manifest, Package, Predictor, write_image
from tapetum.runtime.bulk import Job, PredictionRow, read_boxes, run_job, scale_note
from tapetum.runtime.image import read_image
from tapetum.scores import ScoreRow, Scores


def predictor_of(name: str, *, channels: int = 1) -> Predictor:
    """A named network with random weights, opened."""
    architecture = find_architecture(name, channels=channels)
    classes = [str(digit) for digit in range(10)] if architecture.classifier else []
    model = write_graph(architecture, random_weights(architecture, seed=0))
    manifest = Manifest.of(architecture, size_px=64, class_names=classes)
    return Predictor(Package(manifest, model.SerializeToString(), ""), threads=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images of one name in two folders, and one of 16 bits."""
    generator = np.random.default_rng(0)
    for name, bit_depth in (("a/x.png", 8), ("b/x.png", 8), ("deep.png", 16)):
        pixels = generator.random((1, 40, 40), dtype=np.float32)
        write_image(tmp_path / "in" / name, DecodedImage(pixels, None, bit_depth, "grey"))
    return tmp_path / "in"


def test_a_folder_keeps_its_shape(folder: Path, tmp_path: Path) -> None:
    """Every image is denoised into the same sub-folder, as deep as it was."""
    rows = run_job(predictor_of("unet-s"), Job([folder], tmp_path / "out"))
    found = [Path(row.denoised).relative_to(tmp_path / "out") for row in rows if row.denoised]
    assert sorted(map(str, found)) == ["a/x.png", "b/x.png", "deep.png"]
    assert read_image(tmp_path / "out" / "deep.png").bit_depth == 16


def test_names_that_meet_are_told_apart(folder: Path, tmp_path: Path) -> None:
    """Two images of one name from two places do not replace each other."""
    images = [folder / "a" / "x.png", folder / "b" / "x.png"]
    rows = run_job(predictor_of("unet-s"), Job(images, tmp_path / "out"))
    assert len({row.denoised for row in rows}) == 2


def test_equal_seeds_add_equal_noise(folder: Path, tmp_path: Path) -> None:
    """The noisy images are the same again, and others with another seed."""
    noisy = []
    for index, seed in enumerate((1, 1, 2)):
        job = Job([folder / "deep.png"], tmp_path / str(index), Gaussian(sigma=0.2), seed=seed)
        row = run_job(predictor_of("unet-s"), job)[0]
        noisy.append(read_image(Path(row.noisy or "")).pixels)
    assert np.array_equal(noisy[0], noisy[1])
    assert not np.array_equal(noisy[0], noisy[2])


def save(path: Path) -> None:
    """Writes a random grey image."""
    pixels = np.random.default_rng(0).random((1, 40, 40), dtype=np.float32)
    write_image(path, DecodedImage(pixels, None, 8, "grey"))


@pytest.mark.parametrize(("channels", "suffix"), [(1, ".tif"), (3, ".tif"), (4, ".tif")])
def test_sixteen_bits_in_are_sixteen_bits_out(channels: int, suffix: str, tmp_path: Path) -> None:
    """A deep TIFF is denoised at its depth, and stays a TIFF."""
    tifffile = pytest.importorskip("tifffile")  # Pillow writes no deep colour
    samples = np.random.default_rng(0).integers(0, 2**16, (40, 40, channels), np.uint16)
    (tmp_path / "in").mkdir()
    tifffile.imwrite(
        tmp_path / "in" / "x.tif",
        samples[:, :, 0] if channels == 1 else samples,
        photometric="minisblack" if channels == 1 else "rgb",
        extrasamples=["unassalpha"] if channels == 4 else None,
    )
    job = Job([tmp_path / "in"], tmp_path / "out", Gaussian(sigma=0.1))
    row = run_job(predictor_of("unet-s", channels=min(channels, 3)), job)[0]
    assert row.error is None
    for name in (row.denoised, row.noisy):
        assert name is not None
        assert name.endswith(suffix)
        assert read_image(Path(name)).bit_depth == 16
        assert (read_image(Path(name)).alpha is None) == (channels != 4)


def test_an_image_that_changes_colour_keeps_its_ending(tmp_path: Path) -> None:
    """A colour network makes 16-bit colour of 16-bit grey, which a TIFF holds."""
    pixels = np.random.default_rng(0).random((1, 40, 40), dtype=np.float32)
    write_image(tmp_path / "x.tif", DecodedImage(pixels, None, 16, "grey"))
    job = Job([tmp_path / "x.tif"], tmp_path / "out", Gaussian(sigma=0.1))
    row = run_job(predictor_of("unet-s", channels=3), job)[0]
    assert (Path(row.noisy or "").name, Path(row.denoised or "").name) == ("x.noisy.tif", "x.tif")
    assert read_image(Path(row.denoised or "")).bit_depth == 16


@pytest.mark.parametrize("noise", [None, Gaussian(sigma=0.1)])
def test_results_are_not_sources(noise: Gaussian | None, tmp_path: Path) -> None:
    """Cleaning into a sub-folder again gives the same files, however often."""
    save(tmp_path / "photos" / "a" / "x.png")
    job = Job([tmp_path / "photos"], tmp_path / "photos" / "denoised", noise, overwrite=True)
    first = run_job(predictor_of("unet-s"), job)
    before = sorted(job.out.rglob("*"))
    assert run_job(predictor_of("unet-s"), job) != []
    assert sorted(job.out.rglob("*")) == before
    assert len(first) == 1


def test_a_folder_of_results_alone_has_no_image(tmp_path: Path) -> None:
    """Where all that is found is an earlier result, the sentence says where was looked."""
    save(tmp_path / "photos" / "denoised" / "x.png")
    job = Job([tmp_path / "photos"], tmp_path / "photos" / "denoised", overwrite=True)
    with pytest.raises(DataError, match=r"no image in .*photos outside of .*denoised"):
        run_job(predictor_of("unet-s"), job)


@pytest.mark.parametrize("names", [("x.png", "x.noisy.png"), ("x.png", "x.tif", "x.noisy.tif")])
def test_no_result_replaces_another(names: tuple[str, ...], tmp_path: Path) -> None:
    """Denoised and noisy images all have files of their own, whatever sources are called."""
    for name in names:
        save(tmp_path / "in" / name)
    job = Job([tmp_path / "in"], tmp_path / "out", Gaussian(sigma=0.1))
    rows = run_job(predictor_of("unet-s"), job)
    written = {name for row in rows for name in (row.denoised, row.noisy)}
    assert len(written) == 2 * len(names)
    assert {str(path) for path in (tmp_path / "out").iterdir()} - written == {
        str(tmp_path / "out" / "predictions.json")
    }


def test_boxes_of_one_name_are_told_apart_by_folder(folder: Path, tmp_path: Path) -> None:
    """The path in the given folder counts first, the file name alone after it."""
    rows_of = {"a/x.png": 1, "x.png": 2, "deep.png": 3}
    boxes = {name: np.float32([[0, 0, 28, 28]] * count) for name, count in rows_of.items()}
    rows = run_job(predictor_of("mb2.5-m"), Job([folder], tmp_path / "out", boxes=boxes))
    assert [len(row.labels) for row in rows] == [1, 2, 3]


def test_boxes_that_are_missing_altogether_stop_the_job(folder: Path, tmp_path: Path) -> None:
    """One sentence before anything is written, not one for each image."""
    job = Job([folder], tmp_path / "out")
    with pytest.raises(
        InputError, match=r"classifies boxes, .*--boxes FILE\.json, or .*--mode image"
    ):
        run_job(predictor_of("dc-net-reduced-integrated"), job)
    with pytest.raises(InputError, match=r"--boxes FILE\.json$"):
        run_job(predictor_of("mb2.5-m"), job)
    assert not job.out.exists()


def test_an_interrupted_job_lists_what_it_wrote(folder: Path, tmp_path: Path) -> None:
    """After the second image is interrupted there are two rows."""

    def interrupt(done: int, _total: int, _what: str) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_job(predictor_of("unet-s"), Job([folder], tmp_path / "out"), progress=interrupt)
    rows = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert [Path(row["denoised"]).is_file() for row in rows] == [True, True]


def test_boxes_are_read_by_the_name_of_the_image(folder: Path, tmp_path: Path) -> None:
    """An image with boxes gets a name for each; one without them gets a reason."""
    (tmp_path / "boxes.json").write_text(json.dumps({"deep.png": [[0, 0, 28, 28]] * 3}))
    job = Job([folder], tmp_path / "out", boxes=read_boxes(tmp_path / "boxes.json"))
    rows = {
        Path(row.image).relative_to(folder).as_posix(): row
        for row in run_job(predictor_of("mb2.5-m"), job)
    }
    assert len(rows["deep.png"].labels) == 3
    assert "classifies boxes, but none are listed for a/x.png" in (rows["a/x.png"].error or "")


@pytest.mark.parametrize("text", ["{", "[]", '{"a.png": "left"}', '{"a.png": [[1], [1, 2]]}'])
def test_a_file_that_lists_no_boxes_is_refused(text: str, tmp_path: Path) -> None:
    """One sentence with the form that is expected."""
    (tmp_path / "boxes.json").write_text(text)
    with pytest.raises(InputError, match=r"does not list boxes .*image\.png|is not JSON"):
        read_boxes(tmp_path / "boxes.json")


def test_images_are_never_replaced_by_their_denoised_form(folder: Path) -> None:
    """Not even where overwriting was allowed."""
    before = (folder / "deep.png").read_bytes()
    with pytest.raises(InputError, match="choose another --out"):
        run_job(predictor_of("unet-s"), Job([folder], folder, overwrite=True))
    assert (folder / "deep.png").read_bytes() == before


def row_of(width_px: int, height_px: int, *labels: str) -> PredictionRow:
    """The row of an image of that size."""
    return PredictionRow(image="x.png", width_px=width_px, height_px=height_px, labels=labels)


def manifest_of(name: str, *, boxes: bool, noise: Gaussian | None = None) -> Manifest:
    """The manifest of a network trained at 32 px, validated on pairs where ``noise`` is null."""
    architecture = find_architecture(name, num_classes=2, boxes=boxes)
    class_names = ["a", "b"] if architecture.classifier else []
    row = ScoreRow(title="", noise=noise, num_images=1)
    scores = Scores(protocol="camera", seed=0, source="one image", rows=(row,), mean=row)
    return Manifest.of(architecture, size_px=32, class_names=class_names, scores=scores)


def test_labels_at_another_scale_are_counted() -> None:
    """Larger and smaller images count once; the shorter side decides; failures do not count."""
    manifest = manifest_of("conv-s", boxes=False, noise=Gaussian(sigma=0))
    same = [row_of(32, 32, "a"), row_of(48, 32, "b"), PredictionRow(image="x", error="broken")]
    other = [row_of(320, 320, "a"), row_of(24, 32, "b")]
    assert scale_note(manifest, same) is None
    note = scale_note(manifest, [*same, *other])
    assert note is not None
    assert note.startswith("2 of 4 labels were made at another scale than was validated")
    assert "not 32 px" in note


def test_scale_matters_to_labels_of_whole_images_alone() -> None:
    """Nothing is said of boxes and of pairs, which are not resampled, nor without a label."""
    large, noise = [row_of(320, 320, "a")], Gaussian(sigma=0)
    assert scale_note(manifest_of("conv-s", boxes=False, noise=noise), large) is not None
    assert scale_note(manifest_of("conv-s", boxes=False), large) is None
    joint = manifest_of("dc-net-reduced-integrated", boxes=True, noise=noise)
    assert scale_note(joint, large) is None
    assert scale_note(manifest_of("conv-s", boxes=False, noise=noise), [row_of(9, 9)]) is None


def test_a_row_has_the_size_of_its_image(tmp_path: Path) -> None:
    """Width and height are those of the file, also where only a label was made."""
    pixels = np.zeros((1, 40, 56), np.float32)
    write_image(tmp_path / "x.png", DecodedImage(pixels, None, 8, "grey"))
    row = run_job(predictor_of("unet-s"), Job([tmp_path / "x.png"], tmp_path / "out"))[0]
    assert (row.width_px, row.height_px) == (56, 40)
