"""Laws of long jobs: whatever stops or shares them, the rows are those of an undisturbed run."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kills import kill_everywhere
from many_images import package_in, rows_by_name, save_image, save_images
from tapetum.errors import InputError, RunError
from tapetum.records import hold, write_atomically
from tapetum.runtime.bulk import Execution, Job, Shard, read_rows, run_job

ONE, TWO = Execution(threads=1), Execution(workers=2)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that classifies whole grey images."""
    return package_in(tmp_path_factory.mktemp("package"), "conv-s", num_classes=3, boxes=False)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty images, a text and a damaged image."""
    folder = save_images(tmp_path_factory.mktemp("images"), 30)
    (folder / "notes.txt").write_text("hello")
    (folder / "0" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return folder


@pytest.fixture
def job(package: Path, images: Path, tmp_path: Path) -> Job:
    """All of them."""
    return Job(package=package, paths=[images], out=tmp_path / "out")


@pytest.fixture(scope="module")
def undisturbed(
    package: Path, images: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, int], object]:
    """The rows of one run."""
    out = tmp_path_factory.mktemp("once") / "out"
    run_job(Job(package=package, paths=[images], out=out), ONE)
    rows = rows_by_name(out)
    assert len(rows) == 32
    return dict(rows)


def stop_after(count: int) -> Callable[[], bool]:
    """A request to stop that comes after some questions."""
    asked = itertools.count()
    return lambda: next(asked) >= count


def files_in(out: Path) -> set[str]:
    """The names in a folder."""
    return {path.name for path in out.iterdir()}


def test_a_stopped_job_goes_on(job: Job, undisturbed: dict[tuple[str, int], object]) -> None:
    """No image is predicted twice, and the rows are those of one run, in its order."""
    assert run_job(job, ONE, should_stop=stop_after(7)) is None
    first = list(read_rows(job.out))
    assert len(first) == 7
    with pytest.raises(RunError, match="--resume"):
        run_job(job, ONE)
    summary = run_job(job, ONE, resume=True)
    assert summary is not None
    assert (summary.num_images, summary.num_failed, summary.num_left_out) == (30, 1, 1)
    assert list(read_rows(job.out))[:7] == first
    assert list(rows_by_name(job.out).items()) == list(undisturbed.items())
    assert files_in(job.out) == {"predictions.jsonl", "request.json", "result.json"}


@pytest.mark.parametrize("num_bytes", [1, 40, 700])
def test_a_torn_line_is_done_again(
    num_bytes: int, job: Job, undisturbed: dict[tuple[str, int], object]
) -> None:
    """Wherever a kill or a full disk has cut the rows."""
    run_job(job, ONE, should_stop=stop_after(9))
    rows = job.out / "predictions.jsonl"
    with rows.open("r+b") as file:
        file.truncate(rows.stat().st_size - num_bytes)
    write_atomically(job.out / "x", b"")
    (job.out / "x").rename(job.out / ".0123.part")
    run_job(job, ONE, resume=True)
    assert list(rows_by_name(job.out).items()) == list(undisturbed.items())
    assert files_in(job.out) == {"predictions.jsonl", "request.json", "result.json"}


def test_a_kill_at_any_step_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it comes, the same request continues, and ends with the same files, bit by bit."""
    denoiser = package_in(tmp_path, "unet-s")
    folder = save_images(tmp_path / "in", 4)

    def files_of(out: Path) -> dict[str, bytes]:
        paths = [path for path in out.rglob("*") if path.is_file() and path.suffix == ".png"]
        return {path.relative_to(out).as_posix(): path.read_bytes() for path in paths}

    def work(number: int) -> None:
        out = tmp_path / f"out{number}"
        run_job(Job(package=denoiser, paths=[folder], out=out), ONE)

    deaths = kill_everywhere(work, monkeypatch)
    assert deaths > 6
    whole = tmp_path / f"out{deaths}"
    for number in range(deaths):
        out = tmp_path / f"out{number}"
        run_job(Job(package=denoiser, paths=[folder], out=out), ONE, resume=True)
        assert files_of(out) == files_of(whole)
        assert rows_by_name(out) == rows_by_name(whole)
        assert not list(out.rglob(".*"))


def test_a_finished_job_takes_new_images_alone(package: Path, tmp_path: Path) -> None:
    """Continued, it predicts what has been added, and says how many rows there are."""
    folder = save_images(tmp_path / "in", 3)
    job = Job(package=package, paths=[folder], out=tmp_path / "out")
    run_job(job, ONE)
    before = (job.out / "predictions.jsonl").read_bytes()
    save_image(folder / "0" / "a.png")
    summary = run_job(job, ONE, resume=True)
    assert summary is not None
    assert summary.num_images == 4
    assert (job.out / "predictions.jsonl").read_bytes().startswith(before)


