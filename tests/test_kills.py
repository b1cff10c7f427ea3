"""Real kills of every long job: what is resumed ends as what was never killed, and leaves nothing.

Each job runs in a process of its own, which is a fork of this one: torch is loaded once.  In the
usual tests it dies in this process instead, by an exception.
"""

import hashlib
import importlib
import os
import signal
import sys
import traceback
import zipfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from kills import count_steps, dies_at
from scripted_runtime import ScriptedRuntime
from tapetum.errors import InputError, RunError, TapetumError
from tapetum.jobs import export, train
from tapetum.latency import Effort, LatencyTable, measure_table
from tapetum.records import hold, hold_name
from tapetum.records.files import is_part_file
from tapetum.runtime.bulk import Execution, Job, run_job
from tapetum.search import SearchResult
from test_cli import photos
from test_jobs_fit import SPACE, fit_on
from test_latency_campaign import SHORT
from test_latency_table import CONDITIONS
from tiny_search import tiny_recipe, tiny_search, tiny_table
from tiny_training import tiny_recipe as tiny_training_recipe
from tiny_training import tiny_train

__all__ = ["photos"]  # the fixture

EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link"}
EXPORTED = f"{'n' * 200}.tapetum"
CHANGES = os.O_WRONLY | os.O_RDWR | os.O_CREAT

Essence = dict[str, object]


class Work(NamedTuple):
    """A long job: how it is done or continued, and what must not depend on a kill."""

    do: Callable[[Path, Path, bool], object]
    essence: Callable[[Path], Essence]
    kills: int


def _train(photos: Path, out: Path, resume: bool) -> None:
    again = resume and (out / "request.json").exists()
    options = {"epochs": 1, "batch_size": 8, "seed": 0, "resume": again}
    train(photos, out, architecture="dc-net-reduced-integrated", **options)


@cache
def search_table() -> LatencyTable:
    """One table for all processes: its date is part of what a search is requested."""
    return tiny_table()


def _search(_: Path, out: Path, resume: bool) -> None:
    tiny_search(out, tiny_recipe(epochs=2), search_table(), resume=resume)


