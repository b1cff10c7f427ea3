"""What a user of ``tapetum serve`` sees before the server runs."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tapetum import serving
from tapetum.cli.app import app
from tapetum.provenance import usable_cores
from tiny_package import tiny_package


def run(*arguments: object) -> Result:
    """Run one command in this process."""
    return CliRunner().invoke(app, ["serve", *map(str, arguments)])


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package of random weights."""
    return tiny_package(tmp_path / "photos.tapetum")


def test_without_the_extra_it_says_what_to_install(package: Path) -> None:
    """In one sentence, with exit code 2."""
    code = (
        f"import sys; sys.modules['fastapi'] = None\n"
        f"from tapetum.cli.app import app; app(['serve', {str(package)!r}])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 2
    (sentence,) = result.stderr.splitlines()
    assert "fastapi" in sentence
    assert "pip install '.[serve]'" in sentence


def test_it_says_where_it_listens(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a sentence and, where wanted, as JSON; with the workers that the cores allow."""
    seen = {}

    def serve(service: serving.Service, listener: socket.socket, on_ready: object) -> None:
        seen["limits"], seen["port"] = service.limits, listener.getsockname()[1]
        on_ready()  # type: ignore[operator]

    monkeypatch.setattr(serving, "serve", serve)
    result = run(f"night={package}", "--port", 0, "--threads", 1, "--queue", 3, "--json")
    assert result.exit_code == 0, result.output
    url = f"http://127.0.0.1:{seen['port']}"
    workers = usable_cores()
    assert json.loads(result.stdout) == {"url": url, "models": ["night"], "workers": workers}
    assert f"night at {url}, {workers} at once" in result.stderr
    assert "--token-file" not in result.stderr
    assert seen["limits"] == serving.Limits(workers=workers, queue=3)


def test_an_open_server_is_warned_of(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where others reach it and no token is wanted; with a token there is no note."""
    monkeypatch.setattr(serving, "serve", lambda _, __, on_ready: on_ready())
    tokens = package.with_name("tokens.txt")
    tokens.write_text("0123456789abcdef\n")
    common = (package, "--host", "0.0.0.0", "--port", 0, "--threads", 1)  # noqa: S104 - is the case
    assert "set --token-file" in run(*common).stderr
    assert "set --token-file" not in run(*common, "--token-file", tokens).stderr


def test_a_taken_port_is_refused(package: Path) -> None:
    """With the port, and before any package is opened."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = run(package, "--port", port)
    assert result.exit_code == 2
    assert f"cannot listen on 127.0.0.1, port {port}: " in result.stderr
    assert result.stderr.count("127.0.0.1") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("none.tapetum",), "none.tapetum"),
        (("photos.tapetum", "photos.tapetum"), "two packages are called photos"),
        (("photos.tapetum", "--port", 70_000), "--port 70000 is not possible"),
        (("photos.tapetum", "--threads", 999), "999 threads"),
        (("photos.tapetum", "--token-file", "none.txt"), "none.txt"),
        (("photos.tapetum", "--host", "no.such.host.invalid"), "no.such.host.invalid"),
        (("photos.tapetum", "--host", "127.0.0..1"), "'127.0.0..1' is not an address or a name"),
        (
            ("photos.tapetum", "--host", f"{'a' * 64}.local"),
            "is not an address or a name of a host",
        ),
    ],
)
def test_what_is_impossible_is_one_sentence(
    package: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[object, ...], words: str
) -> None:
    """With exit code 2."""
    monkeypatch.chdir(package.parent)
    port = () if "--port" in arguments else ("--port", 0)
    result = run(*arguments, *port)
    assert result.exit_code == 2
    assert words in result.stderr
    assert os.linesep not in result.stderr.strip()
