"""The public names of Tapetum and of its rooms, and the examples in their docstrings."""

import doctest
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import tapetum

SNAPSHOT = Path(__file__).with_name("public_names.json")
ROOMS = sorted(
    path.stem
    for path in Path(tapetum.__file__).parent.iterdir()
    if path.suffix in ("", ".py") and not path.stem.startswith(("_", "."))
)
MOST_NAMES = 25  # of a room


def public_names() -> dict[str, list[str]]:
    """What each room exports."""
    rooms = {room: importlib.import_module(f"tapetum.{room}") for room in ROOMS}
    return {
        "tapetum": sorted(tapetum.__all__),
        **{room: sorted(module.__all__) for room, module in rooms.items()},
    }


def test_public_names_are_as_agreed() -> None:
    """A name that comes or goes is noticed: UPDATE=1 pytest writes the file again."""
    names = public_names()
    if os.environ.get("UPDATE"):
        SNAPSHOT.write_text(json.dumps(names, indent=1) + "\n")
    assert names == json.loads(SNAPSHOT.read_text())


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_shows_few_names(room: str) -> None:
    """Who learns a room has few names to learn."""
    assert len(public_names()[room]) <= MOST_NAMES


def test_importing_tapetum_is_quick_and_loads_nothing_heavy() -> None:
    """Neither torch, numpy nor ONNX Runtime, in less than a tenth of a second."""
    code = (
        "import sys, time\n"
        "start = time.perf_counter()\n"
        "import tapetum\n"
        "seconds = time.perf_counter() - start\n"
        "print(seconds, {'torch', 'numpy', 'onnxruntime', 'pydantic'} & set(sys.modules))"
    )
    best = min(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(3)
    )
    seconds, _, heavy = best.strip().partition(" ")
    assert float(seconds) < 0.1
    assert heavy == "set()"


@pytest.mark.parametrize("name", tapetum.__all__)
def test_every_public_name_is_there(name: str) -> None:
    """It is what its room exports, and importing the rooms hides none of them."""
    for room in ROOMS:
        importlib.import_module(f"tapetum.{room}")
    assert name in dir(tapetum)
    assert not isinstance(getattr(tapetum, name), type(sys))


def test_an_unknown_name_is_refused() -> None:
    """As in every module."""
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        tapetum.no_such_name  # noqa: B018


@pytest.mark.parametrize("name", [name for name in tapetum.__all__ if name != "__version__"])
def test_public_functions_have_an_example(name: str) -> None:
    """Each docstring shows how the function is called."""
    assert ">>>" in (getattr(tapetum, name).__doc__ or ""), name


def test_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this order each example finds what the one before has written."""
    monkeypatch.chdir(tmp_path)
    finder, runner = doctest.DocTestFinder(recurse=False), doctest.DocTestRunner()
    order = ("train", "export", "evaluate", "open_package", "Predictor", "measure_latency")
    rest = [name for name in tapetum.__all__ if name not in order and name != "__version__"]
    for name in (*order, *rest):
        for example in finder.find(getattr(tapetum, name), name, globs={}):
            runner.run(example)
    assert runner.failures == 0
