"""Scores of anything that predicts, one row a noise level."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tapetum.errors import InputError
from tapetum.nn import build
from tapetum.noise import Gaussian, Speckle
from tapetum.scores import Scores
from tapetum.training import RUNS, evaluate, load_network, network_predict
from tiny_training import Squares, tiny_architecture, tiny_train

LEVELS = [Gaussian(sigma=0.1), Gaussian(sigma=0.4)]
Floats = NDArray[np.float32]


def _leave_it(noisy: Floats, boxes: Floats | None) -> tuple[Floats | None, Floats | None]:
    del boxes
    return noisy, None


def _know_it(noisy: Floats, boxes: Floats | None) -> tuple[Floats | None, Floats | None]:
    """Finds the brightest quarter; noise is no match for a sum."""
    del boxes
    half = noisy.shape[-1] // 2
    quarters = noisy[:, 0].reshape(-1, 2, half, 2, half).sum((2, 4)).reshape(-1, 4)
    return None, quarters.astype(np.float32)


def test_leaving_images_alone_scores_as_the_noisy_ones() -> None:
    """Who does nothing gets the scores of the noisy images, worse at stronger noise."""
    scores = evaluate(_leave_it, Squares(10), LEVELS)
    for row in scores.rows:
        assert row.psnr_db == pytest.approx(row.noisy_psnr_db)
        assert row.ssim == pytest.approx(row.noisy_ssim)
        assert row.accuracy is None
        assert row.num_images == 10
    weak, strong = scores.rows
    assert weak.psnr_db == pytest.approx(20, abs=1)  # sigma 0.1, some of it clamped
    assert strong.psnr_db is not None
    assert strong.psnr_db < 11


def test_knowing_the_names_scores_full_marks() -> None:
    """Names alone are scored without an image output."""
    scores = evaluate(_know_it, Squares(12), [Gaussian(sigma=0.05)])
    (row,) = scores.rows
    assert (row.accuracy, row.macro_accuracy) == (1.0, 1.0)
    assert row.calibration_error is not None
    assert row.psnr_db is None
    assert row.noisy_psnr_db is not None


def test_the_mean_counts_each_level_equally() -> None:
    """It is the plain mean of the rows."""
    scores = evaluate(_leave_it, Squares(6), LEVELS)
    values = [row.psnr_db for row in scores.rows]
    assert scores.mean.psnr_db == pytest.approx(np.mean([v for v in values if v is not None]))
    assert scores.mean.noise is None


@pytest.mark.parametrize("batch_size", [1, 4, 7, 64])
def test_the_size_of_a_batch_does_not_matter(batch_size: int) -> None:
    """Every image counts once, in a last partial batch too."""
    expected = evaluate(_leave_it, Squares(7), LEVELS, batch_size=3)
    found = evaluate(_leave_it, Squares(7), LEVELS, batch_size=batch_size)
    assert found.rows[1].psnr_db == pytest.approx(expected.rows[1].psnr_db, rel=1e-5)
    assert found.rows[1].num_images == 7


def test_images_without_noise_have_no_finite_psnr() -> None:
    """An infinite PSNR is stored as none, so that scores survive JSON."""
    scores = evaluate(_leave_it, Squares(2), [Gaussian(sigma=0.0), Speckle(sigma=0.2)])
    assert scores.rows[0].noisy_psnr_db is None
    assert scores.rows[0].noisy_ssim == pytest.approx(1.0)
    assert scores.mean.noisy_psnr_db is None
    assert Scores.from_json(scores.to_json(), source="a test") == scores


def test_noise_of_their_own_needs_no_level() -> None:
    """``None`` stands for images that bring their noisy twins."""
    (row,) = evaluate(_leave_it, Squares(2), [None]).rows
    assert row.noise is None


def test_nothing_to_score_is_refused() -> None:
    """No level or no image ends in a sentence."""
    with pytest.raises(InputError, match="2 images on 0 noise levels"):
        evaluate(_leave_it, Squares(2), [])
    with pytest.raises(InputError, match="0 images on 2 noise levels"):
        evaluate(_leave_it, Squares(0), LEVELS)


def test_progress_counts_the_batches() -> None:
    """Of all levels, up to the total."""
    told: list[tuple[int, int]] = []
    evaluate(
        _leave_it,
        Squares(5),
        LEVELS,
        batch_size=2,
        progress=lambda done, total, message: told.append((done, total)),  # noqa: ARG005
    )
    assert told == [(done, 6) for done in range(1, 7)]


@pytest.mark.parametrize("with_boxes", [False, True])
def test_a_network_is_scored_on_both_outputs(with_boxes: bool) -> None:
    """Names of whole images and names of boxes alike."""
    network = build(tiny_architecture(boxes=with_boxes), seed=0)
    predict = network_predict(network)
    (row,) = evaluate(predict, Squares(6, with_boxes=with_boxes), LEVELS[:1], batch_size=4).rows
    assert row.psnr_db is not None
    assert row.ssim is not None
    assert row.accuracy is not None


def test_scoring_leaves_the_network_as_it_is() -> None:
    """Its mode stays, as do its batch statistics; on a CPU the scores are its exact outputs."""
    network = build(tiny_architecture(), seed=0)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    noisy = np.random.default_rng(0).random((2, 1, 32, 32), dtype=np.float32)
    denoised, logits = network_predict(network)(noisy, None)
    assert network.training
    assert all(value.equal(state[name]) for name, value in network.state_dict().items())
    if not torch.accelerator.is_available():
        with torch.inference_mode():
            expected = network.eval()(torch.from_numpy(noisy))
        np.testing.assert_array_equal(denoised, expected.image.numpy())
        np.testing.assert_array_equal(logits, expected.logits.numpy())


def test_a_network_is_scored_where_it_would_be_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    """The images and a copy of the network go to that device; the network itself stays."""
    seen: list[str] = []
    network = build(tiny_architecture(), seed=0)
    network.register_forward_pre_hook(
        lambda module, inputs: seen.extend(
            tensor.device.type for tensor in (next(module.parameters()), inputs[0])
        )
    )
    found = torch.device("meta")
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: found)
    predict = network_predict(network)
    with pytest.raises(NotImplementedError):  # nothing can be copied out of the meta device
        predict(np.zeros((1, 1, 32, 32), dtype=np.float32), None)
    assert seen == ["meta", "meta"]
    assert next(network.parameters()).device.type == "cpu"


def test_scores_are_kept_with_the_result(tmp_path: Path) -> None:
    """A result takes the scores of its run, and gives them back."""
    result = tiny_train(tmp_path / "run")
    predict = network_predict(load_network(tmp_path / "run"))
    scores = evaluate(predict, Squares(4), LEVELS)
    run = RUNS.open(tmp_path / "run")
    run.finish(result.model_copy(update={"scores": scores}))
    assert run.result().scores == scores