def outcomes(job: Job) -> dict[str, str]:
    """What each row of a job tells, by the name of its image; no image has two rows."""
    rows = rows_by_name(job.out).values()
    return {
        row.name: "failed" if row.error else "left out" if row.left_out else "done" for row in rows
    }


@pytest.mark.parametrize("shards", [[Shard()], [Shard(1, 2), Shard(2, 2)]])
def test_continuing_tries_again_what_has_no_prediction(
    shards: list[Shard], package: Path, tmp_path: Path
) -> None:
    """The new row replaces the old one, in counts and table too; what still fails still counts."""
    folder = save_images(tmp_path / "in", 3)
    bad, link, damaged = (folder / name for name in ("bad.png", "link.png", "damaged.png"))
    for path in (bad, damaged):
        path.write_bytes(b"\x89PNG\r\n\x1a\n")
    link.symlink_to("later.png")
    job = Job(package=package, paths=[folder], out=tmp_path / "out")
    summaries = [run_job(job, ONE, shard=shard) for shard in shards]
    before = outcomes(job)
    assert (before["bad.png"], before["link.png"]) == ("failed", "left out")
    save_image(bad)
    link.unlink()
    save_image(link)
    summaries = [run_job(job, ONE, shard=shard, resume=True) for shard in shards]
    changed = {"bad.png": "done", "link.png": "done", "damaged.png": "failed"}
    assert outcomes(job) == before | changed
    assert sum(summary.num_images for summary in summaries if summary) == 5
    assert sum(summary.num_failed for summary in summaries if summary) == 1
    assert files_in(job.out) == {"predictions.jsonl", "request.json", "result.json"}


HALVES = Shard(1, 2), Shard(2, 2)


def finished_by_halves(package: Path, folder: Path, count: int) -> Job:
    """A job of some images that two shards have finished, and eight that were added since."""
    job = Job(package=package, paths=[save_images(folder / "in", count)], out=folder / "out")
    for shard in HALVES:
        run_job(job, ONE, shard=shard)
    for index in range(8):
        save_image(folder / "in" / f"new{index}.png")
    return job


def test_a_shard_of_a_finished_job_takes_new_images(package: Path, tmp_path: Path) -> None:
    """Each shard alone finishes the job again, and so do both at once; not without a request."""
    job = finished_by_halves(package, tmp_path, 3)
    with pytest.raises(RunError, match=r"shard 1/2 .* has begun already.*--resume"):
        run_job(job, ONE, shard=HALVES[0])
    first = run_job(job, ONE, shard=HALVES[0], resume=True)
    assert first is not None
    assert (job.out / "result.json").exists()
    assert 3 < len(outcomes(job)) < 11  # the new images of the other shard are still to come
    assert run_job(job, ONE, shard=HALVES[0], resume=True, should_stop=stop_after(0)) is not None
    second = run_job(job, ONE, shard=HALVES[1], resume=True)
    assert second is not None
    assert first.num_images + second.num_images == len(outcomes(job)) == 11
    assert files_in(job.out) == {"predictions.jsonl", "request.json", "result.json"}


def test_a_job_is_not_finished_while_a_shard_of_it_is_continued(
    package: Path, tmp_path: Path
) -> None:
    """The last shard finishes it, whichever was opened first."""
    job = finished_by_halves(package, tmp_path, 1)
    assert run_job(job, ONE, shard=HALVES[0], resume=True, should_stop=stop_after(1)) is None
    assert run_job(job, ONE, shard=HALVES[1], resume=True) is not None
    assert not (job.out / "result.json").exists()
    assert run_job(job, ONE, shard=HALVES[0], resume=True) is not None
    assert (job.out / "result.json").exists()
    assert len(outcomes(job)) == 9


def test_a_table_in_parquet_keeps_up_with_the_rows(package: Path, tmp_path: Path) -> None:
    """A job that has one writes it again, also where it is continued without asking for it."""
    parquet = pytest.importorskip("pyarrow.parquet")
    job = Job(package=package, paths=[save_images(tmp_path / "in", 2)], out=tmp_path / "out")
    run_job(job, Execution(threads=1, rows="parquet"))
    save_image(tmp_path / "in" / "new.png")
    run_job(job, ONE, resume=True)
    assert parquet.read_table(job.out / "predictions.parquet").num_rows == 3


def test_to_continue_and_to_replace_exclude_each_other(package: Path, tmp_path: Path) -> None:
    """Both at once are refused, and the earlier job stays."""
    job = Job(package=package, paths=[save_images(tmp_path / "in", 1)], out=tmp_path / "out")
    run_job(job, ONE)
    before = (job.out / "predictions.jsonl").read_bytes()
    with pytest.raises(RunError, match="give one of them"):
        run_job(job, ONE, resume=True, overwrite=True)
    assert (job.out / "predictions.jsonl").read_bytes() == before


