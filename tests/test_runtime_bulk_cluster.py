"""A Ray cluster that is started here, with a stand-in for Ray."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tapetum.errors import InputError
from tapetum.runtime.bulk import ray_cluster

LONGEST = 103  # bytes of a socket's path on macOS; Linux has 107
SOCKET = "session_2026-11-30_12-00-00_123456_4194304/sockets/plasma_store"


def ray(monkeypatch: pytest.MonkeyPatch, fault: Exception | None = None) -> dict[str, Any]:
    """Put a stand-in for Ray in its place, and return what it is started with."""
    given: dict[str, Any] = {}

    def init(**options: Any) -> None:
        given.update(options)
        if fault is not None:
            raise fault

    module = SimpleNamespace(init=init, shutdown=lambda: None)
    monkeypatch.setitem(sys.modules, "ray", module)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    return given


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such sockets")
def test_the_sockets_of_ray_have_short_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the folder for temporary files is called; nothing stays there."""
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    given = ray(monkeypatch)
    with ray_cluster("local"):
        place = Path(given["_temp_dir"])
        assert place.is_dir()
        assert len(os.fsencode(f"/private{place}/{SOCKET}")) <= LONGEST
    assert not place.exists()


@pytest.mark.parametrize("fault", [OSError("path too long"), RuntimeError("path too long")])
@pytest.mark.parametrize(
    ("address", "said"),
    [("local", "Ray cannot be started here: path"), ("host:1", "cannot connect to .*'host:1'")],
)
def test_what_ray_says_is_told(
    address: str, said: str, fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of the system is no traceback; nobody is sent to where he has been."""
    ray(monkeypatch, fault)
    with pytest.raises(InputError, match=f"{said}.*too long") as error, ray_cluster(address):
        pass
    assert ("'local'" in error.value.remedy) == (address != "local")
