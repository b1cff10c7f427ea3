"""The guides of the devices: their commands do what they say, as they are written."""

import shlex
import shutil
from importlib.util import find_spec
from pathlib import Path

import house
import pytest

from drawn_videos import save_video
from tapetum.errors import MissingExtraError
from tapetum.formats.chromium import find_chromium
from tapetum.formats.webruntime import find_web_runtime
from test_cli import package, photos, run, trained
from test_docs import typed_commands

__all__ = ["package", "photos", "trained"]  # the fixtures

PAGES = ("android", "browser", "deploy", "raspberry-pi", "video", "x86-openvino")
COMMANDS = ("benchmark", "evaluate", "export", "predict")  # others train for minutes, or serve
ELSEWHERE = ("--source 0", "rtsp://")  # what this machine does not have, as the guide says


def commands_of(page: str) -> list[list[str]]:
    """The words of the commands of a guide that end by themselves; files are written first."""
    text = (house.ROOT / "docs" / "guides" / f"{page}.md").read_text()
    found = [line for line in typed_commands(text) if not any(one in line for one in ELSEWHERE)]
    words = [shlex.split(line)[1:] for line in found]
    whole = [one for one in words if one[0] in COMMANDS and len(one) > 2 and one[1] != "--source"]
    return sorted(whole, key=lambda one: one[0] != "export")


def is_possible(words: list[str]) -> bool:
    """Whether what a command needs is installed here; a page needs npm's files and a browser."""
    if any(word.endswith(".pte") for word in words):
        return find_spec("executorch") is not None
    if not any(word.endswith(".html") for word in words):
        return True
    try:
        find_web_runtime(None)
    except MissingExtraError:
        return False
    return find_chromium() is not None


def test_each_guide_has_commands() -> None:
    """Otherwise the test below would run none."""
    assert {page: bool(commands_of(page)) for page in PAGES} == dict.fromkeys(PAGES, True)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_guide_work(
    page: str,
    photos: Path,
    trained: Path,
    package: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a folder with a run, its images and its package; what they name is written."""
    possible = [words for words in commands_of(page) if is_possible(words)]
    if not possible:
        pytest.skip("what this guide needs is not installed here")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(photos, "photos")
    shutil.copytree(trained, "runs/photos")
    shutil.copy(package, "model.tapetum")
    save_video(Path("night.mp4"), size=(32, 48), sound="aac")
    for words in possible:
        shutil.copy(package, "photos.tapetum")
        out = Path(words[words.index("--out") + 1]) if "--out" in words else None
        if out is not None and "--overwrite" not in words:
            shutil.rmtree(out) if out.is_dir() else out.unlink(missing_ok=True)
            Path(f"{out}.json").unlink(missing_ok=True)
            for rest in (".bin", ".csv"):
                out.with_suffix(rest).unlink(missing_ok=True)
        done = run(*words, *(("--seconds", 0.2) if words[0] == "benchmark" else ()))
        allowed = {0, 1} if any(word.startswith(("--max-", "--target-")) for word in words) else {0}
        assert done.exit_code in allowed, (words, done.output, done.stderr)
        assert out is None or out.exists()
