"""Laws of the paper's spaces: their layout, and that every form of their networks agrees."""

from itertools import cycle
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tapetum.arch import Architecture
from tapetum.arch.cost import multiply_adds, parameters
from tapetum.arch.space import Space
from tapetum.arch.spaces import _SPACES, DECODERS, OPERATORS, UPS, Frame, find_space
from tapetum.arch.spec import InvertedResidual
from tapetum.errors import ArchitectureError
from tapetum.graph import random_weights, write_graph
from tapetum.graph.weights import weight_shapes
from tapetum.nn import build

SMALL = Frame(image_px=64, num_classes=5)


def draw(name: str, frame: Frame = SMALL, *, seed: int = 0) -> Architecture:
    """A random network of a space."""
    space = find_space(name, frame)
    return space.architecture(space.random(np.random.default_rng(seed)))


def test_slots_are_those_of_the_paper() -> None:
    """18 in stages 3 to 8, with the channels and strides of figure 7; 13 of them to denoise."""
    slots = list(find_space("c-nas").slots.values())
    assert [slot.out_channels for slot in slots] == (
        [24] * 2 + [40] * 3 + [80] * 4 + [112] * 4 + [192] * 4 + [320]
    )
    assert [index for index, slot in enumerate(slots) if slot.stride_px == 2] == [0, 2, 5, 13]
    assert [slot.activation for slot in slots] == ["relu"] * 2 + ["silu"] * 16
    assert list(find_space("dc-nas").slots.values()) == slots
    assert list(find_space("d-nas").slots.values()) == slots[:13]


def test_fewer_operators_are_the_first_of_more() -> None:
    """Plain ones first, then those that squeeze (table 9)."""
    names = [candidate.name for candidate in OPERATORS[8]]
    assert names == [
        "k3-e3", "k3-e6", "k5-e3", "k5-e6", "k3-e3-se", "k3-e6-se", "k5-e3-se", "k5-e6-se",
    ]  # fmt: skip
    for count, candidates in OPERATORS.items():
        assert candidates == OPERATORS[8][:count]
        slots = find_space("c-nas", Frame(operators=count)).slots.values()
        assert {slot.candidates for slot in slots} == {candidates}


@pytest.mark.parametrize("name", _SPACES)
@pytest.mark.parametrize(("image_px", "stride_px"), [(224, 32), (128, 32), (64, 16), (32, 8)])
def test_small_images_keep_their_first_places(name: str, image_px: int, stride_px: int) -> None:
    """Strides are left out at the beginning, and a decoder climbs back to the image's size."""
    space = find_space(name, Frame(image_px=image_px))
    behind = "classifier." if name == "dc-nas-seq" else "never"  # another image comes in there
    slots = [slot for path, slot in space.slots.items() if not path.startswith(behind)]
    strides = [2 if image_px >= 128 else 1, *(slot.stride_px for slot in slots)]
    branch = 2 if name in ("d-nas", "dc-nas-seq") else 1  # stage 7, which they lack, halves too
    assert np.prod(strides) * branch == stride_px
    if space.decoder is not None:
        assert 2 ** len(space.decoder.levels) == stride_px / 2


@pytest.mark.parametrize("name", _SPACES)
def test_the_forms_of_a_network_agree(name: str) -> None:
    """Torch, ONNX, weights, parameters and cost of random networks are those of one another."""
    for seed, learns_depth in enumerate((True, False)):
        require_agreement(draw(name, SMALL._replace(learns_depth=learns_depth), seed=seed))


@pytest.mark.parametrize(
    ("decoder", "up"), list(zip(DECODERS, cycle(UPS), strict=False)), ids="-".join
)
def test_every_decoder_agrees_with_itself(decoder: str, up: str) -> None:
    """All forms of a network with each decoder, and with each way to double."""
    require_agreement(draw("dc-nas", SMALL._replace(decoder=decoder, up=up)))


def test_a_decoder_can_be_searched() -> None:
    """Two slots at each size, behind those of the encoder and before the branch."""
    fixed, searched = (
        find_space("dc-nas", SMALL._replace(decoder=decoder)) for decoder in ("conv", "searched")
    )
    more = [path for path in searched.slots if path not in fixed.slots]
    assert len(more) == 8
    assert all(path.startswith("decoder.") for path in more)
    assert [path for path in searched.slots if path in fixed.slots] == list(fixed.slots)


