"""Laws of the stamp: it tells the truth where it can, and never fails."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tapetum
from folders import draw_tree
from tapetum import provenance
from tapetum.data import describe_folder, open_dataset
from tapetum.errors import InputError
from tapetum.provenance import (
    Provenance,
    _note_fewer,
    _quota_of_cores,
    require_cores,
    require_seed,
    stamp,
    usable_cores,
    within_cores,
)
from tapetum.records import checkout as checkout_of
from tapetum.runtime import bulk
from tiny_package import CLASS_NAMES, tiny_package


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A git checkout with one committed package, as ``src/tapetum`` in it."""
    package = tmp_path / "work" / "src" / "tapetum"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    git(package.parents[1], "init", "--quiet")
    git(package.parents[1], "add", ".")
    git(package.parents[1], "commit", "--quiet", "--message", "Begin")
    return package


def git(folder: Path, *arguments: str) -> str:
    """Runs git as somebody, whatever the user's settings or the hook that runs the tests are."""
    person = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgSign=false")
    done = subprocess.run(
        ["git", *person, *arguments],
        cwd=folder,
        env={key: text for key, text in os.environ.items() if not key.startswith("GIT_")},
        capture_output=True,
        check=True,
        text=True,
    )
    return done.stdout.strip()


def test_stamp_describes_this_process() -> None:
    """A stamp names the versions, the machine and the seed that are really there."""
    stamped = stamp(seed=7)
    assert stamped.seed == 7
    assert stamped.tapetum == tapetum.__version__
    assert stamped.packages["numpy"] == metadata.version("numpy")
    assert stamped.python == ".".join(str(part) for part in sys.version_info[:3])
    assert 1 <= stamped.cores <= (os.cpu_count() or 1)
    assert stamped.cpu
    assert stamped.memory_gib is None or stamped.memory_gib > 0


def test_date_is_now_in_utc() -> None:
    """The date says its time zone, so that stamps of two machines can be put in order."""
    date = datetime.fromisoformat(stamp().date)
    assert date.utcoffset() == timedelta(0)
    assert abs(datetime.now(date.tzinfo) - date) < timedelta(minutes=1)


def test_stamp_round_trips_through_json() -> None:
    """A stamp survives its file."""
    stamped = stamp(seed=0)
    assert Provenance.from_json(stamped.to_json(), source="a result") == stamped


def test_clean_checkout(checkout: Path) -> None:
    """A checkout without changes has a commit and is not dirty."""
    commit = git(checkout, "rev-parse", "HEAD")
    assert checkout_of(checkout) == (commit, False)


@pytest.mark.parametrize("name", ["__init__.py", "new.py"])
def test_dirty_checkout(checkout: Path, name: str) -> None:
    """A changed or a new source file makes the checkout dirty."""
    (checkout / name).write_text("changed = True\n")
    assert checkout_of(checkout)[1] is True


def test_results_do_not_make_a_checkout_dirty(checkout: Path) -> None:
    """Files outside the source, such as a run folder, say nothing about the source."""
    (checkout.parents[1] / "result.json").write_text("{}")
    assert checkout_of(checkout)[1] is False


def test_no_checkout(tmp_path: Path) -> None:
    """Source outside any checkout has no commit."""
    assert checkout_of(tmp_path) == (None, None)


def test_installed_in_the_checkout_of_another(checkout: Path) -> None:
    """A copy inside another project's checkout does not claim that project's commit."""
    installed = checkout.parents[1] / ".venv" / "site-packages" / "tapetum"
    installed.mkdir(parents=True)
    assert checkout_of(installed) == (None, None)


def test_checkout_without_commits(tmp_path: Path) -> None:
    """A repository that has no commit yet has none to name."""
    package = tmp_path / "src" / "tapetum"
    package.mkdir(parents=True)
    git(tmp_path, "init", "--quiet")
    assert checkout_of(package) == (None, None)


