"""A piece of a race is performed once, the same in every process, and again after a kill."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from safetensors.torch import save_file

from tapetum.arch import find_architecture
from tapetum.data import store_images
from tapetum.errors import InputError, TapetumError
from tapetum.nn import build
from tapetum.runtime.bulk import DiedError
from tapetum.search import worker
from tapetum.search.pace import Pace, Paces, Pacing, joined
from tapetum.search.work import Outcome, Piece, Task, Work, perform
from tapetum.search.workers import Workers, open_workers, perform_all
from tapetum.training import ShortTraining
from tiny_race import Dots, blind, seeing, tiny_recipe

HERE = Path(__file__).parent


def pieces(folder: Path, *, count: int = 2, steps: int = 8) -> list[Piece]:
    """Short trainings of a small network with other seeds."""
    train, held_out = folder / "train", folder / "held-out"
    store_images(Dots(32), train)
    store_images(Dots(12, seed=1), held_out)
    return [
        Piece(
            architecture=seeing(width=2),
            recipe=tiny_recipe(steps=steps, seed=seed, recalibration_batches=1),
            train=train,
            held_out=held_out,
            views=24,
            out=folder / f"{seed}.json",
        )
        for seed in range(count)
    ]


def _outcome(piece: Piece) -> Outcome:
    return Outcome.read(piece.out).model_copy(update={"seconds": 0.0})


def _perform_all(workers: Workers, works: list[Piece]) -> list[str]:
    """Perform pieces and return the faults of those that were given up."""
    faults: list[str] = []

    def give_up(work: Work, fault: str) -> None:
        del work
        faults.append(fault)

    perform_all(workers, works, tick=lambda _: None, give_up=give_up)
    return faults


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    """The outcomes of two pieces in this process."""
    works = pieces(tmp_path_factory.mktemp("here"))
    for work in works:
        perform(work)
    return [_outcome(work) for work in works]


def test_a_piece_is_the_same_at_every_call(tmp_path: Path, here: list[Outcome]) -> None:
    """Down to the last bit of every score; other seeds have other scores."""
    for work, expected in zip(pieces(tmp_path), here, strict=True):
        perform(work)
        assert _outcome(work) == expected
    assert here[0].measures != here[1].measures


def test_a_piece_begins_with_the_weights_that_it_is_given(tmp_path: Path) -> None:
    """With a rate of almost nothing it ends with their scores, whatever its seed is."""
    (piece,) = pieces(tmp_path, count=1, steps=1)
    still = {"learning_rate": 1e-12, "ema_decay": None, "recalibration_batches": 0}
    recipe, file = piece.recipe.adjusted(**still), tmp_path / "weights.safetensors"
    save_file(build(piece.architecture, seed=7).state_dict(), file)
    begun = piece.model_copy(update={"recipe": recipe, "weights": file}).perform()
    seventh = piece.model_copy(update={"recipe": recipe.adjusted(seed=7)}).perform()
    assert begun.measures is not None
    assert seventh.measures is not None
    assert begun.measures.psnr_db == pytest.approx(seventh.measures.psnr_db, abs=0.05)
    assert begun.measures.psnr_db != pytest.approx(piece.perform().measures.psnr_db, abs=0.05)  # type: ignore[union-attr]


def test_a_piece_that_has_its_result_is_not_performed(tmp_path: Path) -> None:
    """Its file stays as it is."""
    work = pieces(tmp_path, count=1)[0]
    work.failed("as it was").write(work.out)
    perform(work)
    assert Outcome.read(work.out).fault == "as it was"


def test_a_piece_whose_training_fails_has_that_as_its_outcome(tmp_path: Path) -> None:
    """A loss that is not finite is no reason to stop the others."""
    work = pieces(tmp_path, count=1)[0]
    work = work.model_copy(update={"recipe": tiny_recipe(steps=30, learning_rate=1e30)})
    perform(work)
    ended = Outcome.read(work.out)
    assert "the loss is" in ended.fault
    assert ended.measures is None


def test_work_is_read_as_it_was_written(tmp_path: Path) -> None:
    """A worker gets it as one line of JSON, whatever its kind."""
    piece = pieces(tmp_path, count=1)[0]
    pacing = Pacing(
        architectures=(blind(),),
        recipe=piece.recipe,
        train=piece.train,
        seconds=1.0,
        out=tmp_path / "pace.json",
    )
    for work in (piece, pacing):
        line = Task(work=work).model_dump_json()
        assert "\n" not in line
        assert Task.model_validate_json(line).work == work


def test_every_network_has_a_pace(tmp_path: Path) -> None:
    """One that cannot be trained says why, and the others are measured."""
    piece = pieces(tmp_path, count=1)[0]
    odd = find_architecture("dc-net-reduced-integrated", channels=3, num_classes=2)
    pacing = Pacing(
        architectures=(blind(), odd, seeing()),
        recipe=piece.recipe,
        train=piece.train,
        seconds=0.0,
        out=tmp_path / "pace.json",
    )
    perform(pacing)
    first, none, last = Paces.read(pacing.out).paces
    assert first.step_s is not None
    assert last.step_s is not None
    assert (none.step_s, bool(none.fault)) == (None, True)


def test_the_paces_of_workers_are_joined_by_their_medians() -> None:
    """A fault of one is kept: that network cannot race."""
    measured = [
        Paces(paces=(Pace(step_s=s), Pace(step_s=1.0)), waiting=1.0) for s in (1.0, 5.0, 2.0)
    ]
    measured.append(measured[0].model_copy(update={"paces": (Pace(step_s=2.0), Pace(fault="odd"))}))
    first, second = joined(measured).paces
    assert (first.step_s, second.fault) == (2.0, "odd")


class _Deadly:
    """Workers that die at every piece but those of some seeds."""

    size = 2

    def __init__(self, *spared: int) -> None:
        self.spared, self.deaths = spared, 0

    def perform(self, work: Work) -> None:
        """Dies, or writes an outcome."""
        assert isinstance(work, Piece)
        if work.recipe.seed not in self.spared:
            self.deaths += 1
            raise DiedError
        Outcome(name=work.architecture.name).write(work.out)

    def stop(self) -> None:
        """Has nothing to end."""


class _Stopped:
    """Workers of which one cannot write; the other is at work until it is stopped."""

    size = 2

    def __init__(self) -> None:
        self.is_stopped = threading.Event()

    def perform(self, work: Work) -> None:
        """Fails at the first piece."""
        if work.out.name.startswith("0"):
            raise TapetumError("the disk is full", "free some space")
        self.is_stopped.wait()
        raise DiedError

    def stop(self) -> None:
        """Ends the other."""
        self.is_stopped.set()


def test_a_worker_that_is_stopped_is_not_called_killed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The reason of the stop is the only thing that is said."""
    with pytest.raises(TapetumError, match="the disk is full"):
        _perform_all(_Stopped(), pieces(tmp_path, count=2))
    assert not caplog.messages