def require_agreement(architecture: Architecture, *, channels: int = 3) -> None:
    """Compares the forms of a network with one another."""
    weights = random_weights(architecture, seed=1)
    network = build(architecture, seed=0).eval()
    state = {key: v for key, v in network.state_dict().items() if "num_batches" not in key}
    assert weight_shapes(architecture) == {key: tuple(v.shape) for key, v in state.items()}
    assert parameters(architecture) == sum(w.numel() for w in network.parameters())
    network.load_state_dict({k: torch.from_numpy(w) for k, w in weights.items()}, strict=False)
    noisy = np.random.default_rng(2).uniform(0, 1, (1, channels, 61, 45)).astype(np.float32)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        expected = network(torch.from_numpy(noisy))
    assert counter.get_total_flops() == 2 * multiply_adds(architecture, 61, 45)
    session = onnxruntime.InferenceSession(
        write_graph(architecture, weights).SerializeToString(),
        providers=["CPUExecutionProvider"],
    )
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, session.run(None, {"noisy": noisy}), strict=True))
    for output, value in zip(("denoised", "logits"), expected, strict=True):
        assert (value is None) == (output not in found)
        if value is not None:
            scale = max(1, value.abs().max().item())
            assert np.abs(found[output] - value.numpy()).max() <= 1e-4 * scale


def test_a_joint_network_is_a_denoiser_with_a_branch() -> None:
    """The same choices give the same encoder and decoder; the branch reads the encoder."""
    joint, denoisers, classifiers = (find_space(n, SMALL) for n in ("dc-nas", "d-nas", "c-nas"))
    choices = joint.random(np.random.default_rng(0))
    shared = {path: choice for path, choice in choices.items() if path in denoisers.slots}
    both, alone = joint.architecture(choices), denoisers.architecture(shared)
    assert (both.encoder, both.decoder) == (alone.encoder, alone.decoder)
    assert both.kind == "integrated"
    renamed = dict(zip(classifiers.slots, choices.values(), strict=True))
    classifier = classifiers.architecture(renamed).classifier
    blocks = [block for level in both.encoder for block in level.blocks]
    assert both.classifier is not None
    assert classifier is not None
    assert (*blocks, *both.classifier.blocks) == classifier.blocks


@pytest.mark.parametrize("name", _SPACES)
def test_a_narrower_frame_is_narrower_everywhere(name: str) -> None:
    """All channels shrink alike, onto multiples of 8, and the forms of its networks agree."""
    usual, narrow = (find_space(name, SMALL._replace(width=width)) for width in (1.0, 0.5))
    assert list(usual.slots) == list(narrow.slots)
    for path, slot in narrow.slots.items():
        assert slot.out_channels == -(-usual.slots[path].out_channels // 16) * 8
    require_agreement(draw(name, SMALL._replace(width=0.25)))


def test_depth_is_learned_only_where_asked() -> None:
    """Slots that keep size and channels may be left out, and then some are."""
    frame = SMALL._replace(learns_depth=True)
    optional = [slot.may_be_left_out for slot in find_space("c-nas", frame).slots.values()]
    assert sum(optional) == 12
    assert not any(slot.may_be_left_out for slot in find_space("c-nas", SMALL).slots.values())
    counts = set()
    for seed in range(5):
        classifier = draw("c-nas", frame, seed=seed).classifier
        assert classifier is not None
        counts.add(sum(isinstance(block, InvertedResidual) for block in classifier.blocks))
    assert len(counts) > 1


def test_what_is_unknown_is_refused() -> None:
    """A space of another name, or of other operators."""
    with pytest.raises(ArchitectureError, match=r"no space 'dcnas'.*dc-nas"):
        find_space("dcnas")
    with pytest.raises(ArchitectureError, match="no space with 5 operators; choose 4, 6, 8"):
        find_space("c-nas", Frame(operators=5))
    with pytest.raises(ArchitectureError, match="no decoder 'convs'"):
        find_space("dc-nas", Frame(decoder="convs"))
    with pytest.raises(ArchitectureError, match="no upsampling 'bilinear'"):
        find_space("dc-nas", Frame(up="bilinear"))


def test_the_documented_space_makes_networks() -> None:
    """The file that the documentation shows is a space."""
    space = Space.read(Path(__file__).parent.parent / "docs" / "examples" / "space.json")
    require_agreement(space.architecture(space.random(np.random.default_rng(0))), channels=1)
