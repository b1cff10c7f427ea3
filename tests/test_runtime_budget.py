"""An exported file is set beside the budget that the package of its fit kept."""

import pytest

from tapetum.records import Weight
from tapetum.runtime import KeptBudget

BUDGET = {"target_ms": 4.0, "most_ms": 4.08, "precision": "int8"}


def test_a_file_that_was_not_timed_is_to_be_measured() -> None:
    """With a command that can be pasted."""
    note = KeptBudget(**BUDGET, package_ms=3.9).note("a b.onnx", "int8")
    assert note == (
        "the budget of 4 ms was kept by the int8 package (3.9 ms); measure a b.onnx with: "
        "tapetum benchmark 'a b.onnx'"
    )
    assert note.weight is Weight.REMARK


@pytest.mark.parametrize(("times", "is_slow"), [(3.5, True), (1.02, False)])
def test_a_file_in_fp32_that_is_far_slower_is_warned_of(times: float, *, is_slow: bool) -> None:
    """By what the fit measured of both."""
    note = KeptBudget(**BUDGET, package_ms=3.9, fp32_times=times).note("a.onnx", "fp32")
    assert ("so it is likely to miss the budget" in note) == is_slow
    assert (note.weight is Weight.RESULT) == is_slow


@pytest.mark.parametrize(("file_ms", "is_slow"), [(5.0, True), (3.0, False)])
def test_a_file_that_was_timed_says_its_latency(file_ms: float, *, is_slow: bool) -> None:
    """Its own latency counts, not that of the package."""
    note = KeptBudget(**BUDGET, package_ms=4.2, file_ms=file_ms).note("a.onnx", "fp16")
    assert f"was missed by the int8 package (4.2 ms); one pass of a.onnx takes {file_ms:g}" in note
    assert (note.weight is Weight.RESULT) == is_slow
