"""Laws of resumable folders: request first, result last, and every kill can be continued."""

import contextlib
import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import pytest

from tapetum.errors import RunError
from tapetum.records import Folder, FolderKind, Record, write_atomically
from tapetum.records.files import is_part_file
from tapetum.records.version import made_by


class Request(Record):
    """What was requested."""

    format: Literal["tapetum-test"] = "tapetum-test"
    epochs: int


class Result(Record):
    """How it ended."""

    loss: float


WORK = FolderKind("job", Request, Result, "tapetum work")


class _KilledError(BaseException):
    """Stands for a SIGKILL."""


def test_the_request_comes_back(tmp_path: Path) -> None:
    """What was requested is read again, and the work is unfinished."""
    WORK.start(tmp_path / "job", Request(epochs=3))
    folder = WORK.open(tmp_path / "job")
    assert folder.request == Request(epochs=3)
    assert not folder.is_finished
    with pytest.raises(RunError, match="not finished; continue it with --resume"):
        folder.result()


def test_finished_work_is_not_resumed(tmp_path: Path) -> None:
    """The result is there, and continuing is refused."""
    folder = WORK.start(tmp_path / "job", Request(epochs=3))
    folder.finish(Result(loss=0.5))
    assert WORK.open(tmp_path / "job").result() == Result(loss=0.5)
    with pytest.raises(RunError, match="nothing to resume"):
        folder.require_unfinished()


def test_finished_work_goes_on_as_a_larger_request(tmp_path: Path) -> None:
    """What was made stays; work of any other request is left as it is."""
    path = tmp_path / "job"
    folder = WORK.start(path, Request(epochs=3))
    (path / "half.txt").write_text("half")
    folder.finish(Result(loss=0.5))
    WORK.extend(path, Request(epochs=9), smaller=Request(epochs=4))
    assert WORK.open(path).result() == Result(loss=0.5)
    WORK.extend(path, Request(epochs=6), smaller=Request(epochs=3))
    with WORK.work(path, Request(epochs=6), resume=True) as larger:
        assert not larger.is_finished
        assert (path / "half.txt").read_text() == "half"


