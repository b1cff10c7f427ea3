"""A search small enough for a test."""

from pathlib import Path
from typing import Any

from tapetum.arch.space import (
    Slot,
    Space,
    SpaceClassifier,
    SpaceDecoder,
    SpaceDecoderLevel,
    SpaceLevel,
)
from tapetum.arch.spec import Conv, TransposedConv, Whole
from tapetum.latency import Budget, LatencyTable
from tapetum.noise import NoisePlan
from tapetum.progress import ProgressCallback
from tapetum.search import SearchRecipe, SearchResult, search
from test_latency_table import CANDIDATES, small_space, table_of
from tiny_training import TINY_DATA, Squares

NUM_IMAGES = 20


def tiny_recipe(**changes: Any) -> SearchRecipe:
    """Three epochs of four steps, of which the first is of weights alone."""
    fields: dict[str, Any] = {
        "name": "tiny",
        "epochs": 3,
        "warmup_epochs": 1,
        "batch_size": 4,
        "noise": NoisePlan(kind="gaussian", levels=(0.1, 0.3)),
        "checkpoint_every_steps": 3,
        "judged_images": 4,
    }
    return SearchRecipe(**{**fields, **changes})


def tiny_table(*, learns_depth: bool = True) -> LatencyTable:
    """Of the small space, for the four quarters that a square may lie in."""
    return table_of(small_space(learns_depth=learns_depth, num_classes=4))


def joint_table() -> LatencyTable:
    """Of a space of networks that clean and name."""
    slot = {"candidates": CANDIDATES[:2]}
    levels = (
        (Conv(in_channels=1, out_channels=8), Slot(in_channels=8, out_channels=8, **slot)),
        (Slot(in_channels=8, out_channels=16, stride_px=2, **slot),),
    )
    up = TransposedConv(in_channels=16, out_channels=8)
    mixing = (Conv(in_channels=16, out_channels=8),)
    image = Conv(in_channels=8, out_channels=1, kernel_px=1, norm="none", activation="none")
    space = Space(
        name="joint",
        image_channels=1,
        encoder=tuple(SpaceLevel(blocks=level) for level in levels),
        decoder=SpaceDecoder(
            levels=(SpaceDecoderLevel(up=up, skip_level=0, blocks=mixing),), output=image
        ),
        classifier=SpaceClassifier(
            source="encoder",
            region=Whole(),
            blocks=(Slot(in_channels=16, out_channels=16, **slot),),
            pooling="mean",
            features=16,
            num_classes=4,
        ),
    )
    return table_of(space)


def tiny_target_ms(table: LatencyTable, *, share: float = 0.4) -> float:
    """A target at some share of what the space spans."""
    fastest, slowest = table.range
    return fastest + share * (slowest - fastest)


def tiny_search(
    path: Path,
    recipe: SearchRecipe,
    table: LatencyTable | None = None,
    *,
    resume: bool = False,
    target_ms: float | None = None,
    images: Squares | None = None,
    progress: ProgressCallback | None = None,
) -> SearchResult:
    """Searches on twenty images."""
    table = table or tiny_table()
    return search(
        path,
        recipe,
        Budget.of(table, target_ms or tiny_target_ms(table)),
        images or Squares(NUM_IMAGES),
        data=TINY_DATA,
        resume=resume,
        progress=progress,
    )


def short_search(path: Path) -> SearchResult:
    """Searches for two epochs: in this process, or with others that do the same."""
    return tiny_search(path, tiny_recipe(epochs=2))
