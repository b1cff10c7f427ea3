"""The limits of an export: what int8 and the format lose together."""

from types import SimpleNamespace
from typing import Any

import pytest

from tapetum.formats import Comparison, Exported
from tapetum.jobs.deploying import _Limits


def exported(choice: Any = None, comparison: Any = "no file") -> Exported:
    """The result of an export with these losses."""
    written = None if comparison == "no file" else SimpleNamespace(comparison=comparison)
    return Exported.model_construct(path="x", size_bytes=1, precision=choice, written=written)


INT8 = SimpleNamespace(precision="int8", lost_db=0.25, lost_points=1.0)
FP32 = SimpleNamespace(
    precision="fp32", lost_db=3.0, lost_points=9.0
)  # of int8, which was not used
LOSSY = Comparison(num_images=4, max_difference={}, psnr_db=(30.0, 29.75), accuracy=(0.75, 0.75))


@pytest.mark.parametrize(
    ("result", "lost_db"),
    [
        (exported(), 0.0),
        (exported(INT8), 0.25),
        (exported(FP32), 0.0),
        (exported(comparison=LOSSY), 0.25),
        (exported(INT8, LOSSY), 0.5),
    ],
)
def test_losses_of_int8_and_of_the_format_add_up(result: Exported, lost_db: float) -> None:
    """What is exactly at the limit is allowed; what is above is told."""
    assert _Limits(lost_db, None).applied(result).exceeded == ()
    if lost_db:
        told = f"{lost_db:.2f} dB are lost, and at most 0.1 may be"
        assert _Limits(0.1, 50).applied(result).exceeded == (told,)


def test_what_was_not_measured_keeps_no_limit() -> None:
    """A denoiser has no accuracy, and without images nothing is known."""
    no_labels = LOSSY.model_copy(update={"accuracy": None})
    for result in (exported(comparison=None), exported(comparison=no_labels)):
        (told,) = _Limits(None, 1).applied(result).exceeded
        assert told == "the loss in points of accuracy was not measured, and a limit was given"
    assert _Limits(None, None).applied(exported(comparison=None)).exceeded == ()
