"""Laws of progress: stages are numbered, and their time adds up."""

import ast
import re
from pathlib import Path
from typing import TypeGuard

import numpy as np
import pytest

import tapetum
from tapetum.progress import (
    Stages,
    in_words,
    is_heading,
    named,
    pasted,
    rounded,
    shown_path,
    split_counts,
    step,
)

Told = list[tuple[int, int, str]]


def test_times_are_shown_in_their_unit() -> None:
    """Seconds, minutes or hours."""
    shown = [in_words(minutes) for minutes in (0.5, 1, 2.52, 12.3, 150)]
    assert shown == ["30 s", "1 min", "2.5 min", "12 min", "2.5 h"]


def test_a_rounded_number_has_two_digits_and_no_exponent() -> None:
    """Small ones have decimals, and large ones end in zeros."""
    assert [rounded(value) for value in (0.0123, 0.526, 7, 123.4, 4567)] == [
        *("0.012", "0.53", "7", "120", "4600")
    ]


def test_a_stage_has_a_number_and_the_time_that_is_left() -> None:
    """The time of a stage and of all that follow it; none where a later one is unknown."""
    told: Told = []

    def tick(done: int, total: int, message: str) -> None:
        told.append((done, total, message))

    stages = Stages(tick, {"timing": 1.0, "race": 4.0, "training": 5.0})
    stages.begin("timing")
    stages.begin("training")
    Stages(tick, {"timing": 1.0, "search": None}).begin("timing")
    assert told == [
        (0, 3, "stage 1 of 3: timing, about 10 min left in all"),
        (2, 3, "stage 3 of 3: training, about 5 min left in all"),
        (0, 2, "stage 1 of 2: timing"),
    ]
    assert all(is_heading(message) for _, _, message in told)
    assert not is_heading("epoch 3 of 4")


def test_what_is_done_is_said_in_the_words_of_the_caller() -> None:
    """A timing of anything is a step of its own; one without a count begins and ends."""
    told: Told = []

    def tick(done: int, total: int, message: str) -> None:
        told.append((done, total, message))

    named(tick, "timing the package")(3, 10, message="timing")
    with step(tick, "writing the report"):
        pass
    assert told == [
        (3, 10, "timing the package"),
        (0, 1, "writing the report"),
        (1, 1, "writing the report"),
    ]


def test_the_stages_that_took_longer_than_expected_are_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each with both times, also the one that is not over; a tenth too long is not worth it."""
    now_s, generator = 100.0, np.random.default_rng(3)
    monkeypatch.setattr("tapetum.progress.time.monotonic", lambda: now_s)
    expected = {f"stage {index}": generator.uniform(1, 9) for index in range(20)}
    took = {name: minutes * generator.uniform(0.5, 2) for name, minutes in expected.items()}
    stages = Stages(lambda *_: None, {**expected, "unknown": None})
    assert list(stages.late()) == []
    for name, minutes in took.items():
        stages.begin(name)
        now_s += 60 * minutes
    assert list(stages.late()) == [
        f"{name} took {in_words(took[name])} instead of {in_words(expected[name])}"
        for name in expected
        if took[name] > 1.1 * expected[name]
    ]


def test_every_count_has_a_unit() -> None:
    """Whoever reports more than one step says what is counted, wherever that is in the source."""
    lacking = []
    for path in sorted(Path(tapetum.__file__).parent.rglob("*.py")):
        for call in filter(is_a_report, ast.walk(ast.parse(path.read_text()))):
            _, total, message = call.args
            text = ast.unparse(message)
            if ast.unparse(total) != "1" and isinstance(message, ast.Constant | ast.JoinedStr):
                lacking += [] if re.search(r", in [^,]+['\"]$", text) else [f"{path.name}: {text}"]
    headings = ["progress.py: f'stage {number + 1} of {total}: {name}{when}'"]
    assert lacking == headings


def is_a_report(node: ast.AST) -> TypeGuard[ast.Call]:
    """Whether the source calls something like ``progress(done, total, message)`` there."""
    is_call = isinstance(node, ast.Call) and len(node.args) == 3
    return is_call and re.search(r"(progress|tick)$", ast.unparse(node.func)) is not None


@pytest.mark.parametrize("about", ["", "about ", "at most "])
@pytest.mark.parametrize("unit", ["images", "seconds of training"])
def test_a_count_is_shown_with_its_unit(unit: str, about: str) -> None:
    """A total that is an estimate is called one, and a single step has no count."""
    message = f"epoch 1 of 2, in loss, in {about}{unit}"
    expected = ("epoch 1 of 2, in loss", f"1,200 of {about}34,000 {unit}")
    assert split_counts(1200, 34000, message) == expected
    assert split_counts(0, 1, message) == ("epoch 1 of 2, in loss", "")


def test_a_path_is_shown_from_the_current_folder_or_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However it was typed; in a command it is quoted, and whole where that was asked for."""
    (tmp_path / "in side").mkdir()
    monkeypatch.chdir(tmp_path / "in side")
    for typed in ("runs/a", "./runs/a", tmp_path / "in side" / "runs" / "a"):
        assert shown_path(typed) == pasted(typed) == "runs/a"
        assert pasted(typed, whole=True) == f"'{tmp_path / 'in side' / 'runs' / 'a'}'"
    assert shown_path("../b") == str(tmp_path / "b")
    assert shown_path(".") == "."
