"""What takes our rows to the print: seeds are averaged, and what was not run is not made up."""

import json
from pathlib import Path
from typing import Any

import pytest

from tapetum.experiments.differences import INTEGRATED, difference_sections
from tapetum.noise import PAPER_SIGMAS


def sections(results: Path, **files: dict[str, Any]) -> dict[str, str]:
    """The sections of a folder with these files, of which nothing else was run."""
    for name, found in files.items():
        (results / f"{name}.json").write_text(json.dumps(found))
    return difference_sections(results, results / "reproduction")


def own(decibels: dict[float, float]) -> dict[str, Any]:
    """What ``one_sigma.py`` leaves of the Integrated network."""
    rows = {str(sigma): {"psnr_db": value} for sigma, value in decibels.items()}
    return {"networks": {INTEGRATED: rows}}


def row_of(section: str, title: str) -> list[str]:
    """The cells of a row of its table."""
    line = next(line for line in section.splitlines() if line.startswith(f"| {title} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_seeds_of_a_dimmer_digit_are_averaged(tmp_path: Path) -> None:
    """And held against the print; digits of another light do not count."""
    ways = {
        "dimmed to 0.94": {"accuracy": 0.62},
        "dimmed to 0.94, seed 1": {"accuracy": 0.64},
        "dimmed to 0.93": {"accuracy": 0.1},
    }
    section = sections(tmp_path, **{"digit_composition_conv-l_100_epochs": {"ways": ways}})[
        "dimmer_digits"
    ]
    assert row_of(section, "Conv-L") == ["Conv-L", "63.2", "not run", "63.0 ± 1.4", "-0.2"]
    assert row_of(section, "Conv-S")[-2:] == ["not run", "-"]
    assert "Over 1 rows the mean difference is -0.2 and its root mean square 0.2" in section


def test_a_mean_is_one_of_all_levels(tmp_path: Path) -> None:
    """Of some levels there is none."""
    whole = own(dict.fromkeys(PAPER_SIGMAS, 21.0))
    section = sections(tmp_path, one_sigma=whole, one_sigma_12_epochs=own({0.1: 40.0}))[
        "own_networks"
    ]
    assert row_of(section, "mean") == ["mean", "-", "-", "21.0", "-"]
    assert row_of(section, "0.1") == ["0.1", "-", "-", "21.0", "40.0"]


@pytest.mark.parametrize(
    ("longer", "said"),
    [
        ({0.0: 30.0, 1.0: 20.0}, "ours is 25.0 dB"),
        ({0.5: 31.0}, "ours is 21.0 dB"),
        (dict.fromkeys(PAPER_SIGMAS, 30.0), None),
        ({}, None),
    ],
)
def test_what_more_epochs_win_is_interpolated_between_levels(
    longer: dict[float, float], said: str | None, tmp_path: Path
) -> None:
    """Beyond them nothing is won; of all levels or none there is nothing to interpolate."""
    brief = own(dict.fromkeys(PAPER_SIGMAS, 20.0))
    section = sections(tmp_path, one_sigma=brief, one_sigma_12_epochs=own(longer))["own_networks"]
    assert ("interpolated" in section) == (said is not None)
    assert said is None or said in section


def test_nothing_run_is_said(tmp_path: Path) -> None:
    """An empty folder makes tables without a number of ours."""
    found = sections(tmp_path)
    assert found["dimmer_digits"].endswith("not run.")
    assert row_of(found["own_networks"], "mean") == ["mean", "-", "-", "-", "-"]
