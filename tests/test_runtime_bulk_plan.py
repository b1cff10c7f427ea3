"""Laws of the plan: every image once, in one shard, with a place of its own, in little memory."""

import tracemalloc
from itertools import chain
from pathlib import Path

import pytest

from many_images import save_image
from tapetum.errors import InputError
from tapetum.runtime.bulk import Job, Shard
from tapetum.runtime.bulk.plan import WHOLE, plan


def job_of(*paths: Path, out: Path) -> Job:
    """A job that is only planned."""
    return Job(package=Path("p.tapetum"), paths=paths, out=out)


def names(job: Job, shard: Shard = WHOLE) -> list[str]:
    """The names of a part of a job, in the order of the plan."""
    return [task.name for task in plan(job, shard)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Sixty images in three folders."""
    content = save_image(tmp_path / "x.png").read_bytes()
    for index in range(60):
        path = tmp_path / "in" / str(index % 3) / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "in"


@pytest.mark.parametrize("count", [1, 2, 16])
def test_shards_are_disjoint_and_complete(count: int, folder: Path, tmp_path: Path) -> None:
    """Together they have every image once, each in the order of the whole."""
    job = job_of(folder, out=tmp_path / "out")
    whole = names(job)
    parts = [names(job, Shard(index, count)) for index in range(1, count + 1)]
    assert sorted(chain.from_iterable(parts)) == sorted(whole)
    assert len(whole) == 60
    assert all(part == [name for name in whole if name in part] for part in parts)


def test_an_image_that_is_added_moves_no_other(folder: Path, tmp_path: Path) -> None:
    """The shard follows from the name in the folder, wherever the folder lies."""
    job = job_of(folder, out=tmp_path / "out")
    before = names(job, Shard(2, 5))
    save_image(folder / "0" / "00.png")
    after = names(job, Shard(2, 5))
    assert [name for name in after if name != "0/00.png"] == before
    folder.rename(tmp_path / "moved")
    assert names(job_of(tmp_path / "moved", out=tmp_path / "out"), Shard(2, 5)) == after


@pytest.mark.parametrize("text", ["", "3", "0/4", "5/4", "a/b", "1/0", "-1/4"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    """One sentence, whatever was typed."""
    with pytest.raises(InputError):
        Shard.parse(text)


def test_the_memory_of_a_plan_does_not_grow_with_its_images(tmp_path: Path) -> None:
    """Six times as many images in six times as many folders take no more memory."""
    peaks = []
    for count in (5, 30):
        root = tmp_path / str(count)
        for index in range(count):
            (root / f"{index:03}").mkdir(parents=True)
            for number in range(20):
                (root / f"{index:03}" / f"{number}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
        job = job_of(root, out=tmp_path / "out")
        peaks.append(min(traced_peak(job, 20 * count) for _ in range(3)))  # others allocate too
    assert peaks[1] < peaks[0] + 40_000


def traced_peak(job: Job, count: int) -> int:
    """The most memory that Python holds while a plan is read, in bytes."""
    tracemalloc.start()
    assert sum(1 for _ in plan(job, WHOLE)) == count
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def test_each_job_of_a_process_looks_at_the_folder(tmp_path: Path) -> None:
    """Two images that came after the first job do not get one name."""
    folder, out = tmp_path / "in", tmp_path / "out"
    for names_of_job in (["y.tif"], ["x.bmp", "x.png"]):
        for name in names_of_job:
            save_image(folder / name)
        places = [task.result(".png") for task in plan(job_of(folder, out=out), WHOLE)]
    assert len(set(places)) == len(places) == 3