def test_another_request_is_refused(job: Job, tmp_path: Path) -> None:
    """It names what differs; another spelling of the same folder is the same request."""
    run_job(job, ONE)
    other = Job(package=job.package, paths=job.paths, out=job.out, top_k=2)
    with pytest.raises(RunError, match="top_k was 1, is 2"):
        run_job(other, ONE, resume=True)
    spelled = Job(package=job.package, paths=[Path(os.path.relpath(job.paths[0]))], out=job.out)
    assert run_job(spelled, ONE, resume=True) is not None
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    mine = Job(package=job.package, paths=job.paths, out=tmp_path / "mine")
    for options in ({}, {"resume": True}, {"overwrite": True}):
        with pytest.raises(RunError, match="left alone"):
            run_job(mine, ONE, **options)


@pytest.mark.parametrize("count", [3, 16])
def test_shards_in_one_folder_become_one_job(
    count: int, job: Job, undisturbed: dict[tuple[str, int], object]
) -> None:
    """The last one joins the rows of all, sorted; each summary counts its own."""
    sums = []
    for index in range(1, count + 1):
        summary = run_job(job, ONE, shard=Shard(index, count))
        assert summary is not None
        sums.append(summary.num_rows)
    assert sum(sums) == 32
    assert list(rows_by_name(job.out).items()) == list(undisturbed.items())
    assert files_in(job.out) == {"predictions.jsonl", "request.json", "result.json"}


def test_shards_in_folders_of_their_own_add_up(
    job: Job, tmp_path: Path, undisturbed: dict[tuple[str, int], object]
) -> None:
    """Their rows are disjoint, and together those of one run."""
    rows: dict[tuple[str, int], object] = {}
    for index in (1, 2):
        out = tmp_path / str(index)
        run_job(Job(package=job.package, paths=job.paths, out=out), ONE, shard=Shard(index, 2))
        found = rows_by_name(out)
        assert not rows.keys() & found.keys()
        rows |= found
    assert rows == undisturbed


def test_a_shard_that_has_begun_is_continued_on_request(job: Job) -> None:
    """It neither begins again nor disturbs the other shards; the whole job takes over its rows."""
    run_job(job, ONE, shard=Shard(1, 2), should_stop=stop_after(3))
    with pytest.raises(RunError, match=r"shard 1/2 .*--resume"):
        run_job(job, ONE, shard=Shard(1, 2))
    for refused in ({"overwrite": True}, {"execution": TWO}):
        with pytest.raises(InputError, match="shard"):
            run_job(job, shard=Shard(1, 2), **refused)
    assert run_job(job, ONE, shard=Shard(1, 2), resume=True) is not None
    summary = run_job(job, ONE, resume=True)
    assert summary is not None
    assert summary.num_rows == 32


def test_workers_share_a_job(job: Job, undisturbed: dict[tuple[str, int], object]) -> None:
    """The rows are those of one process, in its order, and every file is joined."""
    summary = run_job(job, TWO)
    assert summary is not None
    assert summary.num_rows == 32
    assert list(rows_by_name(job.out).items()) == list(undisturbed.items())
    assert files_in(job.out) == {"predictions.jsonl", "request.json", "result.json"}


@pytest.mark.slow
def test_a_job_goes_on_with_other_workers(
    job: Job, undisturbed: dict[tuple[str, int], object]
) -> None:
    """What some processes have done is not done again by others."""
    assert run_job(job, TWO, should_stop=stop_after(0)) is None
    run_job(job, ONE, resume=True, should_stop=stop_after(4))
    run_job(job, Execution(workers=2), resume=True)
    assert rows_by_name(job.out) == undisturbed


@pytest.mark.slow
def test_a_killed_worker_loses_nothing(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is started again behind the rows that it has written."""
    job = Job(package=package, paths=[save_images(tmp_path / "in", 12)], out=tmp_path / "out")
    started = []
    real = subprocess.Popen

    def popen(*arguments: object, **options: object) -> "subprocess.Popen[bytes]":
        process: subprocess.Popen[bytes] = real(*arguments, **options)  # type: ignore[call-overload]
        started.append(process)
        if len(started) == 1:
            process.kill()
        return process

    monkeypatch.setattr("tapetum.runtime.bulk.pool.subprocess.Popen", popen)
    summary = run_job(job, TWO)
    assert summary is not None
    assert summary.num_images == 12
    assert len(started) == 3


@pytest.mark.slow
def test_a_file_that_kills_workers_is_passed_over(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has a row with that reason, and the others are predicted."""
    folder = save_images(tmp_path / "in", 6)
    job = Job(package=package, paths=[folder], out=tmp_path / "out")
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "sitecustomize.py").write_text(
        "import os, tapetum.runtime.bulk.files as files\n"
        "real = files.read_frames\n"
        "def deadly(path, **options):\n"
        "    if path.name == '004.png':\n"
        "        os.kill(os.getpid(), 9)\n"
        "    return real(path, **options)\n"
        "files.read_frames = deadly\n"
    )
    search_path = f"{tmp_path / 'path'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    monkeypatch.setenv("PYTHONPATH", search_path)
    summary = run_job(job, Execution(workers=1))
    assert summary is not None
    assert (summary.num_images, summary.num_failed) == (5, 1)
    errors = {row.name: row.error for row in read_rows(job.out) if row.error}
    assert list(errors) == ["1/004.png"]
    assert "died twice" in (errors["1/004.png"] or "")


