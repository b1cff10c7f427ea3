"""What a user of ``tapetum predict --source`` sees."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from drawn_videos import save_video, shown
from many_images import package_in, save_image
from tapetum.cli.app import app


def run(*arguments: object) -> Result:
    """Run one command in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that denoises and classifies whole images in colour."""
    folder = tmp_path_factory.mktemp("package")
    return package_in(folder, "dc-net-reduced-integrated", channels=3, num_classes=3, boxes=False)


def test_a_video_is_predicted_and_summed_up(package: Path, tmp_path: Path) -> None:
    """In a table for people, and in JSON for programs."""
    video, out = save_video(tmp_path / "in.mp4", 3), tmp_path / "out.mp4"
    told = run("predict", package, "--source", video, "--out", out)
    assert told.exit_code == 0, told.output
    for words in ("frames read", "frames dropped", "95 % within", str(out), "out.csv"):
        assert words in told.stdout
    asked = run("predict", package, "--source", video, "--out", out, "--overwrite", "--json")
    summary = json.loads(asked.stdout)["summary"]
    assert (summary["num_read"], summary["num_denoised"], summary["num_dropped"]) == (3, 3, 0)
    assert sum(summary["labels"].values()) == 3


def test_a_file_that_is_cut_off_has_its_own_exit_code(package: Path, tmp_path: Path) -> None:
    """3, as where some images failed."""
    video = save_video(tmp_path / "in.mkv", 30, codec="ffv1")
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    result = run("predict", package, "--source", video, "--out", tmp_path / "out.mp4")
    assert result.exit_code == 3
    assert "it is cut off" in result.stderr


def test_ctrl_c_keeps_what_was_done(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of which a part was done ends with the code of the signal, and can be played."""

    def press(pixels: Any, _: object) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return pixels

    monkeypatch.setattr("tapetum.runtime.video.run.draw", press)
    video, out = save_video(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    result = run("predict", package, "--source", video, "--out", out)
    assert result.exit_code == 130
    assert len(shown(out).frames) == 1


def test_options_of_images_are_refused_for_a_video(package: Path, tmp_path: Path) -> None:
    """Also the other way round, both at once, and none of both; nothing is written."""
    video, image = save_video(tmp_path / "in.mp4", 1), save_image(tmp_path / "x.png")
    out = tmp_path / "out.mp4"
    for words, said in (
        (["--source", video, "--workers", 2, "--resume"], "a video takes no --resume, --workers"),
        ([image, "--every", 1], "images take no --every"),
        ([image, "--source", video], "images and a video were given"),
        ([video], f"in.mp4 is a video; give it as --source {tmp_path}"),
        ([], "neither images nor a video were given"),
    ):
        result = run("predict", package, *words, "--out", out)
        assert result.exit_code == 2
        assert said in result.stderr
    assert not out.exists()


def test_options_of_labels_are_refused_where_none_is_computed(
    package: Path, tmp_path: Path
) -> None:
    """Nothing is written."""
    video, out = save_video(tmp_path / "in.mp4", 1), tmp_path / "out.mp4"
    for option in (["--probabilities"], ["--stabilise-label", 1], ["--reject-below", 0.5]):
        result = run(
            "predict", package, "--source", video, "--mode", "image", *option, "--out", out
        )
        assert result.exit_code == 2
        assert f"{option[0]} has no effect: no label is computed" in result.stderr
    assert not out.exists()
