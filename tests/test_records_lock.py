"""Laws of locks: one command at a time in a folder, for as long as its process lives."""

import os
import signal
import sys
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from tapetum.errors import RunError
from tapetum.records import hold, hold_name
from test_records_folder import WORK, Request

REFUSED = "another command is writing to .*; wait for it, or choose another --out"
OPTIONS = ({}, {"resume": True}, {"overwrite": True})

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such lock")


@pytest.mark.parametrize("first", OPTIONS)
@pytest.mark.parametrize("second", OPTIONS)
def test_the_second_command_is_refused(
    first: dict[str, bool], second: dict[str, bool], tmp_path: Path
) -> None:
    """It is told so, changes nothing, and can work as soon as the first has ended."""
    path, request = tmp_path / "job", Request(epochs=3)
    for _ in range(2):
        with WORK.work(path, request, **(first or {"resume": True})) as folder:
            (path / "weights").write_bytes(b"1")
            with pytest.raises(RunError, match=REFUSED):
                WORK.start(path, request, **second)
            assert (path / "weights").read_bytes() == b"1"
            assert WORK.open(path) == folder
    WORK.start(path, request, resume=True)


def test_those_that_share_a_folder_keep_others_out(tmp_path: Path) -> None:
    """Several shards work beside each other, and nobody else."""
    path, request = tmp_path / "job", Request(epochs=3)
    share = partial(WORK.work, path, request, resume=True, shared=True)
    with share(), share(), pytest.raises(RunError, match=REFUSED):
        WORK.start(path, request, resume=True)


@pytest.mark.skipif(sys.platform != "linux", reason="the holder is forked")
@pytest.mark.parametrize("lock", [hold, hold_name])
def test_a_lock_dies_with_its_process(lock: object, tmp_path: Path) -> None:
    """After a SIGKILL the next command works, and leaves nothing."""
    path = tmp_path / "out"
    if lock is hold:
        path.mkdir()
    read, write = os.pipe()

    def held() -> AbstractContextManager[object]:
        return hold(path) if lock is hold else hold_name(path)

    child = os.fork()
    if not child:
        with held():
            os.write(write, b"1")
            signal.pause()
    os.read(read, 1)
    with pytest.raises(RunError, match=REFUSED):
        held().__enter__()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with held():
        pass
    assert [entry for entry in tmp_path.iterdir() if entry != path] == []