def test_another_repository_in_the_environment(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The repository that a git hook runs for is not mistaken for ours."""
    git(tmp_path, "init", "--quiet", "other")
    commit = git(checkout, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    assert checkout_of(checkout) == (commit, False)


def test_no_git(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without git still stamps."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert checkout_of(checkout) == (None, None)
    assert stamp().commit is None


@pytest.mark.parametrize(
    ("cpuinfo", "cpu"),
    [
        (
            "processor\t: 0\nmodel\t\t: 2\nmodel name\t: Fast CPU @ 3 GHz\n\nflags\t: a b",
            "Fast CPU",
        ),
        ("processor\t: 0\nBogoMIPS\t: 108\n\nModel\t\t: Raspberry Pi 5\n", "Raspberry Pi 5"),
    ],
)
def test_cpu_model_of_linux(tmp_path: Path, cpuinfo: str, cpu: str) -> None:
    """The model comes from the kernel, on x86 and on ARM boards."""
    path = tmp_path / "cpuinfo"
    path.write_text(cpuinfo)
    assert provenance._cpu_model(path).startswith(cpu)


@pytest.mark.parametrize("content", [None, "", "processor : 0\n"])
def test_cpu_model_elsewhere(
    tmp_path: Path, content: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the kernel does not say, Python's word is taken."""
    path = tmp_path / "cpuinfo"
    if content is not None:
        path.write_text(content)
    monkeypatch.setattr("platform.processor", lambda: "some processor")
    assert provenance._cpu_model(path) == "some processor"


def test_missing_packages_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device without torch has no version of it in its stamp."""
    versions = {"numpy": "2.4.6"}

    def version(package: str) -> str:
        if package not in versions:
            raise metadata.PackageNotFoundError(package)
        return versions[package]

    monkeypatch.setattr("importlib.metadata.version", version)
    assert stamp().packages == versions


def test_memory_of_a_system_that_does_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system without these names has an unknown memory, not an error."""
    monkeypatch.delattr("os.sysconf")
    assert stamp().memory_gib is None


def test_cores_of_a_system_without_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a process cannot be bound to cores, it may use all of them."""
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    assert stamp().cores == os.cpu_count()


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (
            ["/home/me/.venv/bin/tapetum", "train", "unet-s", "--out", "my run"],
            "tapetum train unet-s --out 'my run'",
        ),
        (["/lib/tapetum/__main__.py", "demo"], "tapetum demo"),
        ([""], "''"),
        ([], ""),
    ],
)
def test_command_is_what_was_typed(
    arguments: list[str], command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command can be typed again, and does not tell where it was installed."""
    monkeypatch.setattr("sys.argv", arguments)
    assert stamp().command == command


def test_stamp_loads_no_heavy_package() -> None:
    """A stamp imports none of the packages that it names, numpy neither."""
    code = (
        "import sys; from tapetum.provenance import stamp; stamp(); "
        "sys.exit(bool({'torch', 'onnx', 'onnxruntime', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("text", "cores"), [("max 100000", 1 << 16), ("150000 100000", 1), ("400000 100000", 4)]
)
def test_a_containers_quota_limits_the_cores(text: str, cores: int, tmp_path: Path) -> None:
    """A quota counts in whole cores, at least one; without one there is no limit."""
    (tmp_path / "cpu.max").write_text(text)
    assert _quota_of_cores(tmp_path / "cpu.max") == cores
    assert _quota_of_cores(tmp_path / "missing") == 1 << 16
    assert usable_cores() >= 1


@pytest.mark.parametrize("seed", [-1, 2**31])
def test_seeds_out_of_range_have_one_sentence(seed: int, tmp_path: Path) -> None:
    """Every function that draws refuses them with it, and makes nothing."""
    folder, out = tmp_path / "photos", tmp_path / "out"
    draw_tree(folder, dict.fromkeys(CLASS_NAMES, 4))
    package = tiny_package(tmp_path / "p.tapetum")
    calls: list[Callable[[], object]] = [
        lambda: tapetum.train(folder, out, architecture="unet-s", seed=seed),
        lambda: tapetum.fit(folder, out, target_ms=3, seed=seed),
        lambda: tapetum.evaluate(package, folder, seed=seed),
        lambda: tapetum.evaluate(package, folder, noise=0.1, noise_seed=seed),
        lambda: describe_folder(folder, seed=seed),
        lambda: open_dataset("digits", seed=seed),
        lambda: bulk.Job(package=package, paths=[folder], out=out, seed=seed),
    ]
    for call in calls:
        with pytest.raises(InputError) as raised:
            call()
        assert raised.value.problem.endswith(f"is {seed!r}")
        assert raised.value.remedy == "use a whole number from 0 to 2147483647"
    assert not out.exists()


@pytest.mark.parametrize("seed", [-1, 2**31, 1.5, "1", np.float32(1)])
def test_a_seed_is_a_whole_number(seed: Any) -> None:
    """Of any integer type, and None for a default; other values are named."""
    for possible in (None, 0, 2**31 - 1, np.int64(7)):
        require_seed(possible)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=re.escape(f"seed is {seed!r}; use a whole number")):
        require_seed(seed)


def test_threads_never_exceed_the_cores(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A request is refused; what a package wants is reduced, and that is said once."""
    monkeypatch.setattr("tapetum.provenance.usable_cores", lambda: 2)
    _note_fewer.cache_clear()
    require_cores(2)
    for count in (0, 3, 1000):
        with pytest.raises(InputError, match=f"{count} threads.*2 cores; use 1 to 2"):
            require_cores(count)
    assert [within_cores(threads) for threads in (None, 1, 2, 8, 8)] == [2, 1, 2, 2, 2]
    assert [record.message for record in caplog.records] == [
        "the package's latency holds for 8 threads, but only 2 cores can be used here"
    ]


@pytest.mark.parametrize(
    ("machine", "flags", "expected"),
    [
        ("x86_64", "fpu avx2 avx512f avx512_vnni", True),
        ("x86_64", "fpu avx2 avx_vnni", True),
        ("x86_64", "fpu avx2 avx512f", False),
        ("aarch64", "", True),
        ("riscv64", "", False),
    ],
)
def test_int8_instructions_are_read_from_the_processor(
    machine: str, flags: str, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AVX2 and AVX-512 alone overflow; what is not known counts as without."""
    (tmp_path / "cpuinfo").write_text(f"model name : a chip\nflags : {flags}\n")
    monkeypatch.setattr(provenance, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(provenance.platform, "machine", lambda: machine)
    assert provenance.has_int8_instructions() is expected
    monkeypatch.setattr(provenance, "CPUINFO", tmp_path / "missing")
    assert provenance.has_int8_instructions() is (machine == "aarch64")


def test_what_is_unknown_is_no_field(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package has a version and no commit, in no file of results and no report."""
    monkeypatch.setattr(provenance, "checkout", lambda _: (None, None))
    monkeypatch.setattr(provenance, "_memory_gib", lambda: None)
    stamped = stamp()
    written = stamped.to_json()
    assert Provenance.from_json(written, source="a result") == stamped
    assert "null" not in written
    assert {"commit", "dirty", "memory_gib", "seed"}.isdisjoint(stamped.model_dump())
    assert stamped.model_dump()["tapetum"] == tapetum.__version__
