"""A task that a mirror would make impossible is learnt with the defaults."""

import runpy
from pathlib import Path

import pytest

ARROWS = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "arrows.py"))


@pytest.mark.slow
@pytest.mark.parametrize("names", ARROWS["NAMES"], ids="-".join)
def test_arrows_are_told_apart(names: tuple[str, str], tmp_path: Path) -> None:
    """Over 95 % after 20 epochs, whether or not the names of the classes give a hint."""
    assert ARROWS["accuracy_of"](tmp_path, names, epochs=20) > 0.95
