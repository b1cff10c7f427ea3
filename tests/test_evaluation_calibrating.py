"""Temperature scaling: it lowers the calibration error and keeps the order of the classes."""

import numpy as np
import pytest

from tapetum.evaluation.calibrating import (
    Labelled,
    calibrate,
    fit_temperature,
    negative_log_likelihood,
    tempered,
)
from tapetum.metrics import expected_calibration_error

NUM_IMAGES = 600


def sure(factor: float, *, num_images: int = NUM_IMAGES, levels: int = 2) -> Labelled:
    """Predictions whose logits are ``factor`` times those by which the labels were drawn."""
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 1.5, (levels * num_images, 5))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([generator.choice(5, p=row) for row in shares])
    powers = np.exp(factor * logits)
    given = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return Labelled(np.tile(np.arange(num_images), levels), given, labels)


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_the_temperature_undoes_a_wrong_scale(factor: float) -> None:
    """Logits that are three times too large are divided by three."""
    assert fit_temperature(sure(factor)) == pytest.approx(factor, rel=0.1)


def test_scaling_lowers_the_error_of_what_is_too_sure() -> None:
    """Both errors are stated; after scaling nine in ten of those with 90 % are right."""
    found = sure(3.0)
    calibration = calibrate(found)
    assert calibration.error_before > 0.2
    assert calibration.error_after is not None
    assert calibration.error_after < 0.04
    scaled = tempered(found.probabilities, calibration.temperature)
    assert expected_calibration_error(scaled, found.labels) < 0.04


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.0, 10.0])
def test_scaling_keeps_the_order_of_the_classes(temperature: float) -> None:
    """A more probable class stays at least as probable, and rows sum to 1."""
    shares = sure(1.0).probabilities
    scaled = tempered(shares, temperature)
    order = np.argsort(-shares, axis=1, kind="stable")
    in_order = np.take_along_axis(scaled, order, axis=1)
    assert (np.diff(in_order, axis=1) <= 0).all()
    np.testing.assert_allclose(scaled.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(scaled.argmax(axis=1), shares.argmax(axis=1))


def test_a_temperature_of_one_changes_nothing() -> None:
    """Up to rounding; a class without any probability stays so."""
    shares = np.array([[0.7, 0.3, 0.0], [1.0, 0.0, 0.0]], np.float32)
    np.testing.assert_allclose(tempered(shares, 1.0), shares, atol=1e-7)


def test_each_half_is_scaled_by_the_other() -> None:
    """All noise levels of an image lie in one half, so the error is that of unseen images."""
    found = sure(3.0, num_images=80)
    scaled = np.empty_like(found.probabilities)
    calibration = calibrate(found)
    with pytest.MonkeyPatch.context() as patch:
        seen: list[set[int]] = []

        def watched(part: Labelled) -> float:
            seen.append(set(part.images.tolist()))
            return 2.0

        patch.setattr("tapetum.evaluation.calibrating.fit_temperature", watched)
        doubled = calibrate(found)
    first, second, whole = seen
    assert not first & second
    assert first | second == whole == set(range(80))
    scaled[:] = tempered(found.probabilities, 2.0)
    assert doubled.error_after == expected_calibration_error(scaled, found.labels)
    assert calibration.error_before == doubled.error_before


def test_few_images_are_not_calibrated_and_it_is_said() -> None:
    """The probabilities stay as they are."""
    calibration = calibrate(sure(3.0, num_images=49))
    assert (calibration.temperature, calibration.error_after) == (1.0, None)
    assert "not calibrated, since 49 held-out images are too few" in calibration.text


def test_scaling_that_does_not_help_is_left_out() -> None:
    """Probabilities that are right already stay as they are, or nearly so."""
    calibration = calibrate(sure(1.0))
    assert calibration.temperature == pytest.approx(1, abs=0.1)
    assert calibration.error_after is not None


def test_the_likelihood_is_that_of_the_true_class() -> None:
    """A class that was held impossible costs much, but not infinitely."""
    shares = np.array([[0.5, 0.5], [1.0, 0.0]], np.float32)
    likely = negative_log_likelihood(shares, np.array([0, 0]))
    assert likely == pytest.approx(np.log(2) / 2)
    assert np.isfinite(negative_log_likelihood(shares, np.array([0, 1])))
