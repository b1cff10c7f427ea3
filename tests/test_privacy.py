"""Nothing goes out and nothing is left: no socket, and no file but those that were requested."""

import os
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tiny_package import tiny_package

OURS = {"PYTHONPATH", "PATH", "OMP_NUM_THREADS", "LANG", "VIRTUAL_ENV"}
# A socket of the internet, or a look-up of a name through a file of the system.
OUTSIDE = re.compile(r"socket\(AF_INET|connect\(\d+, \{sa_family=AF_INET|/etc/resolv\.conf")
WAIT = "import time; time.sleep(3)"  # telemetry is sent in the background


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A fresh home folder."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def trace(code: str, home: Path, *, then: str = WAIT) -> str:
    """Runs Python in a fresh home; returns its calls of the network where they can be traced."""
    log = home.with_name("calls.txt")
    command = [sys.executable, "-c", f"{code}\n{then}"]
    if can_trace():
        calls = "trace=socket,connect,sendto,sendmsg,open,openat"
        command = ["strace", "-f", "-qq", "-e", calls, "-o", str(log), *command]
    environment = {name: os.environ[name] for name in OURS & os.environ.keys()}
    done = subprocess.run(
        command,
        env={**environment, "HOME": str(home), "TMPDIR": str(home), "USERPROFILE": str(home)},
        capture_output=True,
        text=True,
        check=False,
        cwd=home,
    )
    assert done.returncode == 0, done.stderr
    return log.read_text() if log.exists() else ""


def can_trace() -> bool:
    """Whether the calls of a process can be seen here."""
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-o", os.devnull, "true"], check=False).returncode == 0


def command(*arguments: object) -> str:
    """The Python code of a command, which ends without an exit."""
    words = ["tapetum", *map(str, arguments)]
    return (
        f"import sys; sys.argv = {words}\n"
        "from tapetum.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code"
    )


slow = partial(pytest.param, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    "name", ["library", *map(slow, ("predict", "benchmark", "openvino", "doctor"))]
)
def test_nothing_goes_out_and_nothing_is_left(name: str, home: Path) -> None:
    """Each use of a package, in a fresh home: no file in it, and no socket of the internet."""
    folder = home.parent
    package, image, out = (
        tiny_package(folder / "p.tapetum", "unet-s"),
        folder / "a.png",
        folder / "out",
    )
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30), np.uint8)
    Image.fromarray(pixels).save(image)
    timing = ("benchmark", package, "--threads", 1)
    code = {
        "predict": command("predict", package, image, "--out", out),
        "benchmark": command(*timing),
        "openvino": command(*timing, "--runtime", "openvino"),
        "doctor": command("doctor"),
        "library": f"import tapetum; tapetum.Predictor.open({str(package)!r})({str(image)!r})",
    }[name]
    calls = trace(code, home)
    assert OUTSIDE.findall(calls) == []
    assert [path.relative_to(home) for path in home.rglob("*") if path.is_file()] == []


def test_the_trace_would_see_a_socket(home: Path) -> None:
    """A law that cannot fail proves nothing."""
    if not can_trace():
        pytest.skip("strace is not installed, or not permitted")
    code = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()"
    assert OUTSIDE.search(trace(code, home, then=""))


@pytest.mark.slow
def test_a_training_leaves_only_a_cache_of_fonts(home: Path) -> None:
    """Matplotlib, which draws the report, keeps its fonts where the user keeps caches."""
    out = home.parent / "run"
    sizes = ("--train-count", 32, "--test-count", 8, "--epochs", 1, "--batch-size", 16)
    code = command("train", "mb1-s", "--data", "digits", "--out", out, *sizes)
    calls = trace(f"import os; os.environ['MALLOC_TOP_PAD_'] = '0'\n{code}", home)
    assert OUTSIDE.findall(calls) == []
    left = {path.relative_to(home) for path in home.rglob("*") if path.is_file()}
    assert all("matplotlib" in path.parts for path in left), left
