"""Laws of a whole search: it keeps the target; a kill changes nothing."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from kills import kill_everywhere
from tapetum.arch import Architecture
from tapetum.arch.space import Space
from tapetum.errors import DataError, InputError, RunError, TrainingError
from tapetum.losses import EQUATION_3
from tapetum.search.relax import mixture_latency
from tapetum.search.result import SEARCHES, SearchEpoch
from tapetum.search.searcher import Searcher
from tapetum.search.supernet import Mixture
from tapetum.search.widths import nominal_widths
from tapetum.training import Batch
from tapetum.training.checkpoint import Position, read_checkpoint
from tiny_search import (
    NUM_IMAGES,
    joint_table,
    tiny_recipe,
    tiny_search,
    tiny_table,
    tiny_target_ms,
)
from tiny_training import TINY_DATA, Squares

STEPS_PER_EPOCH = 4


class KilledError(Exception):
    """Stands for a kill: nothing is written after it."""


def killed_at(step: int) -> object:
    """A progress callback that ends the search after ``step`` steps."""

    def progress(done: int, total: int, message: str) -> None:
        del total, message
        if done == step:
            raise KilledError

    return progress


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"shares_weights": True, "alpha_update": "pair", "splits_batches": True},
        {"shares_weights": True, "scales_widths": False, "precision": "bf16"},
    ],
    ids=["published", "swift", "widths as they are"],
)
def test_what_is_found_keeps_the_target(tmp_path: Path, changes: dict[str, object]) -> None:
    """By the table; and everything that a person asks about the search is kept."""
    table = tiny_table()
    found = tiny_search(tmp_path / "search", tiny_recipe(**changes), table)
    folder = SEARCHES.open(tmp_path / "search")
    assert found.predicted_ms <= found.target_ms
    assert folder.result() == found
    architecture = Architecture.read(folder.path / "architecture.json")
    predicted_ms = table.predict_architecture(architecture).median_ms
    assert predicted_ms == pytest.approx(found.predicted_ms)
    assert [row.epoch for row in found.epochs] == [1, 2, 3]
    for row in found.epochs:
        assert 0 <= row.judged["accuracy"] <= 1
        assert 0 < row.entropy <= 1
        for probabilities in row.probabilities.values():
            assert sum(probabilities.values()) == pytest.approx(1)
    assert "alpha_loss" not in found.epochs[0].means
    assert "alpha_loss" in found.epochs[1].means
    assert found.epochs[0].widths == nominal_widths(table.space)
    is_scaled = [row.widths_ended != "unscaled" for row in found.epochs]
    assert is_scaled == [False, *2 * [changes.get("scales_widths", True)]]
    header, *lines = (folder.path / "epochs.csv").read_text().splitlines()
    assert "expected_ms" in header
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("changes", "paths"),
    [({}, (1, 2)), ({"shares_weights": True, "splits_batches": True}, (2, 2))],
    ids=["published", "swift"],
)
def test_a_step_trains_its_paths_and_prices_its_mixture(
    changes: dict[str, object],
    paths: tuple[int, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The published warm-up trains one path; the latency of a mixture is that of its shares."""
    table, mixtures = tiny_table(), []
    loss_of = Searcher._loss

    def loss(self: Searcher, batch: Batch, mixture: Mixture) -> object:
        mixtures.append(mixture)
        return loss_of(self, batch, mixture)

    monkeypatch.setattr(Searcher, "_loss", loss)
    _, second = tiny_search(tmp_path / "search", tiny_recipe(epochs=2, **changes), table).epochs
    mixed = [m for m in mixtures if any(p.share is not None for (p, *_) in m.parts.values())]
    steps = STEPS_PER_EPOCH
    assert len(mixtures) - len(mixed) == steps * sum(paths)
    latencies = [mixture_latency(mixture, table).item() for mixture in mixed]
    assert len(latencies) == steps // 2
    assert second.means["mixture_ms"] == pytest.approx(np.mean(latencies), rel=1e-5)


