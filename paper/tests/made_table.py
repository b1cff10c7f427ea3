"""A latency table of a made-up device, for tests that search."""

import numpy as np

from tapetum.arch import Choices, Space
from tapetum.latency import Conditions, LatencyTable
from tapetum.latency.campaign import Measurements
from tapetum.latency.pricing import Sample
from tapetum.latency.table import make_table
from tapetum.provenance import stamp


def made_table(space: Space, conditions: Conditions) -> LatencyTable:
    """Return the table of 200 random networks."""
    generator = np.random.default_rng(0)
    drawn = [space.random(generator) for _ in range(200)]
    samples = [Sample(choices, _true_ms(space, choices)) for choices in drawn]
    return make_table(space, conditions, Measurements(samples, 1, None), stamp(seed=0))


def _true_ms(space: Space, choices: Choices) -> float:
    """Latency on the device: a sum over the blocks, with steps of 16 hidden channels."""
    total = 0.5
    for path, choice in choices.items():
        if choice is not None:
            slot = space.slots[path]
            candidate = slot.candidate(choice.candidate)
            steps = -(-choice.hidden_channels // 16) * 16
            per_channel = 0.01 * candidate.kernel_px * (3 if candidate.kernel_px == 5 else 1)
            total += 0.1 + per_channel * steps / slot.stride_px + 0.3 * candidate.squeezes
    return total