def test_a_piece_that_kills_every_worker_is_given_up(tmp_path: Path) -> None:
    """After three deaths; the others are performed."""
    works, deadly = pieces(tmp_path, count=3), _Deadly(0, 2)
    faults = _perform_all(deadly, works)
    assert len(faults) == 1
    assert "killed 3 times" in faults[0]
    assert deadly.deaths == 3
    assert [work.out.exists() for work in works] == [True, False, True]


def test_a_worker_process_performs_pieces_to_the_same_bits(
    tmp_path: Path, here: list[Outcome]
) -> None:
    """Two pieces in one process, one after the other."""
    works = pieces(tmp_path)
    with open_workers(1) as workers:
        assert not _perform_all(workers, works)
    assert [_outcome(work) for work in works] == here


def test_as_many_workers_start_as_can_train_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless a number is given."""
    monkeypatch.setattr(ShortTraining, "most_at_once", lambda: 3)
    with open_workers() as by_default, open_workers(1) as one:
        assert (by_default.size, one.size) == (3, 1)


def test_more_workers_than_cores_are_refused() -> None:
    """They would only wait."""
    with pytest.raises(InputError, match="workers were requested"), open_workers(4_096):
        pass


@pytest.mark.slow
def test_a_killed_worker_costs_its_piece_alone(tmp_path: Path, here: list[Outcome]) -> None:
    """Another process performs it again, to the same bits."""
    works = pieces(tmp_path)
    with open_workers(1) as workers:
        process = workers._all[0]  # type: ignore[attr-defined]

        def kill() -> None:
            while process._running is None:
                time.sleep(0.05)
            time.sleep(0.5)
            os.kill(process._running.pid, signal.SIGKILL)

        thread = threading.Thread(target=kill)
        thread.start()
        assert not _perform_all(workers, works)
        thread.join()
    assert [_outcome(work) for work in works] == here


@pytest.mark.slow
def test_workers_end_with_the_command_that_started_them(tmp_path: Path) -> None:
    """A SIGKILL of the command leaves nobody who computes on."""
    script = (
        "import sys; from pathlib import Path\n"
        "from test_search_work import pieces, _perform_all; import threading, time, os, signal\n"
        "from tapetum.search.workers import open_workers\n"
        "works = pieces(Path(sys.argv[1]), count=2, steps=100_000)\n"
        "def die():\n"
        "    while workers._all[0]._running is None: time.sleep(0.05)\n"
        "    print(workers._all[0]._running.pid, flush=True)\n"
        "    time.sleep(5); os.kill(os.getpid(), signal.SIGKILL)\n"
        "with open_workers(1) as workers:\n"
        "    threading.Thread(target=die).start(); _perform_all(workers, works)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    ended = subprocess.run(command, cwd=HERE, stdout=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL
    worker = int(ended.stdout)
    deadline = time.monotonic() + 20
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(f"/proc/{worker}").exists()


@pytest.mark.slow
def test_a_ray_cluster_performs_pieces_to_the_same_bits(
    tmp_path: Path, here: list[Outcome]
) -> None:
    """As a pool of this machine does."""
    pytest.importorskip("ray")
    works = pieces(tmp_path)
    with open_workers(1, ray="local") as workers:
        assert workers.size == 1
        assert not _perform_all(workers, works)
    assert [_outcome(work) for work in works] == here


def test_a_full_disk_is_no_dead_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another worker would find it full, too, so its words are those of the error."""

    def refuse(work: object) -> None:
        del work
        raise OSError(errno.ENOSPC, "No space left on device", "/runs/x")

    monkeypatch.setattr(worker, "perform", refuse)
    parsed = SimpleNamespace(model_validate_json=lambda _: SimpleNamespace(work=None))
    monkeypatch.setattr(worker, "Task", parsed)
    assert worker._perform(b"")["problem"] == "/runs/x: No space left on device"
