"""A bundle that is run on a device through ssh and scp, or here."""

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tapetum.errors import InputError
from tapetum.latency.bundle import run_here, run_over_ssh
from tapetum.latency.bundle.remote import _run
from test_latency_bundle import write

# Programs under the names of OpenSSH's, for a device that is a folder of this machine.
SSH = """#!/bin/sh
while [ "$1" != -- ]; do shift; done
test "$2" = pi@board || { echo "no route to $2" >&2; exit 255; }
cd "$DEVICE" && HOME="$DEVICE" exec sh -c "$3"
"""
SCP = """#!/bin/sh
while [ "$1" != -- ]; do shift; done
cd_() { case "$1" in *:*) echo "$DEVICE/${1#*:}";; *) echo "$1";; esac; }
exec cp "$(cd_ "$2")" "$(cd_ "$3")"
"""


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder of a device, which ssh reaches as pi@board."""
    programs, home = tmp_path / "bin", tmp_path / "home"
    programs.mkdir()
    home.mkdir()
    for name, text in {"ssh": SSH, "scp": SCP}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("DEVICE", str(home))
    return home


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small bundle."""
    path = tmp_path_factory.mktemp("bundle") / "bundle.zip"
    write(path)
    return path


def test_the_result_comes_back_and_the_device_is_left_clean(
    device: Path, bundle: Path, tmp_path: Path
) -> None:
    """What was copied there is removed once the result is here."""
    found = run_over_ssh(bundle, tmp_path / "pi.json", "pi@board", python=sys.executable)
    assert all(timing.num_rounds == 2 for _, timing in found.timed())
    assert (tmp_path / "pi.json").exists()
    assert not any(path.is_file() for path in device.rglob("*"))


def test_what_failed_on_the_device_can_be_repeated(
    device: Path, bundle: Path, tmp_path: Path
) -> None:
    """The bundle stays there; nothing is written here."""
    with pytest.raises(InputError, match="the bundle failed on pi@board"):
        run_over_ssh(bundle, tmp_path / "pi.json", "pi@board", python="no-python")
    assert not (tmp_path / "pi.json").exists()
    assert [path.name for path in device.rglob("*") if path.is_file()] == ["bundle.zip"]


@pytest.mark.parametrize("python", ["venv/bin/python", "~/venv/bin/python", "my venv/bin/python"])
def test_a_relative_python_is_sought_in_the_home_folder(
    python: str, device: Path, bundle: Path, tmp_path: Path
) -> None:
    """Wherever the bundle lies there; the program here notes what it is given."""
    place = device / python.removeprefix("~/")
    place.parent.mkdir(parents=True)
    place.write_text('#!/bin/sh\nls "$1" > "$HOME/ran"; exit 1\n')
    place.chmod(stat.S_IRWXU)
    with pytest.raises(InputError, match="the bundle failed on pi@board"):
        run_over_ssh(bundle, tmp_path / "pi.json", "pi@board", python=python)
    assert (device / "ran").read_text() == "bundle.zip\n"


@pytest.mark.parametrize(
    ("host", "said"), [("-oProxyCommand=x", "is no host"), ("other@board", "cannot be reached")]
)
@pytest.mark.usefixtures("device")
def test_a_host_that_is_none_is_refused(host: str, said: str, bundle: Path, tmp_path: Path) -> None:
    """An option in its place is not passed on."""
    with pytest.raises(InputError, match=said):
        run_over_ssh(bundle, tmp_path / "pi.json", host)


def test_a_measurement_here_continues_and_is_repeated_once_it_is_finished(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The result is there when all is timed; a result that is replaced is measured anew."""
    out, first = tmp_path / "here.json", list[Any]()

    def stop_after_a_round(command: list[str], fault: str) -> None:
        _run(command, fault)
        found = json.loads(Path(command[-1]).read_text())
        first.extend(rounds[0] for rounds in found["rounds"])
        found["rounds"] = [rounds[:1] for rounds in found["rounds"]]
        Path(command[-1]).write_text(json.dumps(found))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("tapetum.latency.bundle.remote._run", stop_after_a_round)
        with pytest.raises(KeyboardInterrupt):
            run_here(bundle, out)
    assert not out.exists()
    assert run_here(bundle, out).precisions == ("fp32", "int8")
    whole = json.loads(out.read_text())["rounds"]
    assert [rounds[0] for rounds in whole] == first
    assert all(len(rounds) == 2 for rounds in whole)
    run_here(bundle, out)
    assert all(rounds[0] not in first for rounds in json.loads(out.read_text())["rounds"])
    assert [*tmp_path.iterdir()] == [out]
    assert "copy it back" not in capfd.readouterr().err


SSHD = "/usr/sbin/sshd"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """A real server of ssh on this machine, with keys of its own: its port and the user's key."""
    if not Path(SSHD).exists() or os.geteuid() != 0:
        pytest.skip(
            "needs sshd, and the right to start it (Debian: apt-get install openssh-server)"
        )
    port = 21_908
    for name in ("host", "user"):
        key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)]
        subprocess.run(key, check=True)
    shutil.copy(tmp_path / "user.pub", tmp_path / "authorized")
    settings = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": tmp_path / "host",
        "AuthorizedKeysFile": tmp_path / "authorized",
        "StrictModes": "no",
        "UsePAM": "no",
        "PidFile": "none",
        "PasswordAuthentication": "no",
        "Subsystem": "sftp internal-sftp",
    }
    config = tmp_path / "sshd_config"
    config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    Path("/run/sshd").mkdir(exist_ok=True)
    command = [SSHD, "-D", "-e", "-f", str(config)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        try:
            assert b"listening" in said
            yield port, tmp_path / "user"
        finally:
            process.terminate()


@pytest.mark.slow
def test_a_real_server_of_ssh_is_used_in_the_same_way(
    server: tuple[int, Path], bundle: Path, tmp_path: Path
) -> None:
    """With its own port and key, given as options of ssh and scp."""
    port, key = server
    hosts = f"-oUserKnownHostsFile={tmp_path / 'known'}"
    options = [f"-oPort={port}", "-i", str(key), "-oStrictHostKeyChecking=no", hosts]
    found = run_over_ssh(
        bundle, tmp_path / "pi.json", "127.0.0.1", python=sys.executable, options=options
    )
    assert all(timing.num_rounds == 2 for _, timing in found.timed())