def test_two_commands_never_write_to_one_folder(job: Job) -> None:
    """The second is refused, also where the first has a shard of its own."""
    run_job(job, ONE)
    with hold(job.out):
        for options in ({"resume": True}, {"overwrite": True}, {"shard": Shard(1, 2)}):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("tapetum.runtime.bulk.run.WAIT_S", 0.1)
                with pytest.raises(RunError, match="another command is writing to"):
                    run_job(job, ONE, **options)
    with hold(job.out, shared=True), hold(job.out, shared=True):
        pass


def test_rows_are_written_as_parquet(job: Job) -> None:
    """The Parquet file has every field of every row."""
    parquet = pytest.importorskip("pyarrow.parquet")
    listed = Job(package=job.package, paths=job.paths, out=job.out, top_k=2)
    run_job(listed, Execution(threads=1, rows="parquet"))
    rows = list(read_rows(job.out))
    table = parquet.read_table(job.out / "predictions.parquet").to_pylist()
    assert [row["name"] for row in table] == [row.name for row in rows]
    for found, row in zip(table, rows, strict=True):
        expected = row.model_dump(mode="json")
        found["by_class"] = [dict(chances) for chances in found["by_class"]]
        assert found == expected


def command(job: Job, *options: str) -> list[str]:
    """The command of a job."""
    arguments = [str(job.package), *map(str, job.paths), "--out", str(job.out), *options]
    return [sys.executable, "-m", "tapetum", "predict", *arguments]


def wait_for_rows(process: "subprocess.Popen[bytes]", out: Path, count: int) -> None:
    """Wait until a command has written some rows."""
    while process.poll() is None:
        paths = out.glob("predictions*.jsonl") if out.exists() else ()
        if sum(path.read_bytes().count(b"\n") for path in paths) >= count:
            return
        time.sleep(0.01)
    raise AssertionError(process.stderr.read() if process.stderr else "")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("options", [(), ("--workers", "2"), ("--ray", "local")])
def test_a_signal_ends_a_job_after_the_image_in_hand(
    number: signal.Signals, options: tuple[str, ...], package: Path, tmp_path: Path
) -> None:
    """The exit code is that of the signal, and the message says how to continue, which works."""
    if "--ray" in options:
        pytest.importorskip("ray")
    folder = save_images(tmp_path / "in", 900)
    job = Job(package=package, paths=[folder], out=tmp_path / "out")
    with subprocess.Popen(command(job, *options), stderr=subprocess.PIPE) as process:
        wait_for_rows(process, job.out, 5)
        process.send_signal(number)
        _, words = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert b"continue with --resume" in words
    assert b"Traceback" not in words
    done = subprocess.run(
        command(job, "--resume", "--json", *options), capture_output=True, check=True, timeout=120
    )
    assert json.loads(done.stdout)["summary"]["num_images"] == 900


@pytest.mark.slow
def test_a_killed_command_with_workers_goes_on(package: Path, tmp_path: Path) -> None:
    """Its workers end by themselves, and nothing is lost or done twice."""
    folder = save_images(tmp_path / "in", 600)
    job = Job(package=package, paths=[folder], out=tmp_path / "out")
    with subprocess.Popen(command(job, "--workers", "2"), stderr=subprocess.PIPE) as process:
        wait_for_rows(process, job.out, 5)
        process.kill()
    summary = run_job(job, TWO, resume=True)
    assert summary is not None
    assert summary.num_images == 600
    assert len(rows_by_name(job.out)) == 600
    assert not [path for path in job.out.rglob(".*") if path.suffix == ".part"]


@pytest.mark.slow
def test_a_ray_cluster_shares_a_job(
    job: Job,
    tmp_path: Path,
    undisturbed: dict[tuple[str, int], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The rows are those of one process, and nothing is left in the home folder."""
    pytest.importorskip("ray")
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)  # put back, for the command sets it
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    summary = run_job(job, Execution(ray="local"))
    assert summary is not None
    assert not list((tmp_path / "home").iterdir())
    assert rows_by_name(job.out) == undisturbed
