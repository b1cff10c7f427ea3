"""A bundle, timed as on a device: in a process that sees nothing of this project."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tapetum.arch import ShapeSpace, Space, find_architecture, ladder
from tapetum.errors import InputError
from tapetum.latency.bundle import (
    DeviceTimings,
    Job,
    block_networks,
    open_table,
    shape_networks,
    table_of,
    write_bundle,
)
from tapetum.latency.timing import PassCount
from test_latency_table import small_space, true_ms

SPACE = ShapeSpace(width_step=16, size_px=16, image_channels=1, num_classes=3)
SHAPES = ladder.steps(SPACE, 8, budget_ms=0.3)
PASSES = PassCount(warmups=1, warmup_ms=0, min_passes=1, min_ms=0)


def write(path: Path) -> None:
    """A small bundle with one network that is no shape, whose rounds are short."""
    others = [find_architecture("unet-s", channels=1)]
    job = Job(space=SPACE, threads=1, most_rounds=2, longest_ms=1e4, passes=PASSES)
    write_bundle(path, job, shape_networks(SPACE, SHAPES.items(), others), size_px=SPACE.size_px)


# A device has nothing of this project, which the tests have installed.
ALONE = "import runpy, sys; sys.modules['tapetum'] = None; del sys.argv[0]; "
ALONE += "runpy.run_path(sys.argv[0], run_name='__main__')"


def run(path: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """The bundle on a device: isolated from this project, in its own folder."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [sys.executable, "-I", *options, "-c", ALONE, path.name],
        cwd=path.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle, and beside it what it found."""
    path = tmp_path_factory.mktemp("bundle") / "pi.zip"
    write(path)
    done = run(path)
    assert done.returncode == 0, done.stderr
    assert "wrote pi.json" in done.stderr
    return path


def test_every_network_is_timed_in_both_formats(bundle: Path) -> None:
    """Its shapes, what tells the grid of widths, and the network that is no shape."""
    found = DeviceTimings.read(bundle.with_suffix(".json"))
    assert found.precisions == ("fp32", "int8")
    assert {network.file for network, _ in found.timed()} == {
        network.file for network in found.job.networks
    }
    assert all(timing.num_rounds == 2 for _, timing in found.timed())
    step = found.widths("fp32").width_step
    timed = found.shapes("fp32")
    assert timed.space.width_step == step
    on_grid = {one for one in SHAPES if all(width % step == 0 for width in one.widths)}
    assert {one.shape for one in timed.shapes} <= on_grid
    assert {one.family for one in timed.shapes} <= set(SHAPES.values())
    assert timed.conditions.precision == "fp32"
    assert found.find("unet-s", "fp32") is not None
    assert found.find("unet-m", "fp32") is None


def test_an_interrupted_run_continues(bundle: Path, tmp_path: Path) -> None:
    """The rounds that are there are not timed again."""
    path = tmp_path / "pi.zip"
    path.write_bytes(bundle.read_bytes())
    whole = json.loads(bundle.with_suffix(".json").read_text())
    first = {**whole, "rounds": [rounds[:1] for rounds in whole["rounds"]]}
    path.with_suffix(".json").write_text(json.dumps(first))
    assert run(path).returncode == 0
    found = json.loads(path.with_suffix(".json").read_text())
    assert [rounds[0] for rounds in found["rounds"]] == [rounds[0] for rounds in whole["rounds"]]
    assert all(len(rounds) == 2 for rounds in found["rounds"])


@pytest.mark.parametrize("content", ["{}", "no json", "[1]"])
def test_a_file_of_something_else_is_kept(bundle: Path, tmp_path: Path, content: str) -> None:
    """One sentence says what to do, and nothing is lost."""
    path = tmp_path / "pi.zip"
    path.write_bytes(bundle.read_bytes())
    path.with_suffix(".json").write_text(content)
    done = run(path)
    assert done.returncode == 1
    assert "exists and is not of this bundle and device" in done.stderr
    assert "Traceback" not in done.stderr
    assert path.with_suffix(".json").read_text() == content


def test_a_device_without_the_runtime_is_told_what_it_needs(bundle: Path, tmp_path: Path) -> None:
    """Without the packages of this environment there is neither numpy nor ONNX Runtime."""
    path = tmp_path / "pi.zip"
    path.write_bytes(bundle.read_bytes())
    done = run(path, "-S")
    assert done.returncode == 1
    assert "'~/venv/bin/python -m pip install numpy onnxruntime'" in done.stderr
    assert "python3 -m pip" not in done.stderr  # refused by Debian and Raspberry Pi OS
    assert "Traceback" not in done.stderr


def found_on(
    path: Path, space: Space, share: Callable[[int, int], float] = lambda *_: 1.0
) -> DeviceTimings:
    """What a made-up device has timed in three rounds, of which each pass got a share of a core."""
    empty, named = Job(space=space, threads=1, most_rounds=20), block_networks(space, 80)
    job = write_bundle(path, empty, named, size_px=32, precisions=("fp32",))

    def timed(index: int, number: int) -> tuple[Any, ...]:
        got = share(index, number)
        wall_ms = true_ms(space, job.networks[index].choices or {}) / got
        return (wall_ms,), 0, wall_ms, got * wall_ms

    rounds = [[timed(index, number) for number in range(3)] for index in range(80)]
    facts = {"job_sha256": "", "device": "a made-up one", "runtime_version": "1", "job": job}
    return DeviceTimings.model_validate({**facts, "rounds": rounds})


def test_blocks_are_priced_from_what_a_device_has_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sums of prices give the latency of other networks; rounds on a shared core do not count."""
    monkeypatch.setattr("tapetum.latency.timing.QUIET_SHARE", 0.9)
    space = small_space()
    found = found_on(tmp_path / "pi.zip", space, lambda _, number: 0.4 if number else 1.0)
    table = table_of(found, what="pi.json")
    assert table.conditions == found.conditions("fp32")
    assert (table.conditions.height_px, table.conditions.channels) == (32, 1)
    assert table.space == space
    fresh = np.random.default_rng(7)
    for choices in (space.random_of_any_size(fresh) for _ in range(20)):
        assert table.predict(choices).median_ms == pytest.approx(true_ms(space, choices), rel=0.03)


