"""Laws of the diagram: every layer, joint and gate of a network is on it, in order."""

from collections import Counter

import pytest

from drawn_shapes import draw_architecture, joint
from tapetum.arch import cost, find_architecture
from tapetum.arch.spec import MaxPool
from tapetum.jobs.diagram import network_diagram


def test_a_joint_network_reads_from_the_image_to_both_outputs() -> None:
    """Stem, blocks, joints, gate and branch, each under its part and its height."""
    branch = {"operator": "mbconv", "widths": (12,)}
    bars = network_diagram(joint(branch=branch), 64).bars
    assert [(bar.group, bar.label) for bar in bars] == [
        ("encoder, 32 px", "k4 stride 2: 3 to 6"),
        ("encoder, 32 px", "k3 plus input: 6 to 6"),
        ("encoder, 16 px", "k2 stride 2: 6 to 8"),
        ("encoder, 16 px", "k3 plus input: 8 to 8"),
        ("decoder, 32 px", "pixel shuffle: 8 to 6"),
        ("decoder, 32 px", "plus encoder: 6"),
        ("decoder, 32 px", "k3 plus input: 6 to 6"),
        ("decoder, 64 px", "pixel shuffle: 6 to 4"),
        ("decoder, 64 px", "gate: adds a share of the noisy image, 3"),
        ("classifier, 8 px", "k5 stride 2: 8 to 32 to 12"),
        ("classes", "mean, linear: 12 to 5"),
    ]


def test_other_blocks_and_joints_say_what_they_are() -> None:
    """A fused block, its squeeze, and maps that are concatenated."""
    network = joint(operator="fused", squeezes=True, join="concatenate", gated=False)
    labels = [bar.label for bar in network_diagram(network, 64).bars]
    assert "k3 fused squeeze plus input: 6 to 12 to 6" in labels
    assert "beside encoder: 6 and 6" in labels
    assert not [label for label in labels if label.startswith("gate")]


def test_a_hidden_layer_is_part_of_the_classes() -> None:
    """The small MobileNet has one."""
    bars = network_diagram(find_architecture("mobilenet-v3-small", boxes=False), 64).bars
    assert bars[-1].label == "mean, linear: 576 to 1024 to 10"
    assert bars[-1].length == 1024


@pytest.mark.parametrize("seed", range(20))
def test_every_layer_has_one_bar(seed: int) -> None:
    """But a maximum; joints, gate and classes have one each."""
    network = draw_architecture(seed)
    layers = [
        path.split(".")[0]
        for path, block, _ in cost.placed_blocks(network, 64, 64)
        if not isinstance(block, MaxPool)
    ]
    joints = sum(level.skip_level is not None for level in network.decoder.levels)
    bars = network_diagram(network, 64).bars
    parts = Counter(bar.group.split(",")[0] for bar in bars)
    assert parts["encoder"] == layers.count("encoder")
    assert parts["decoder"] == layers.count("decoder") + joints + network.decoder.gated
    assert parts["classifier"] == layers.count("classifier")
    assert parts["classes"] == network.classifies
