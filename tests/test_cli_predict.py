"""What a user of ``tapetum predict`` sees: rows, reasons, a summary, and the right exit code."""

import json
from pathlib import Path

import pytest
from PIL import Image, ImageCms
from typer.testing import CliRunner, Result

from many_images import package_in, save_image, save_images
from tapetum.cli.app import app
from tapetum.images import read_image
from tapetum.runtime.bulk import read_rows


def run(*arguments: object) -> Result:
    """Run one command in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that denoises and classifies whole grey images."""
    folder = tmp_path_factory.mktemp("package")
    return package_in(folder, "dc-net-reduced-integrated", num_classes=3, boxes=False)


def test_each_image_has_files_and_a_row(package: Path, tmp_path: Path) -> None:
    """The JSON has what the folder has: rows, files and counts."""
    folder = save_images(tmp_path / "in", 6)
    out = tmp_path / "out"
    result = run("predict", package, folder, "--out", out, "--add-noise", 0.1, "--json")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert answer["images"] == [row.model_dump(mode="json") for row in read_rows(out)]
    summary = answer["summary"]
    assert summary == json.loads((out / "result.json").read_text())
    assert (summary["num_images"], sum(summary["labels"].values())) == (6, 6)
    for row in answer["images"]:
        written = [read_image(Path(row[key])) for key in ("denoised", "noisy")]
        assert [image.pixels.shape for image in written] == [(1, 16, 16)] * 2


def test_the_exit_code_tells_some_from_all_and_none(package: Path, tmp_path: Path) -> None:
    """0 where all were predicted, texts beside them or not; 3 where some failed; 2 where all."""
    good, bad = save_image(tmp_path / "good.png"), tmp_path / "bad.png"
    bad.write_bytes(good.read_bytes()[:60])
    (tmp_path / "with text").mkdir()
    save_image(tmp_path / "with text" / "x.png")
    (tmp_path / "with text" / "notes.txt").write_text("hello")
    cases = (([good], 0), ([tmp_path / "with text"], 0), ([good, bad], 3), ([bad], 2))
    for number, (paths, code) in enumerate(cases):
        result = run("predict", package, *paths, "--out", tmp_path / f"{number}")
        assert result.exit_code == code, result.output
        assert ("bad.png" in result.stderr) == (bad in paths)
        assert ("bad.png" in result.stdout) == (bad in paths)
        assert "cannot be read" not in result.stdout


def test_what_is_left_out_is_said_everywhere(package: Path, tmp_path: Path) -> None:
    """In the table, in the message and in the JSON; the reason stands once on the terminal."""
    save_image(tmp_path / "in" / "x.png")
    (tmp_path / "in" / "notes.txt").write_text("hello")
    told = run("predict", package, tmp_path / "in", "--out", tmp_path / "a")
    for words in (told.stdout, told.stderr):
        assert "notes.txt" in words
        assert "left out" in words
    reason = "its content is not an image"
    assert [words.count(reason) for words in (told.stdout, told.stderr)] == [0, 1]
    asked = run("predict", package, tmp_path / "in", "--out", tmp_path / "b", "--json")
    rows = {row["name"]: row for row in json.loads(asked.stdout)["images"]}
    assert "not an image" in rows["notes.txt"]["left_out"]


def test_what_was_changed_is_said_once(package: Path, tmp_path: Path) -> None:
    """A warning that several images share has one line with their number."""
    for index in range(3):
        image = Image.effect_noise((16, 16), 64).convert("RGB")
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        image.save(tmp_path / f"{index}.png", icc_profile=profile)
    paths = sorted(tmp_path.glob("*.png"))
    result = run("predict", package, *paths, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert result.stderr.count("note: 3 images: the colour profile was left out") == 1


def test_many_images_have_a_summary_and_no_table(package: Path, tmp_path: Path) -> None:
    """Above forty rows only counts, speed and labels are printed; failures are cut short."""
    folder = save_images(tmp_path / "in", 20)
    for index in range(25):
        (folder / f"bad-{index}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    result = run("predict", package, folder, "--out", tmp_path / "out")
    assert result.exit_code == 3
    assert "bad-7.png" not in result.stdout
    assert "images predicted" in result.stdout
    assert result.stderr.count("error: ") == 20
    assert "and 5 more that failed or were left out" in result.stderr


def test_names_cannot_control_the_terminal(package: Path, tmp_path: Path) -> None:
    """Escape sequences and newlines in names of files are shown, not obeyed."""
    save_image(tmp_path / "in" / "a\x1b[31m\nerror: b.png")
    (tmp_path / "in" / "c\x1b[2J\n.txt").write_text("hello")
    result = run("predict", package, tmp_path / "in", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    for words in (result.stdout, result.stderr):
        assert "\x1b" not in words
        assert not any(line.startswith("error:") for line in words.splitlines())


@pytest.mark.parametrize("mode", ["label", "image"])
def test_a_mode_gives_its_half_alone(mode: str, package: Path, tmp_path: Path) -> None:
    """Label-only writes no image; image-only gives no name."""
    image = save_image(tmp_path / "x.png")
    result = run("predict", package, image, "--out", tmp_path / mode, "--mode", mode, "--json")
    row = json.loads(result.stdout)["images"][0]
    assert bool(row["labels"]) == (mode == "label")
    assert bool(row["denoised"]) == (mode == "image")


def test_what_is_typed_again_is_told_how_to_go_on(package: Path, tmp_path: Path) -> None:
    """The message names --resume, and with it the same command ends with the same summary."""
    folder, out = save_images(tmp_path / "in", 3), tmp_path / "out"
    first = run("predict", package, folder, "--out", out, "--json")
    again = run("predict", package, folder, "--out", out)
    assert again.exit_code == 2
    assert "--resume" in again.stderr
    resumed = run("predict", package, folder, "--out", out, "--resume", "--json")
    assert json.loads(resumed.stdout)["images"] == json.loads(first.stdout)["images"]


def test_a_shard_shows_its_own_rows(package: Path, tmp_path: Path) -> None:
    """Together the shards show every image once, also after the last has joined them."""
    folder, out = save_images(tmp_path / "in", 9), tmp_path / "out"
    shown = [
        json.loads(
            run("predict", package, folder, "--out", out, "--shard", f"{k}/3", "--json").stdout
        )
        for k in (1, 2, 3)
    ]
    names = [row["name"] for answer in shown for row in answer["images"]]
    assert len(names) == len(set(names)) == 9
    assert sum(answer["summary"]["num_images"] for answer in shown) == 9


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--shard", "4"), "3/16"),
        (("--workers", "9999"), "9999 workers were requested, but this process may use"),
        (("--threads", "9999"), "9999 threads were requested, but this process may use"),
        (("--workers", "2", "--shard", "1/2"), "leave out"),
        (("--format", "xyz"), "xyz"),
    ],
)
def test_every_mistake_ends_in_one_sentence(
    options: tuple[str, ...], expected: str, package: Path, tmp_path: Path
) -> None:
    """What was asked, what was found, what to do next; nothing new is left on the disk."""
    image = save_image(tmp_path / "x.png")
    result = run("predict", package, image, "--out", tmp_path / "out", *options)
    assert result.exit_code == 2
    lines = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1, result.stderr
    assert expected in lines[0]
    assert not (tmp_path / "out").exists()
