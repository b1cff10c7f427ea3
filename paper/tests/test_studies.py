"""Every study starts: its imports exist, and it prints its help."""

import importlib
import sys
from pathlib import Path

import pytest

STUDIES = Path(__file__).parent.parent / "studies"
HELPERS = ("drawn_once", "kept", "reduced_rows")  # modules that several studies share
NAMES = sorted(path.stem for path in STUDIES.glob("*.py") if path.stem not in HELPERS)


@pytest.mark.parametrize("name", NAMES)
def test_a_study_starts(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says what it is for."""
    study = importlib.import_module(name)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    with pytest.raises(SystemExit) as ended:
        study.main()
    assert ended.value.code == 0
    assert "usage" in capsys.readouterr().out