def test_older_work_stays_unless_it_may_go(tmp_path: Path) -> None:
    """New work in the same folder needs --resume for the same request, or --overwrite."""
    path = tmp_path / "job"
    WORK.start(path, Request(epochs=3))
    (path / "notes.txt").write_text("kept")
    with pytest.raises(RunError, match=r"already contains a job; continue it with --resume"):
        WORK.start(path, Request(epochs=3))
    assert WORK.start(path, Request(epochs=3), resume=True).request.epochs == 3
    with pytest.raises(RunError, match="another request: epochs was 3, is 4"):
        WORK.start(path, Request(epochs=4), resume=True)
    assert (path / "notes.txt").exists()
    assert WORK.start(path, Request(epochs=4), overwrite=True).request.epochs == 4
    assert [entry.name for entry in path.iterdir()] == ["request.json"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["job"]


def test_work_is_continued_or_replaced_and_not_both(tmp_path: Path) -> None:
    """What is there stays."""
    WORK.start(tmp_path / "job", Request(epochs=3))
    with pytest.raises(RunError, match=r"continues what is there.*; give one of them"):
        WORK.require_free(tmp_path / "job", resume=True, overwrite=True)
    with pytest.raises(RunError, match="give one of them"):
        WORK.start(tmp_path / "job", Request(epochs=3), resume=True, overwrite=True)
    assert WORK.open(tmp_path / "job").request.epochs == 3


def test_a_folder_of_anything_else_is_left_alone(tmp_path: Path) -> None:
    """Neither --resume nor --overwrite touch what is not such work."""
    path = tmp_path / "job"
    path.mkdir()
    (path / "request.json").write_text('{"format": "something else"}')
    for options in ({}, {"resume": True}, {"overwrite": True}):
        with pytest.raises(RunError, match="left alone; choose another --out"):
            WORK.start(path, Request(epochs=3), **options)
    with pytest.raises(RunError, match="give a folder that 'tapetum work --out' has made"):
        WORK.open(tmp_path)


def test_work_of_another_kind_is_not_called_damaged(tmp_path: Path) -> None:
    """The request of another command says so by its format."""
    (tmp_path / "request.json").write_text('{"format": "tapetum-other", "schema_version": 1}')
    assert not WORK.is_at(tmp_path)
    with pytest.raises(RunError, match=f"not the folder of a {WORK.name}: .* of another kind"):
        WORK.open(tmp_path)


def test_work_that_has_made_nothing_needs_no_resume(tmp_path: Path) -> None:
    """The same command, or another, starts in a folder that holds nothing but a request."""
    for epochs in (3, 3, 4):
        WORK.start(tmp_path / "job", Request(epochs=epochs))
    assert WORK.open(tmp_path / "job").request == Request(epochs=4)


def test_a_step_is_done_once(tmp_path: Path) -> None:
    """The record of a step is made once and read from then on."""
    folder = WORK.start(tmp_path / "job", Request(epochs=3))
    made: list[int] = []

    def make() -> Result:
        made.append(1)
        return Result(loss=len(made))

    found = [folder.once("step.json", Result, make) for _ in range(3)]
    assert found == [Result(loss=1)] * 3


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("step", range(8))
def test_a_kill_at_any_step_can_be_continued(
    step: int, overwrite: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever call to the file system is the last, the same command ends as without the kill."""
    path = tmp_path / "job"
    if overwrite:
        _work(path, Request(epochs=1))
    left = [step]

    def dies(call: str) -> None:
        original = getattr(os, call)

        def counted(*arguments: object, **options: object) -> object:
            left[0] -= 1
            if left[0] < 0:
                raise _KilledError
            return original(*arguments, **options)

        monkeypatch.setattr(os, call, counted)

    with monkeypatch.context():
        for call in ("replace", "rename", "mkdir", "fsync"):
            dies(call)
        with contextlib.suppress(_KilledError):
            _work(path, Request(epochs=3), overwrite=overwrite)
    monkeypatch.undo()
    is_older = (path / "request.json").exists() and WORK.open(path).request.epochs == 1
    folder = _work(path, Request(epochs=3), resume=not is_older, overwrite=is_older)
    assert folder.result() == Result(loss=1.0)
    assert sorted(entry.name for entry in path.iterdir()) == [
        "request.json",
        "result.json",
        "step.json",
    ]


def _work(
    path: Path, request: Request, *, resume: bool = False, overwrite: bool = False
) -> Folder[Request, Result]:
    folder = WORK.start(path, request, resume=resume, overwrite=overwrite)
    folder.sweep()
    if not folder.is_finished:
        folder.once("step.json", Result, lambda: Result(loss=2.0))
        folder.finish(Result(loss=1.0))
    return folder


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    """The temporary name is no longer than the file system allows, whatever the name."""
    path = tmp_path / ("n" * 255)
    write_atomically(path, b"content")
    assert path.read_bytes() == b"content"


def test_a_killed_writer_leaves_nothing_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a kill has left of a file goes when the file is written again."""
    path = tmp_path / "model.tapetum"

    def die(*_: object, **__: object) -> None:
        raise _KilledError

    for call in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, die)
            patch.setattr(Path, "unlink", die)
            with pytest.raises(_KilledError):
                write_atomically(path, b"old content, and longer")
        (part,) = tmp_path.iterdir()
        assert is_part_file(part)
        write_atomically(path, b"content")
        assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [
            (path.name, b"content")
        ]
        path.unlink()


def test_many_writers_of_one_file_leave_one_whole_file(tmp_path: Path) -> None:
    """Beside each other they never write into the file of another."""
    contents = {bytes([letter]) * 50_000 for letter in range(65, 73)}

    def write(content: bytes) -> None:
        for _ in range(20):
            write_atomically(tmp_path / "state", content)
            assert (tmp_path / "state").read_bytes() in contents

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, contents))
    assert [entry.name for entry in tmp_path.iterdir()] == ["state"]