def test_a_file_of_a_device_is_as_good_as_its_table(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are opened by one name; timings of whole networks, or too few, give no prices."""
    found = found_on(tmp_path / "pi.zip", small_space())
    table = table_of(found, what="pi.json")
    found.write(tmp_path / "pi.json")
    table.write(tmp_path / "table.json")
    opened = [open_table(tmp_path / name) for name in ("pi.json", "table.json")]
    assert opened[0].entries == opened[1].entries == table.entries
    with pytest.raises(InputError, match="timings of whole networks"):
        open_table(bundle.with_suffix(".json"))
    monkeypatch.setattr("tapetum.latency.timing.QUIET_SHARE", 0.9)
    shared = found_on(tmp_path / "pi.zip", small_space(), lambda index, _: 0.4 if index else 1.0)
    with pytest.raises(InputError, match=r"only 1 networks of pi\.json .* core of their own"):
        table_of(shared, what="pi.json")


@pytest.mark.slow
def test_equal_bundles_have_equal_bytes(bundle: Path, tmp_path: Path) -> None:
    """So that a run on the device continues after the bundle was written again."""
    write(tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == bundle.read_bytes()


def test_what_a_device_found_is_checked(tmp_path: Path) -> None:
    """A file that was cut off, or is something else, is refused by its name."""
    (tmp_path / "pi.json").write_text('{"format": "tapetum-latency-table"}')
    with pytest.raises(InputError, match=r"pi\.json"):
        DeviceTimings.read(tmp_path / "pi.json")


def test_timings_that_do_not_tell_the_grid_of_widths_are_refused(bundle: Path) -> None:
    """With the widths that are missing, and what to do."""
    found = DeviceTimings.read(bundle.with_suffix(".json"))
    rounds = [
        [None, None] if (network.family, network.name) == ("width", "40") else timed
        for network, timed in zip(found.job.networks, found.rounds, strict=True)
    ]
    few = found.model_copy(update={"rounds": tuple(map(tuple, rounds))})
    with pytest.raises(InputError, match="has not timed networks of 40 channels in int8") as error:
        few.shapes("int8")
    assert "tapetum latency bundle" in error.value.remedy


def test_a_ladder_has_every_family_on_both_grids() -> None:
    """From few multiply-adds to many; near a budget where one is given."""
    all_sizes, near = ladder.steps(SPACE, 60), ladder.steps(SPACE, 60, budget_ms=0.1)
    for found in (all_sizes, near):
        assert set(found.values()) == {*ladder.SHARES, ladder.DRAWN}
        assert any(width % 16 for shape in found for width in shape.widths)
    assert max(map(_cost, near)) < max(map(_cost, all_sizes))
    assert [*map(_cost, all_sizes)] == sorted(map(_cost, all_sizes))


def _cost(shape: object) -> int:
    return ladder.multiply_adds(SPACE, shape)  # type: ignore[arg-type]
