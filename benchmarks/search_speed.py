"""How many images a second does a search step take, against the published algorithm done plainly?

A step of the weights every time and one of the logits every second time, on the whole C-NAS space
of eight operators, 64 px, batch 32:

- *plain*: every candidate has weights of its own, every step of the logits computes all eight
  (``alpha_update="full"``), eager, fp32, torch's own memory order and allocator settings;
- *plain, tuned*: the same with channels last and our allocator settings;
- *shared, full*: candidates share their weights; the logits still look at all of them;
- *shared, pair*: shared weights, two candidates of a slot for the logits;
- *swift*: the same, and each of the two paths of a step gets half of its images: ``swift``.

Each is a process of its own, they take turns in one run, and what counts is the ratio of the
medians, since the machine is shared.

Command:  python benchmarks/search_speed.py [--threads 2] [--json FILE]
"""

import itertools
from typing import Any

import side_by_side

BATCH, SIZE_PX, CLASSES, STEPS = 32, 64, 10, 4  # an even number of steps
WAYS: dict[str, dict[str, Any]] = {
    "plain": {"shares_weights": False, "alpha_update": "full", "channels_last": False},
    "plain, tuned": {"shares_weights": False, "alpha_update": "full"},
    "shared, full": {"shares_weights": True, "alpha_update": "full"},
    "shared, pair": {"shares_weights": True, "alpha_update": "pair"},
    "swift": {"shares_weights": True, "alpha_update": "pair", "splits_batches": True},
}


def work(name: str) -> None:
    """Takes some steps for every line on standard input and says how long they took."""
    import torch

    from tapetum.arch import cost, spaces
    from tapetum.latency import Budget
    from tapetum.latency.campaign import Measurements
    from tapetum.latency.conditions import Conditions
    from tapetum.latency.pricing import Sample
    from tapetum.latency.table import make_table
    from tapetum.provenance import stamp
    from tapetum.search.recipe import TF_NAS, SearchRecipe
    from tapetum.search.searcher import Searcher
    from tapetum.training import Batch, Compute, prepare_process

    if name != "plain":
        prepare_process()
    import numpy as np

    space = spaces.open_space(
        "c-nas", spaces.Frame(operators=8, image_px=SIZE_PX, num_classes=CLASSES)
    )
    conditions = Conditions(
        device="none", runtime="onnxruntime", runtime_version="0", precision="fp32", threads=1,
        batch=1, channels=3, height_px=SIZE_PX, width_px=SIZE_PX,
    )  # fmt: skip
    draws = [space.random(np.random.default_rng(index)) for index in range(60)]
    samples = [
        Sample(one, cost.multiply_adds(space.architecture(one), SIZE_PX, SIZE_PX) / 1e7)
        for one in draws
    ]  # the speed of a step does not depend on prices
    table = make_table(space, conditions, Measurements(samples, 1, None), stamp(seed=0))
    recipe = SearchRecipe.model_validate(
        {**TF_NAS.model_dump(), "name": name, "batch_size": BATCH, "warmup_epochs": 0, **WAYS[name]}
    )
    compute = Compute()
    searcher = Searcher(Budget(table, 10.0), recipe, compute, total_steps=10_000)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(BATCH, 3, SIZE_PX, SIZE_PX, generator=generator)
    labels = torch.randint(CLASSES, (BATCH,), generator=generator)
    batch = compute.move(Batch(images, images, labels, None), channels_last=recipe.channels_last)

    def steps(first: int) -> None:
        for step in range(first, first + STEPS):
            searcher.weight_step(batch, step=step, epoch=0)
            if step % recipe.alphas_every_steps:
                searcher.alpha_step(batch, step=step, epoch=0)

    steps(0)
    firsts = itertools.count(STEPS, STEPS)
    side_by_side.serve(lambda: steps(next(firsts)))


if __name__ == "__main__":
    side_by_side.run(__doc__, __file__, list(WAYS), work, batch=BATCH, steps=STEPS)
