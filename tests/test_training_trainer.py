"""One loop for every network: it learns, keeps what it should, and stops when it must."""

import math
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from tapetum import provenance
from tapetum.errors import DataError, RunError, TrainingError
from tapetum.losses import EQUATION_2, EQUATION_3, LossWeights
from tapetum.nn import build
from tapetum.noise import NoisePlan
from tapetum.provenance import Provenance
from tapetum.training import RUNS, Request, load_network, train
from tapetum.training.batches import Batch
from tapetum.training.checkpoint import EpochRow, Position, read_checkpoint
from tapetum.training.compute import Compute
from tapetum.training.learner import Learner
from tapetum.training.process import process_settings
from tapetum.training.run import BEST, LAST, WEIGHTS
from tiny_training import (
    SIZE_PX,
    TINY_DATA,
    Squares,
    script_time,
    tiny_architecture,
    tiny_recipe,
    tiny_train,
)

ARCHITECTURE = tiny_architecture("unet-s")
GENTLE = tiny_recipe()
NAMES_ALONE = LossWeights(cross_entropy=1.0, charbonnier=0.0, ssim=0.0)
PSNR_ALONE = LossWeights(cross_entropy=0.0, charbonnier=0.0, log_mse=1.0)


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    """After a few epochs on drawn squares the image is cleaner and the names are better."""
    recipe = tiny_recipe(
        epochs=12, optimizer="adamw", schedule="one-cycle", warmup=0.3, learning_rate=1e-2
    )
    result = tiny_train(tmp_path / "run", recipe)
    rows = read_checkpoint(tmp_path / "run" / LAST, Position[EpochRow])[1].rows
    assert rows[-1] == result.last
    assert rows[-1].train["loss"] < rows[0].train["loss"] / 2
    assert _psnr_db(rows[-1]) > _psnr_db(rows[0]) + 3
    assert result.training_seconds == pytest.approx(sum(row.seconds for row in rows))


@pytest.mark.parametrize(
    ("name", "measures"),
    [
        ("unet-s", {"loss", "psnr_db", "gain_db"}),
        ("mb1-s", {"loss", "accuracy", "macro_accuracy"}),
        ("dc-net-reduced-sequential", {"loss", "psnr_db", "gain_db", "accuracy", "macro_accuracy"}),
    ],
)
def test_every_kind_of_network_is_trained(name: str, measures: set[str], tmp_path: Path) -> None:
    """Denoisers, classifiers and joint networks; each is validated by what it gives."""
    result = tiny_train(tmp_path / "run", tiny_recipe(epochs=1), tiny_architecture(name))
    assert set(result.last.validation) == measures
    fresh = build(tiny_architecture(name), seed=0)
    trained = load_network(tmp_path / "run")
    for old, new in zip(fresh.parameters(), trained.parameters(), strict=True):
        assert new.isfinite().all()
        assert not new.equal(old)


@pytest.mark.parametrize(
    "fields",
    [
        {"precision": "bf16", "channels_last": True},
        {"optimizer": "sgd", "momentum": 0.0, "clip_norm": 0.1},
        {"loss": EQUATION_3, "label_smoothing": 0.1},
        {"noise": NoisePlan(kind="gaussian", low=0.0, high=0.2, protocol="camera")},
    ],
    ids=str,
)
def test_recipes_of_all_kinds_are_followed(fields: dict[str, Any], tmp_path: Path) -> None:
    """Boxes are named under each of them, and the loss is finite."""
    result = tiny_train(tmp_path / "run", tiny_recipe(epochs=1, **fields), with_boxes=True)
    assert all(math.isfinite(value) for value in result.last.train.values())
    assert result.last.validation["loss"] is not None


@pytest.mark.parametrize(
    ("name", "loss", "idle"),
    [
        ("dc-net-reduced-integrated", EQUATION_2, "classifier."),
        ("dc-net-reduced-integrated", NAMES_ALONE, "decoder."),
        ("dc-net-reduced-integrated", PSNR_ALONE, "classifier."),
        ("dc-net-reduced-sequential", EQUATION_2, "classifier."),
        ("dc-net-reduced-sequential", NAMES_ALONE, "nothing"),
    ],
)
def test_what_no_loss_looks_at_stays_fresh(
    name: str, loss: LossWeights, idle: str, tmp_path: Path
) -> None:
    """A part whose output has no weight in the loss does not move, nor decay; the others do."""
    recipe = tiny_recipe(epochs=1, loss=loss, optimizer="adamw", weight_decay=0.1)
    tiny_train(tmp_path / "run", recipe, tiny_architecture(name))
    trained = dict(load_network(tmp_path / "run").named_parameters())
    for parameter, fresh in build(tiny_architecture(name), seed=0).named_parameters():
        assert trained[parameter].equal(fresh) == parameter.startswith(idle)