@pytest.mark.parametrize("step", [4, 10])
def test_a_search_that_was_killed_ends_as_one_that_was_not(tmp_path: Path, step: int) -> None:
    """Bit by bit: weights, logits, moments, widths, choices."""
    recipe = tiny_recipe(shares_weights=True, alpha_update="pair")
    table = tiny_table()
    whole = tiny_search(tmp_path / "whole", recipe, table)
    with pytest.raises(KilledError):
        tiny_search(tmp_path / "killed", recipe, table, progress=killed_at(step))
    again = tiny_search(tmp_path / "killed", recipe, table, resume=True)
    assert again.choices == whole.choices
    ends = [
        read_checkpoint(tmp_path / name / "checkpoint.safetensors", Position[SearchEpoch])
        for name in ("whole", "killed")
    ]
    (tensors, position), (theirs, other) = ends
    assert tensors.keys() == theirs.keys()
    for name, value in tensors.items():
        assert torch.equal(value, theirs[name]), name
    assert position.settings == other.settings
    assert [row.probabilities for row in position.rows] == [row.probabilities for row in other.rows]


@pytest.mark.slow
def test_a_kill_at_any_step_of_the_file_system_can_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the first folder to the result; a resumed search has every file and the same choice."""
    recipe, table = tiny_recipe(epochs=1, warmup_epochs=0, checkpoint_every_steps=2), tiny_table()
    whole = tiny_search(tmp_path / "whole", recipe, table)
    deaths = kill_everywhere(lambda n: tiny_search(tmp_path / f"{n}", recipe, table), monkeypatch)
    assert deaths > 7
    for death in range(deaths):
        path = tmp_path / f"{death}"
        again = tiny_search(path, recipe, table, resume=True)
        assert again.choices == whole.choices
        assert [row.probabilities for row in again.epochs] == [
            row.probabilities for row in whole.epochs
        ]
        assert {file.name for file in path.iterdir()} == {
            file.name for file in (tmp_path / "whole").iterdir()
        }


def test_a_step_is_told_with_the_epoch_that_it_belongs_to(tmp_path: Path) -> None:
    """The last step of an epoch too."""
    told = []
    tiny_search(
        tmp_path / "search",
        tiny_recipe(epochs=2),
        progress=lambda done, total, message: told.append((done / total, message)),
    )
    assert told[-1][0] == 1
    begins = [message.split(", loss")[0] for _, message in told]
    assert begins == [f"search, epoch {1 + (done > 0.5)} of 2" for done, _ in told]


def test_a_joint_space_is_searched_with_both_losses(tmp_path: Path) -> None:
    """The decoder is a part of the supernet where the loss looks at the image."""
    table = joint_table()
    for name, changes in (("both", {"loss": EQUATION_3}), ("names", {})):
        recipe = tiny_recipe(epochs=1, warmup_epochs=0, shares_weights=True, **changes)
        found = tiny_search(tmp_path / name, recipe, table)
        assert ("charbonnier" in found.epochs[0].means) == (name == "both")
        assert found.epochs[0].judged["psnr_db"] is not None


def test_what_cannot_end_well_is_refused_before_it_begins(tmp_path: Path) -> None:
    """A target out of reach, other images, too few of them: no folder is made."""
    table, recipe, path = tiny_table(), tiny_recipe(), tmp_path / "search"
    with pytest.raises(InputError, match=r"no network of small takes 0\.01 ms.*ask for"):
        tiny_search(path, recipe, table, target_ms=0.01)
    with pytest.raises(DataError, match="10 images do not make a batch of 4"):
        tiny_search(path, recipe, table, images=Squares(10))
    fixed = table.space.architecture(table.space.random(np.random.default_rng(0)))
    parts = fixed.model_dump(include={"image_channels", "classifier"}, exclude_none=True)
    slots = Space.model_validate({"name": "fixed", **parts})
    with pytest.raises(InputError, match="fixed has no slot: there is nothing to search"):
        tiny_search(path, recipe, table.model_copy(update={"space": slots}), target_ms=1.0)
    squares = Squares(NUM_IMAGES)
    squares.class_names = ("one", "two")  # type: ignore[assignment]
    with pytest.raises(InputError, match="is for 4 classes, these images have 2"):
        tiny_search(path, recipe, table, images=squares)
    squares.class_names = ()  # type: ignore[assignment]
    with pytest.raises(InputError, match="these have no labels"):
        tiny_search(path, recipe, table, images=squares)
    boxed = TINY_DATA.model_copy(update={"has_boxes": True})
    with pytest.raises(InputError, match="the labels of this dataset belong to boxes"):
        recipe.require_searchable(table.space, Squares(NUM_IMAGES), boxed)
    assert not path.exists()


def test_a_space_whose_networks_have_no_loss_is_refused() -> None:
    """Denoisers without a loss of the image, and classifiers without one of the labels."""
    joint, images = joint_table().space, Squares(NUM_IMAGES)
    denoisers, names = joint.model_copy(update={"classifier": None}), tiny_recipe()
    both = tiny_recipe(loss=EQUATION_3)
    with pytest.raises(InputError, match="tiny weighs cross_entropy alone, which is no loss"):
        names.require_searchable(denoisers, images, TINY_DATA)
    for space, recipe in ((denoisers, both), (joint, names), (joint, both)):
        recipe.require_searchable(space, images, TINY_DATA)
    image = tiny_recipe(loss=EQUATION_3.model_copy(update={"cross_entropy": 0.0}))
    with pytest.raises(InputError, match="no loss of the networks of small"):
        image.require_searchable(tiny_table().space, images, TINY_DATA)


def test_a_folder_is_of_one_request_and_one_table(tmp_path: Path) -> None:
    """A finished search gives its result again; another request or table is refused."""
    table, recipe, path = tiny_table(), tiny_recipe(epochs=1, warmup_epochs=0), tmp_path / "search"
    found = tiny_search(path, recipe, table)
    assert tiny_search(path, recipe, table, resume=True) == found
    with pytest.raises(RunError, match="already contains a search"):
        tiny_search(path, recipe, table)
    with pytest.raises(RunError, match=r"another request: target_ms was"):
        tiny_search(path, recipe, table, target_ms=0.9 * tiny_target_ms(table), resume=True)
    other = table.model_copy(update={"fixed_ms": table.fixed_ms + 0.1})
    with pytest.raises(RunError, match="another request: table_sha256 was"):
        tiny_search(path, recipe, other, target_ms=tiny_target_ms(table), resume=True)


def test_a_search_of_an_older_version_is_not_continued(tmp_path: Path) -> None:
    """Its checkpoint has other tensors; its request can still be read."""
    table, recipe, path = tiny_table(), tiny_recipe(epochs=1, warmup_epochs=0), tmp_path / "search"
    tiny_search(path, recipe, table)
    request = path / "request.json"
    old = {**json.loads(request.read_text()), "schema_version": 2}
    request.write_text(json.dumps(old))
    assert SEARCHES.open(path).request.recipe == recipe
    with pytest.raises(RunError, match="another request: schema_version was 2"):
        tiny_search(path, recipe, table, resume=True)


def test_a_loss_that_explodes_ends_the_search(tmp_path: Path) -> None:
    """In a sentence, with the checkpoint of before."""
    with pytest.raises(TrainingError, match=r"the loss is (nan|inf).*lower learning_rate"):
        tiny_search(tmp_path / "search", tiny_recipe(learning_rate=1e30, clip_norm=1e30))


def test_a_table_that_is_made_again_is_the_same_table(tmp_path: Path) -> None:
    """Timings of a device become a table at every command, with its date; prices are others."""
    table = tiny_table()
    found = tiny_search(tmp_path / "run", tiny_recipe(epochs=2), table)
    later = table.provenance.model_copy(update={"date": "later", "command": "another"})
    again = table.model_copy(update={"provenance": later})
    assert tiny_search(tmp_path / "run", tiny_recipe(epochs=2), again, resume=True) == found
    dearer = table.model_copy(update={"fixed_ms": table.fixed_ms + 0.01})
    with pytest.raises(RunError, match="table_sha256"):
        tiny_search(tmp_path / "run", tiny_recipe(epochs=2), dearer, resume=True)