def _fit(photos: Path, out: Path, resume: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        fit_on(ScriptedRuntime(SPACE, patch), photos, out, resume=resume)


def _measure(_: Path, out: Path, resume: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        runtime, effort = ScriptedRuntime(SPACE, patch), Effort(60, max_rounds=3)
        try:
            measure_table(SPACE, runtime, CONDITIONS, out, effort=effort, passes=SHORT)
        except InputError:  # the table is complete, which is said
            if not (resume and out.exists()):
                raise


def _export(photos: Path, out: Path, resume: bool) -> None:
    run = photos.with_name("run")
    if not run.exists():
        _train(photos, run, False)
    export(run, out / EXPORTED, overwrite=resume)


def _predict(photos: Path, out: Path, resume: bool) -> None:
    run, package = photos.with_name("run"), photos.with_name("model.tapetum")
    if not run.exists():
        _train(photos, run, False)
    if not package.exists():
        export(run, package)
    run_job(Job(package=package, paths=[photos], out=out), Execution(threads=1), resume=resume)


def _bytes_of(out: Path, *names: str) -> Essence:
    return {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in names}


def _essence_of_search(out: Path) -> Essence:
    result = SearchResult.read(out / "result.json")
    rows = [row.model_dump(exclude={"seconds"}) for row in result.epochs]
    return {"choices": result.choices, "rows": rows, **_bytes_of(out, "architecture.json")}


def _essence_of_fit(out: Path) -> Essence:
    return {
        **_essence_of_search(out / "search"),
        **_bytes_of(out, "network/weights.safetensors"),
        **_graph_of(out / "model.tapetum"),
    }


def _graph_of(package: Path) -> Essence:
    with zipfile.ZipFile(package) as archive:
        return {"graph": hashlib.sha256(archive.read("graph.onnx")).hexdigest()}


def _images_of(out: Path) -> Essence:
    names = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png"))
    return _bytes_of(out, *names)


WORK = {
    "train": Work(
        _train,
        lambda out: _bytes_of(out, "weights.safetensors", "architecture.json", "split.json"),
        5,
    ),
    "search": Work(_search, _essence_of_search, 4),
    "fit": Work(_fit, _essence_of_fit, 3),
    "measure": Work(
        _measure, lambda out: LatencyTable.read(out).model_dump(exclude={"provenance"}), 3
    ),
    "export": Work(_export, lambda out: _graph_of(next(out.iterdir())), 2),
    "predict": Work(_predict, _images_of, 3),
}


def _tiny_train(_: Path, out: Path, resume: bool) -> None:
    tiny_train(out, tiny_training_recipe(epochs=1, checkpoint_every_steps=2), resume=resume)


def _tiny_search(_: Path, out: Path, resume: bool) -> None:
    recipe = tiny_recipe(epochs=1, warmup_epochs=0, checkpoint_every_steps=2)
    tiny_search(out, recipe, search_table(), resume=resume)


def _tiny_export(photos: Path, out: Path, resume: bool) -> None:
    run = photos.with_name("run")
    if not run.exists():
        _tiny_train(photos, run, False)
    export(run, out / EXPORTED, overwrite=resume)


SMALL_WORK = {
    "train": Work(_tiny_train, lambda out: _bytes_of(out, "weights.safetensors"), 2),
    "search": Work(_tiny_search, _essence_of_search, 2),
    "export": Work(_tiny_export, WORK["export"].essence, 3),
    "measure": WORK["measure"]._replace(kills=3),
    "predict": WORK["predict"]._replace(kills=2),
}


def in_a_process(work: Callable[[], object], *, under: Path, die_at: int = 0) -> tuple[int, int]:
    """Run work in a fork that is killed just before it changes a file for the n-th time.

    Returns:
        How the process ended, as :class:`subprocess.Popen` says it, and the number of changes.
    """
    read, write = os.pipe()
    child = os.fork()
    if not child:  # nothing of pytest may run in it
        status = 1
        try:
            os.close(read)
            count, root = 0, str(under)

            def see(event: str, arguments: tuple[object, ...]) -> None:
                nonlocal count
                if event not in EVENTS or not str(arguments[0]).startswith(root):
                    return
                if event == "open" and not (
                    isinstance(arguments[2], int) and arguments[2] & CHANGES
                ):
                    return
                count += 1
                if count == die_at:
                    os.kill(os.getpid(), signal.SIGKILL)

            sys.addaudithook(see)
            work()
            os.write(write, str(count).encode())
            status = 0
        except BaseException:
            traceback.print_exc()  # pytest shows it where the test fails
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read) as answer:
        told = answer.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), int(told or 0)


def leftovers(folder: Path) -> list[Path]:
    """What no finished job leaves: temporary files, and folders of measurements."""
    return [path for path in folder.rglob("*") if is_part_file(path) or ".campaign" in path.name]


def names_in(folder: Path) -> set[str]:
    """All files but those whose names hold a clock."""
    paths = (path for path in folder.rglob("*") if "tfevents" not in path.name)
    return {path.relative_to(folder).as_posix() for path in paths}


