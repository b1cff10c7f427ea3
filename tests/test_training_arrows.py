"""A task that a mirror would make impossible is learnt with the defaults."""

from pathlib import Path

import pytest

from arrows import NAMES, accuracy_of


@pytest.mark.slow
@pytest.mark.parametrize("names", NAMES, ids="-".join)
def test_arrows_are_told_apart(names: tuple[str, str], tmp_path: Path) -> None:
    """Over 95 % after 20 epochs, whether or not the names of the classes give a hint."""
    assert accuracy_of(tmp_path, names, epochs=20) > 0.95
