"""Laws of the tables in results/latency: marked as of another machine, and as good as claimed."""

import json
from pathlib import Path

import pytest
from scipy.stats import binom  # type: ignore[import-untyped,unused-ignore]
from tapetum_paper.latencies import AGAIN, RESTLESS, SECOND_MACHINE

from tapetum.errors import InputError
from tapetum.latency import Drift, LatencyTable, range_of
from tapetum.latency.check import Check

FOLDER = Path(__file__).parent.parent / "results" / "latency"
MACHINES = [FOLDER, FOLDER / SECOND_MACHINE]
TABLES = sorted(path for machine in MACHINES for path in (machine / "tables").glob("*.json"))
NEW = sorted(path for machine in MACHINES for path in machine.glob("*nas*.json"))
ADJUSTED = sorted((FOLDER / AGAIN).glob("*.json"))
CHECKS = [*NEW, *ADJUSTED]
DISTURBED = sorted((FOLDER / RESTLESS).glob("*/*.json"))  # by neighbours; measured anew since


def name_of(path: Path) -> str:
    """Of what came of a table, with its folder."""
    return f"{path.parent.name}-{path.stem}"


def machine_of(path: Path) -> Path:
    """The folder of the machine where a check was made."""
    return FOLDER if path in ADJUSTED else path.parent


def test_each_table_was_checked_and_those_of_the_first_machine_again() -> None:
    """None is left out of the laws below."""
    assert sorted(path.parents[1] / path.name for path in TABLES) == NEW
    assert [path.name for path in ADJUSTED] == [path.name for path in NEW if path.parent == FOLDER]
    assert all(any(path.parent == machine for path in NEW) for machine in MACHINES)


@pytest.mark.parametrize("path", TABLES, ids=lambda path: f"{path.parents[1].name}-{path.stem}")
def test_a_shipped_table_is_marked_and_refused_elsewhere(path: Path) -> None:
    """It says that it is of a development machine, and holds for its own conditions only."""
    table = LatencyTable.read(path)
    assert "holds on no other" in table.note
    fastest, slowest = range_of(table)
    assert 0 < fastest < slowest
    elsewhere = table.conditions.model_copy(update={"device": "a board"})
    with pytest.raises(InputError, match="holds for other conditions: device"):
        table.conditions.require_same(elsewhere, what=path.name)


def read_check(path: Path) -> Check:
    """What came of a check."""
    return Check.model_validate(json.loads(path.read_text())["check"])


@pytest.mark.parametrize("path", CHECKS, ids=name_of)
def test_a_check_is_of_the_table_of_its_name(path: Path) -> None:
    """What is told of it follows from its networks, each of which it predicts as told."""
    found, check = json.loads(path.read_text()), read_check(path)
    table = LatencyTable.read(machine_of(path) / "tables" / path.name)
    assert found["summary"] == json.loads(json.dumps(check.summary()))
    assert found["accuracy"] == table.accuracy.model_dump()
    assert len(check.networks) >= 40
    fastest, slowest = found["fastest_ms"], found["slowest_ms"]
    bounds_ms = list(range_of(table))
    if found.get("aged"):  # the table was adjusted first
        bounds_ms = [Drift.model_validate(found["aged"]).now(bound_ms) for bound_ms in bounds_ms]
    assert (fastest, slowest) == pytest.approx(bounds_ms)
    assert all(fastest <= one.predicted_ms <= slowest for one in check.networks)


@pytest.mark.parametrize("path", NEW, ids=name_of)
def test_shipped_tables_are_as_good_as_they_should_be(path: Path) -> None:
    """3 % off (OpenVINO 5 %), 8 % at worst, unless measuring again is no better; in order."""
    check = read_check(path)
    mean = 0.03 if "onnxruntime" in path.stem else 0.05
    again = [check.repeating, *([] if check.later is None else [check.later])]
    assert check.table.mean <= max(mean, *(1.3 * one.mean for one in again))
    assert check.table.worst <= max(0.08, *(1.3 * one.worst for one in again))
    assert check.table.rank_correlation >= 0.98
    assert check.table.mean < check.multiply_adds.mean


@pytest.mark.parametrize("path", DISTURBED, ids=name_of)
def test_on_a_restless_machine_a_table_is_as_good_as_measuring_again(path: Path) -> None:
    """Where no measurement agrees with the next, the table does so as well as they do."""
    check = read_check(path)
    assert check.later is not None
    assert check.table.mean <= 1.3 * max(check.repeating.mean, check.later.mean)
    assert check.table.worst <= 1.3 * max(check.repeating.worst, check.later.worst)
    assert check.table.rank_correlation > check.repeating.rank_correlation


@pytest.mark.parametrize("path", ADJUSTED, ids=name_of)
def test_adjusted_tables_are_as_good_at_another_hour(path: Path) -> None:
    """By the same bounds, or as good as measuring again in the same run, the order too."""
    check = read_check(path)
    mean = 0.03 if "onnxruntime" in path.stem else 0.05
    assert check.table.mean <= max(mean, 1.3 * check.repeating.mean)
    assert check.table.worst <= max(0.08, 1.3 * check.repeating.worst)
    assert check.table.rank_correlation >= min(0.98, check.repeating.rank_correlation)
    assert check.table.mean < check.multiply_adds.mean


@pytest.mark.parametrize("machine", MACHINES, ids=lambda path: path.name)
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_what_shipped_tables_state_holds_minutes_later(runtime: str, machine: Path) -> None:
    """Nine in ten fresh networks lie inside, over the new tables of a runtime, drift and all."""
    checks = [read_check(path) for path in machine.glob(f"*nas*{runtime}*.json")]
    total = sum(len(check.networks) for check in checks)
    inside = sum(check.coverage_as_stated * len(check.networks) for check in checks)
    assert 0.85 <= inside / total <= 0.95


@pytest.mark.parametrize("machine", MACHINES, ids=lambda path: path.name)
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_intervals_of_shipped_tables_hold_what_they_say(runtime: str, machine: Path) -> None:
    """Nine in ten measurements of all checks of a runtime lie inside."""
    paths = [path for path in CHECKS if machine_of(path) == machine and runtime in path.stem]
    checks = [read_check(path) for path in paths]
    total = sum(len(check.networks) for check in checks)
    assert 0.85 <= sum(check.coverage * len(check.networks) for check in checks) / total <= 0.95


@pytest.mark.parametrize("path", CHECKS, ids=name_of)
def test_no_check_speaks_against_its_intervals(path: Path) -> None:
    """A share of 85 to 95 % gives as many inside as there are, with a chance of 95 %."""
    check = read_check(path)
    total = len(check.networks)
    fewest, most = binom.ppf(0.025, total, 0.85), binom.ppf(0.975, total, 0.95)
    assert fewest <= round(check.coverage * total) <= most