def test_equal_recipes_give_equal_weights(tmp_path: Path) -> None:
    """Two runs of one recipe agree in every bit, whatever torch's generator did before."""
    tiny_train(tmp_path / "one", tiny_recipe(epochs=1))
    torch.manual_seed(123)
    tiny_train(tmp_path / "two", tiny_recipe(epochs=1))
    one, two = (tmp_path / name / "weights.safetensors" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_the_generator_of_torch_is_given_back(tmp_path: Path) -> None:
    """A caller's random numbers do not depend on a training in between."""
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    tiny_train(tmp_path / "run", tiny_recipe(epochs=1))
    assert torch.rand(3).equal(expected)


def test_the_average_is_what_is_kept(tmp_path: Path) -> None:
    """With an average in the recipe, the final weights are the averaged ones."""
    tiny_train(tmp_path / "run", tiny_recipe(ema_decay=0.9))
    run = RUNS.open(tmp_path / "run")
    weights = safetensors.torch.load_file(run.path / WEIGHTS)
    tensors, _ = read_checkpoint(run.path / LAST, Position[EpochRow])
    assert all(weights[name].equal(tensors[f"average.{name}"]) for name in weights)
    assert any(not weights[name].equal(tensors[f"network.{name}"]) for name in weights)


@pytest.mark.parametrize("length", [{"steps": 8}, {"minutes": 0.5}], ids=str)
def test_a_training_begins_on_small_images(
    length: dict[str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the time on those of half the size, at four steps in the time of one."""
    seen = list[int]()
    losses = Learner.losses

    def spy(self: Learner, batch: Batch, *, step: int) -> Any:
        seen.append(batch.noisy.shape[-1])
        return losses(self, batch, step=step)

    monkeypatch.setattr(Learner, "losses", spy)
    script_time(monkeypatch.setattr, lambda _: 10.0 if SIZE_PX in seen else 2.5, validation_s=0.1)
    tiny_train(tmp_path / "run", tiny_recipe(**length, half_size=0.5))
    small = seen.count(SIZE_PX // 2)
    assert seen == [SIZE_PX // 2] * small + [SIZE_PX] * (len(seen) - small)
    assert (small, len(seen) - small) == (6, 2 if "steps" in length else 3)


def test_the_best_epoch_can_be_kept(tmp_path: Path) -> None:
    """With ``keep='best'`` the final weights are those of the lowest validation loss."""
    recipe = tiny_recipe(epochs=4, optimizer="sgd", learning_rate=0.7, keep="best")
    result = tiny_train(tmp_path / "run", recipe)
    run = RUNS.open(tmp_path / "run")
    rows = read_checkpoint(run.path / LAST, Position[EpochRow])[1].rows
    losses = [row.validation["loss"] or math.inf for row in rows]
    assert result.kept_epoch == result.best_epoch == losses.index(min(losses)) + 1
    weights = safetensors.torch.load_file(run.path / WEIGHTS)
    best, _ = read_checkpoint(run.path / BEST, Position[EpochRow])
    assert all(weights[name].equal(best[f"network.{name}"]) for name in weights)


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    """The sentence says where, and the last good checkpoint stays and is finite."""
    request = Request(architecture=ARCHITECTURE, recipe=GENTLE, data=TINY_DATA)
    run = RUNS.start(tmp_path / "run", request)
    with pytest.raises(
        TrainingError, match=r"the loss is nan at step 7 .*the last good checkpoint"
    ):
        train(build(ARCHITECTURE, seed=0), GENTLE, _Broken(from_take=7), Squares(4), run)
    tensors, position = read_checkpoint(run.path / LAST, Position[EpochRow])
    assert position.step == 6
    assert all(bool(tensor.isfinite().all()) for tensor in tensors.values())
    assert not run.is_finished


def test_weights_that_are_not_finite_are_not_kept(tmp_path: Path) -> None:
    """A rate so high that a step corrupts the weights leaves no checkpoint of them."""
    steep = tiny_recipe(
        optimizer="sgd", learning_rate=3e38, weight_decay=100.0, checkpoint_every_steps=1
    )
    with pytest.raises(TrainingError, match="weights are no longer finite after step 1"):
        tiny_train(tmp_path / "run", steep)
    assert not (tmp_path / "run" / LAST).exists()


def test_progress_is_told_of_each_step(tmp_path: Path) -> None:
    """Steps count up to the total, with a message for people."""
    told: list[tuple[int, int, str]] = []
    tiny_train(
        tmp_path / "run",
        progress=lambda done, total, message: told.append((done, total, message)),
    )
    assert [(done, total) for done, total, _ in told] == [(step, 8) for step in range(1, 9)]
    assert told[0][2].startswith("epoch 1 of 2, loss ")
    assert told[-1][2].startswith("epoch 2 of 2, loss ")


def test_sets_without_a_batch_are_refused(tmp_path: Path) -> None:
    """Too few training images, or none to validate on, end in a sentence."""
    request = Request(architecture=ARCHITECTURE, recipe=GENTLE, data=TINY_DATA)
    run = RUNS.start(tmp_path / "run", request)
    with pytest.raises(DataError, match="cannot be made of 3 images"):
        train(build(ARCHITECTURE, seed=0), GENTLE, Squares(3), Squares(3), run)
    with pytest.raises(DataError, match="no images to validate on"):
        train(build(ARCHITECTURE, seed=0), GENTLE, Squares(8), Squares(0), run)


def test_a_run_is_of_one_request_and_one_dataset(tmp_path: Path) -> None:
    """One of another request is not trained, and one with other images is not resumed."""
    request = Request(architecture=ARCHITECTURE, recipe=GENTLE, data=TINY_DATA)
    run = RUNS.start(tmp_path / "run", request)
    with pytest.raises(RunError, match=r"recipe\.epochs was 2, is 3"):
        train(build(ARCHITECTURE, seed=0), tiny_recipe(epochs=3), Squares(16), Squares(8), run)
    with pytest.raises(TrainingError):
        train(build(ARCHITECTURE, seed=0), GENTLE, _Broken(from_take=7), Squares(8), run)
    with pytest.raises(RunError, match="began with 16 training images, now there are 20"):
        train(build(ARCHITECTURE, seed=0), GENTLE, Squares(20), Squares(8), run)


def test_a_image_restored_exactly_corrupts_no_file(tmp_path: Path) -> None:
    """Its infinite PSNR is stored as none: the run is resumed, and its result is read again."""
    recipe = tiny_recipe(noise=NoisePlan(kind="gaussian", levels=(0.0,)))
    request = Request(architecture=ARCHITECTURE, recipe=recipe, data=TINY_DATA)
    run = RUNS.start(tmp_path / "run", request)
    sets = (_Blank(16), _Blank(8))
    with pytest.raises(KeyboardInterrupt):
        train(build(ARCHITECTURE, seed=0), recipe, *sets, run, progress=_stop_in_the_second_epoch)
    assert (
        read_checkpoint(run.path / LAST, Position[EpochRow])[1].rows[0].validation["psnr_db"]
        is None
    )
    result = train(build(ARCHITECTURE, seed=0), recipe, *sets, run)
    assert run.result() == result
    assert result.last.validation["psnr_db"] is None
    table = (run.path / "metrics.csv").read_text().splitlines()
    assert table[1].split(",")[table[0].split(",").index("validation_psnr_db")] == ""


def test_a_result_tells_of_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Provenance is that of the code that ran, whatever is edited while it runs."""
    stamps: list[Provenance] = []

    def stamp(*, seed: int | None = None) -> Provenance:
        stamps.append(provenance.stamp(seed=seed))
        return stamps[-1]

    def progress(done: int, total: int, message: str) -> None:
        del done, total, message
        assert len(stamps) == 1

    monkeypatch.setattr("tapetum.training.trainer.stamp", stamp)
    result = tiny_train(tmp_path / "run", progress=progress)
    assert [result.provenance] == stamps


def test_a_result_tells_how_it_was_computed(tmp_path: Path) -> None:
    """Among others whether denormals were flushed, by how many threads, with which allocator."""
    result = tiny_train(tmp_path / "run", tiny_recipe(epochs=1))
    assert result.process == process_settings()
    assert RUNS.open(tmp_path / "run").result().process == result.process


def test_processes_agree_on_the_validation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What decides on rates and on the best epoch is the mean over all processes."""
    alone = Compute.mean

    def with_a_worse_neighbour(compute: Compute, values: Any) -> dict[str, float]:
        means = alone(compute, values)
        return {**means, "loss": means["loss"] + 1} if "psnr_db" in means else means

    expected = tiny_train(tmp_path / "one", tiny_recipe(epochs=1)).last.validation["loss"]
    monkeypatch.setattr(Compute, "mean", with_a_worse_neighbour)
    found = tiny_train(tmp_path / "two", tiny_recipe(epochs=1)).last.validation["loss"]
    position = read_checkpoint(tmp_path / "two" / LAST, Position[EpochRow])[1]
    assert expected is not None
    assert found == position.rows[0].held_out_loss == pytest.approx(expected + 1)


def _psnr_db(row: EpochRow) -> float:
    psnr_db = row.validation["psnr_db"]
    assert psnr_db is not None
    return psnr_db


def _stop_in_the_second_epoch(done: int, total: int, message: str) -> None:
    del total, message
    if done == 5:
        raise KeyboardInterrupt


class _Blank(Squares):
    """Black images: a fresh denoiser already returns them exactly, its biases being 0."""

    def take(self, indices: Any, *, epoch: int, seed: int, train: bool) -> Any:
        clean = super().take(indices, epoch=epoch, seed=seed, train=train)
        clean.images[:] = 0
        return clean


class _Broken(Squares):
    """Sixteen squares; after some batches, an image has no value at one place."""

    def __init__(self, *, from_take: int) -> None:
        super().__init__(16)
        self.left = from_take

    def take(self, indices: Any, *, epoch: int, seed: int, train: bool) -> Any:
        clean = super().take(indices, epoch=epoch, seed=seed, train=train)
        self.left -= 1
        if self.left <= 0:
            clean.images[0, 0, 0, 0] = math.nan
        return clean
