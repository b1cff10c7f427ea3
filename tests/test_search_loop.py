"""Laws of a whole search: it keeps the target; a kill changes nothing, nor do processes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tapetum.arch import Architecture
from tapetum.arch.space import Space
from tapetum.errors import DataError, InputError, RunError, TrainingError
from tapetum.losses import EQUATION_3
from tapetum.search import SearchFolder, require_searchable, search
from tapetum.search.folder import SearchPosition
from tapetum.training.checkpoint import read_checkpoint_of
from tiny_search import (
    NUM_IMAGES,
    joint_table,
    tiny_recipe,
    tiny_request,
    tiny_search,
    tiny_table,
)
from tiny_training import Squares

SCRIPT = Path(__file__).with_name("tiny_search.py")
TWO_PROCESSES = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")


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
    found = tiny_search(tmp_path / "search", tiny_recipe(**changes))
    folder = SearchFolder.open(tmp_path / "search")
    assert found.predicted_ms <= found.target_ms
    assert folder.result() == found
    architecture = Architecture.read(folder.path / "architecture.json")
    predicted_ms = folder.table.predict_architecture(architecture).median_ms
    assert predicted_ms == pytest.approx(found.predicted_ms)
    assert [row.epoch for row in found.epochs] == [1, 2, 3]
    for row in found.epochs:
        assert 0 <= row.judged["accuracy"] <= 1
        assert 0 < row.entropy <= 1
        for probabilities in row.probabilities.values():
            assert sum(probabilities.values()) == pytest.approx(1)
    assert "alpha_loss" not in found.epochs[0].means
    assert "alpha_loss" in found.epochs[1].means
    header, *lines = (folder.path / "epochs.csv").read_text().splitlines()
    assert "expected_ms" in header
    assert len(lines) == 3


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
        read_checkpoint_of(tmp_path / name / "checkpoint.safetensors", SearchPosition)
        for name in ("whole", "killed")
    ]
    (tensors, position), (theirs, other) = ends
    assert tensors.keys() == theirs.keys()
    for name, value in tensors.items():
        assert torch.equal(value, theirs[name]), name
    assert position.widths == other.widths
    assert [row.probabilities for row in position.rows] == [row.probabilities for row in other.rows]


def test_a_step_is_told_with_the_epoch_that_it_belongs_to(tmp_path: Path) -> None:
    """The last step of an epoch too."""
    told = []
    tiny_search(
        tmp_path / "search",
        tiny_recipe(epochs=2),
        progress=lambda done, total, message: told.append((done / total, message)),
    )
    assert told[-1] == (1, "search, epoch 2 of 2")
    assert all(message == f"search, epoch {1 + (done > 0.5)} of 2" for done, message in told)


def test_two_processes_find_what_one_finds(tmp_path: Path) -> None:
    """With the same batches, up to rounding."""
    ours = tiny_search(tmp_path / "one", tiny_recipe(epochs=2))
    SearchFolder.start(
        tmp_path / "two",
        SearchFolder.open(tmp_path / "one").request,
        SearchFolder.open(tmp_path / "one").table,
        resume=False,
    )
    command = (sys.executable, *TWO_PROCESSES, SCRIPT, "two")
    ended = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    theirs = SearchFolder.open(tmp_path / "two").result()
    assert theirs.choices == ours.choices
    for one, other in zip(ours.epochs, theirs.epochs, strict=True):
        assert one.means == pytest.approx(other.means, rel=1e-3)
        for path, probabilities in one.probabilities.items():
            assert probabilities == pytest.approx(other.probabilities[path], rel=1e-3)


def test_a_joint_space_is_searched_with_both_losses(tmp_path: Path) -> None:
    """The decoder is a part of the supernet where the loss looks at the image."""
    table = joint_table()
    for name, changes in (("both", {"loss": EQUATION_3}), ("names", {})):
        recipe = tiny_recipe(epochs=1, warmup_epochs=0, shares_weights=True, **changes)
        found = tiny_search(tmp_path / name, recipe, table)
        assert ("charbonnier" in found.epochs[0].means) == (name == "both")
        assert found.epochs[0].judged["psnr_db"] is not None


def test_what_cannot_end_well_is_refused_before_it_begins(tmp_path: Path) -> None:
    """A target out of reach, other images, too few of them."""
    table, recipe = tiny_table(), tiny_recipe()
    request = tiny_request(table, recipe)
    low = request.model_copy(update={"target_ms": 0.01})
    folder = SearchFolder.start(tmp_path / "low", low, table, resume=False)
    with pytest.raises(InputError, match=r"no network of small takes 0\.01 ms.*ask for"):
        search(folder, Squares(NUM_IMAGES))
    folder = SearchFolder.start(tmp_path / "few", request, table, resume=False)
    with pytest.raises(DataError, match="10 images do not make a batch of 4"):
        search(folder, Squares(10))
    fixed = table.space.architecture(table.space.random(np.random.default_rng(0)))
    slots = Space.model_validate(
        {"name": "fixed", **fixed.model_dump(include={"image_channels", "classifier"})}
    )
    with pytest.raises(InputError, match="fixed has no slot: there is nothing to search"):
        require_searchable(request, table.model_construct(space=slots), Squares(NUM_IMAGES))
    squares = Squares(NUM_IMAGES)
    squares.class_names = ("one", "two")  # type: ignore[assignment]
    with pytest.raises(InputError, match="is for 4 names, these images have 2"):
        search(folder, squares)


def test_a_folder_is_of_one_request(tmp_path: Path) -> None:
    """Nothing is lost to a slip: a folder that is taken is left alone."""
    table, recipe = tiny_table(), tiny_recipe()
    request = tiny_request(table, recipe)
    SearchFolder.start(tmp_path / "search", request, table, resume=False)
    with pytest.raises(RunError, match="holds a search already"):
        SearchFolder.start(tmp_path / "search", request, table, resume=False)
    other = request.model_copy(update={"target_ms": 2 * request.target_ms})
    with pytest.raises(RunError, match="of another request"):
        SearchFolder.start(tmp_path / "search", other, table, resume=True)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    with pytest.raises(RunError, match="not the folder of a search"):
        SearchFolder.start(tmp_path / "photos", request, table, resume=False)
    with pytest.raises(RunError, match="is not the folder of a search"):
        SearchFolder.open(tmp_path / "nothing")


def test_a_loss_that_explodes_ends_the_search(tmp_path: Path) -> None:
    """In a sentence, with the checkpoint of before."""
    with pytest.raises(TrainingError, match=r"the loss is (nan|inf).*lower learning_rate"):
        tiny_search(tmp_path / "search", tiny_recipe(learning_rate=1e30, clip_norm=1e30))
