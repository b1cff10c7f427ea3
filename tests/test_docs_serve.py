"""The guide and the container file of the server: their commands, as they are written."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import house
import pytest
from PIL import Image

from serve_load import counted, running
from test_docs import unknown_parts
from tiny_package import tiny_package

GUIDE = house.ROOT / "docs" / "guides" / "serve.md"
CONTAINER = house.ROOT / "serve.Dockerfile"
ADDRESS = "http://127.0.0.1:8000"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_requests_of_the_guide_are_answered(tmp_path: Path) -> None:
    """Every line with curl; the server then stops on a signal, as the guide says."""
    package = tiny_package(tmp_path / "model.tapetum")
    Image.effect_noise((40, 50), 64).save(tmp_path / "night.png")
    lines = re.findall(r"^curl .*$", GUIDE.read_text(), re.MULTILINE)
    assert len(lines) >= 9
    with running(package) as server:
        for line in lines:
            (tmp_path / "denoised.png").unlink(missing_ok=True)
            asked = f"curl -sS --fail {line.replace(ADDRESS, server.url).removeprefix('curl')}"
            done = subprocess.run(asked, shell=True, cwd=tmp_path, capture_output=True, check=False)  # noqa: S602 - a line of ours
            assert done.returncode == 0, (line, done.stderr)
            if "denoised.png" in line:
                with Image.open(tmp_path / "denoised.png") as image:
                    assert image.size == (40, 50)
            elif "/v1/" in line or line.endswith("z"):
                json.loads(done.stdout)
        num_images = sum("night.png" in line for line in lines)
        server.process.terminate()
        assert counted(server) == (num_images, num_images)
    assert server.process.returncode == 0


def test_the_command_of_the_container_exists() -> None:
    """Its options are those of ``tapetum serve``."""
    text = CONTAINER.read_text()
    start, arguments = (
        json.loads(re.findall(rf"^{word} (\[.*\])$", text, re.MULTILINE)[0])
        for word in ("ENTRYPOINT", "CMD")
    )
    assert unknown_parts(" ".join([*start, *arguments])) == []
    assert start[:2] == ["tapetum", "serve"]


def test_the_container_installs_what_there_is() -> None:
    """The files that it copies exist, and so does the extra that it installs."""
    text = CONTAINER.read_text()
    copied = re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE)
    assert all((house.ROOT / name).exists() for line in copied for name in line.split())
    settings = tomllib.loads((house.ROOT / "pyproject.toml").read_text())["project"]
    assert settings["readme"] in copied[0].split()
    (extra,) = re.findall(r"/source\[(\w+)\]", text)
    assert extra in settings["optional-dependencies"]