def test_a_resume_of_nothing_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Work that was killed before its request, or that is mistyped, starts from the beginning."""
    WORK.note_start(tmp_path / "job")
    assert "holds no job to resume: it starts from the beginning" in caplog.text
    caplog.clear()
    WORK.start(tmp_path / "job", Request(epochs=3), resume=True)
    WORK.note_start(tmp_path / "job")
    assert not caplog.text


def test_a_folder_in_use_is_known_before_any_work(tmp_path: Path) -> None:
    """To continue or to replace it is no remedy while it is written."""
    path = tmp_path / "job"
    WORK.require_idle(path)
    with (
        WORK.work(path, Request(epochs=3)),
        pytest.raises(RunError, match="another command is writing to"),
    ):
        WORK.require_idle(path)
    WORK.require_idle(path)


class Step(Record):
    """What a step has found."""

    schema_version: Literal[2] = 2
    found: int = 1


@pytest.mark.parametrize(
    ("maker", "said"),
    [
        ("tapetum 9.9.9 (commit 1234567)", "by tapetum 9.9.9"),
        (None, "by an older version of tapetum"),
    ],
)
@pytest.mark.parametrize("file", ["request.json", "step.json", "race/pieces/one.json"])
def test_a_folder_of_another_version_says_which_one(
    tmp_path: Path, maker: str | None, said: str, file: str
) -> None:
    """Whatever file it is: both versions, and what to do, instead of the fields that differ."""
    path = tmp_path / "job"
    WORK.start(path, Request(epochs=3))
    request = json.loads((path / "request.json").read_text())
    assert request.pop("made_by") == made_by()
    if maker:
        request["made_by"] = maker
    (path / "request.json").write_text(json.dumps(request))
    (path / file).parent.mkdir(parents=True, exist_ok=True)
    values = {**(request if file == "request.json" else {}), "schema_version": 1, "old": True}
    (path / file).write_text(json.dumps(values))
    with pytest.raises(RunError) as raised:
        WORK.open(path).once(file, Step, Step)
    for part in (said, made_by(), "--overwrite", "another --out", "finished packages still work"):
        assert part in str(raised.value)
    assert "fields" not in str(raised.value)


def test_a_damaged_file_of_this_version_is_called_damaged(tmp_path: Path) -> None:
    """Nobody has to look for another version, nor correct fields by hand."""
    folder = WORK.start(tmp_path / "job", Request(epochs=3))
    (folder.path / "step.json").write_text("{}")
    assert folder.once("step.json", Step, Step) == Step()
    (folder.path / "step.json").write_text('{"found": "much"}')
    with pytest.raises(RunError, match=r"step\.json is damaged: .*found.*--overwrite"):
        folder.once("step.json", Step, Step)


def test_another_request_of_another_version_names_it(tmp_path: Path) -> None:
    """A default that has changed since is not taken for a wish of the user."""
    path = tmp_path / "job"
    WORK.start(path, Request(epochs=3))
    request = json.loads((path / "request.json").read_text()) | {"made_by": "tapetum 0.0.1"}
    (path / "request.json").write_text(json.dumps(request))
    with pytest.raises(
        RunError, match=r"started by tapetum 0\.0\.1 with another request.*--overwrite"
    ):
        WORK.start(path, Request(epochs=4), resume=True)


@pytest.mark.parametrize("has_begun", [True, False])
def test_an_interrupt_says_that_work_can_be_continued(has_begun: bool, tmp_path: Path) -> None:
    """In a note, where there is any work."""

    def work() -> None:
        with WORK.work(tmp_path / "job", Request(epochs=3)) as folder:
            if has_begun:
                (folder.path / "part.txt").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as interrupted:
        work()
    notes = getattr(interrupted.value, "__notes__", [])
    said = f"what is done is kept in {tmp_path / 'job'}; repeat the command with --resume"
    assert [note.startswith(said) for note in notes] == has_begun * [True]


def test_a_file_system_without_locks_gets_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No empty hidden file is left beside it."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr("tapetum.records.files.fcntl.flock", refuse)
    write_atomically(tmp_path / "state", b"content")
    assert [entry.name for entry in tmp_path.iterdir()] == ["state"]


def test_what_a_killed_export_left_in_a_folder_is_removed(tmp_path: Path) -> None:
    """It is a hidden folder, which is swept like a hidden file."""
    folder = WORK.start(tmp_path / "job", Request(epochs=3))
    (folder.path / ".0123-export.part").mkdir()
    (folder.path / ".0123-export.part" / "net.onnx").write_bytes(b"")
    (folder.path / ".4567.part").write_bytes(b"")
    folder.sweep()
    assert not [entry for entry in folder.path.iterdir() if entry.suffix == ".part"]
