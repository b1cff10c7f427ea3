"""Ranges of int8: what each method keeps, and how a loss is said."""

import numpy as np
import pytest

from packages import DENOISER, real
from tapetum.errors import InputError, PackageError
from tapetum.formats.ranges import Numbers, RangeChoice, RangeLoss


def test_min_max_holds_every_number_and_percentile_leaves_rare_ones_out() -> None:
    """Of two images, a single number in ten thousand of one is far outside."""
    numbers, generator = Numbers(np.random.default_rng(0)), np.random.default_rng(1)
    for far in (0.0, 50.0):
        value = generator.uniform(-1, 2, (1, 1, 100, 100)).astype(np.float32)
        value[0, 0, 3, 4] = far
        numbers.add("a", value)
    assert numbers.ranges("min-max")["a"] == pytest.approx((-1, 50), abs=0.01)
    assert numbers.ranges("percentile")["a"] == pytest.approx((-1, 2), abs=0.02)


def test_a_number_that_is_not_finite_is_refused() -> None:
    """It would make every step endless."""
    with pytest.raises(PackageError, match="numbers that are not finite"):
        Numbers(np.random.default_rng(0)).add("a", np.array([1, np.nan], np.float32))


def test_a_loss_counts_in_units_of_what_may_be_lost() -> None:
    """0.1 dB, half a point or one label of few are one unit each; a gain is no loss."""
    assert RangeLoss(db=0.1, points=0.5).size(1000) == pytest.approx(2)
    assert RangeLoss(db=-0.3, points=4.0).size(25) == pytest.approx(1)
    assert RangeLoss(db=0.05).size(10) == pytest.approx(0.5)


def test_a_manifest_keeps_how_int8_was_calibrated() -> None:
    """With the losses of all methods; a manifest of floats has none."""
    manifest = real(DENOISER).manifest
    losses = {"percentile": RangeLoss(db=0.002, points=0.0), "min-max": RangeLoss(db=0.039)}
    choice = RangeChoice(method="percentile", float_ends=False, num_images=96, losses=losses)
    assert RangeChoice.of(manifest) is None
    assert RangeChoice.of(choice.noted_in(manifest)) == choice
    assert choice.text == (
        "int8 is calibrated by percentile, which changes the PSNR by -0.002 dB and 0.0 % of the "
        "labels on 96 noisy images (min-max the PSNR by -0.039 dB); the first and last layers are "
        "in int8 too"
    )
    strange = manifest.model_copy(update={"provenance": {"int8": "none"}})
    with pytest.raises(InputError, match="does not say how it was put into int8"):
        RangeChoice.of(strange)
    alone = RangeChoice(method="min-max", float_ends=True, num_images=96, losses={})
    assert alone.text == "int8 is calibrated by min-max"
