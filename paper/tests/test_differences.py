"""What takes our rows to the print: seeds are averaged, and what was not run is not made up."""

import json
from pathlib import Path
from typing import Any

from tapetum.noise import PAPER_SIGMAS
from tapetum_paper import Outcome, Scale
from tapetum_paper.controlled import table_1, table_7
from tapetum_paper.differences import INTEGRATED, difference_sections


def sections(results: Path, **files: dict[str, Any]) -> dict[str, str]:
    """The sections of a folder with these files, of which nothing else was run."""
    for name, found in files.items():
        (results / f"{name}.json").write_text(json.dumps(found))
    not_run = [Outcome(table(Scale.paper), {}) for table in (table_1, table_7)]
    return difference_sections(results, not_run)


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
    section = sections(tmp_path, one_sigma_3_epochs=whole, one_sigma_12_epochs=own({0.1: 40.0}))[
        "own_networks"
    ]
    assert row_of(section, "mean") == ["mean", "-", "-", "21.0", "-", "-", "22.7"]
    assert row_of(section, "0.1") == ["0.1", "-", "-", "21.0", "40.0", "-", "40.0"]


def test_of_each_level_the_longest_training_counts(tmp_path: Path) -> None:
    """Whether or not it is the better one; their mean is one of all levels."""
    files = {
        "one_sigma_3_epochs": own(dict.fromkeys(PAPER_SIGMAS, 21.0)),
        "one_sigma_12_epochs": own({0.0: 40.0, 0.1: 20.0}),
        "one_sigma_30_epochs": own({0.0: 33.0}),
    }
    section = sections(tmp_path, **files)["own_networks"]
    longest = {title: row_of(section, title)[-1] for title in ("0", "0.1", "0.2", "mean")}
    assert longest == {"0": "33.0", "0.1": "20.0", "0.2": "21.0", "mean": "22.0"}


def test_nothing_run_is_said(tmp_path: Path) -> None:
    """An empty folder makes tables without a number of ours."""
    found = sections(tmp_path)
    assert found["dimmer_digits"].endswith("not run.")
    assert row_of(found["own_networks"], "mean") == ["mean", *["-"] * 6]