@pytest.fixture
def own_photos(photos: Path, tmp_path: Path) -> Path:
    """The images, in a folder that the jobs of one test share."""
    link = tmp_path / "photos"
    link.symlink_to(photos)
    return link


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="jobs are forked")
@pytest.mark.parametrize("name", WORK)
def test_what_was_killed_ends_as_what_was_not(name: str, own_photos: Path, tmp_path: Path) -> None:
    """Seeded moments, each just before a change of the file system, and a second kill after it."""
    search_table()  # before any fork, as what each process would import again
    importlib.import_module("matplotlib.figure")
    Image.init()
    do, essence, kills = WORK[name]
    whole, folder = tmp_path / "whole" / "out", tmp_path / "killed"
    whole.parent.mkdir()
    code, changes = in_a_process(lambda: do(own_photos, whole, False), under=whole.parent)
    assert code == 0
    expected, names = essence(whole), names_in(whole.parent)
    generator = np.random.default_rng(0)
    for number in range(kills):
        parent = folder / str(number)
        parent.mkdir(parents=True)
        out, moment = parent / "out", int(generator.integers(1, changes + 1))
        code, _ = in_a_process(partial(do, own_photos, out, False), under=parent, die_at=moment)
        assert code == -signal.SIGKILL, f"kill {moment} of {changes}"
        again = int(generator.integers(1, changes + 1))
        resumed = partial(do, own_photos, out, True)
        in_a_process(resumed, under=parent, die_at=again)
        code, _ = in_a_process(resumed, under=parent)
        assert code == 0, f"kills {moment} and {again} of {changes}"
        assert essence(out) == expected, f"kills {moment} and {again} of {changes}"
        assert names_in(parent) == names
        assert leftovers(parent) == []


@pytest.mark.parametrize("name", SMALL_WORK)
def test_a_job_that_died_ends_as_one_that_did_not(
    name: str, own_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At seeded calls of the file system; nothing is cleaned up after such a death."""
    do, essence, kills = SMALL_WORK[name]
    whole = tmp_path / "whole" / "out"
    whole.parent.mkdir()
    if name in ("export", "predict"):  # what they start from
        do(own_photos, tmp_path / "first", False)
    steps = count_steps(lambda: do(own_photos, whole, False), monkeypatch)
    generator = np.random.default_rng(0)
    for step in generator.choice(steps, kills, replace=False).tolist():
        out = tmp_path / f"killed{step}" / "out"
        out.parent.mkdir()
        assert dies_at(step, partial(do, own_photos, out, False), monkeypatch)
        do(own_photos, out, True)
        assert essence(out) == essence(whole), f"call {step} of {steps}"
        assert names_in(out.parent) == names_in(whole.parent)
        assert leftovers(out.parent) == []


def _with_small_files(work: Callable[[], object], limit: int) -> None:
    """Do work on a disk that is full; only an error that names a file is let through."""
    import resource  # not on Windows

    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    with pytest.raises((OSError, TapetumError)) as caught:
        work()
    assert "/out" in str(getattr(caught.value, "filename", None) or caught.value)


@pytest.mark.skipif(sys.platform != "linux", reason="jobs are forked")
@pytest.mark.parametrize("limit", [100, pytest.param(3000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", SMALL_WORK)
def test_a_full_disk_is_told_with_the_file(
    name: str, limit: int, own_photos: Path, tmp_path: Path
) -> None:
    """Whatever could not be written, its path is in the sentence; nothing temporary is left."""
    do, _, _ = SMALL_WORK[name]
    search_table()
    if name in ("export", "predict"):
        assert in_a_process(partial(do, own_photos, tmp_path / "x", False), under=tmp_path)[0] == 0
    out = tmp_path / "full" / "out"
    work = partial(_with_small_files, partial(do, own_photos, out, False), limit)
    assert in_a_process(work, under=tmp_path)[0] == 0
    assert not [path for path in tmp_path.rglob("*") if is_part_file(path)]


@pytest.mark.parametrize("name", WORK)
def test_two_commands_never_write_to_one_place(name: str, own_photos: Path, tmp_path: Path) -> None:
    """The second is refused in one sentence, and changes nothing."""
    out = tmp_path / "out"
    locked = out.with_name("out.campaign") if name == "measure" else out
    locked.mkdir()
    if name == "export":
        _train(own_photos, own_photos.with_name("run"), False)
    lock = hold_name(out / EXPORTED) if name == "export" else hold(locked)
    with lock, pytest.raises(RunError, match="another command is writing to"):
        WORK[name].do(own_photos, out, False)
    assert not any(path.suffix not in ("", ".part") for path in tmp_path.glob("out*/*"))
