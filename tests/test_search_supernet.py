"""Laws of the supernet: with all weight on one choice it is the network of that choice."""

import numpy as np
import pytest
import torch

from tapetum.arch.space import Choices, Slot, Space
from tapetum.arch.spaces import Frame, open_space
from tapetum.errors import InputError
from tapetum.search.mixed import MixedBlock, Part
from tapetum.search.supernet import Mixture, SuperNet
from tapetum.search.widths import nominal_widths
from test_latency_table import CANDIDATES, small_space

IMAGES = torch.rand(4, 1, 32, 32, generator=torch.Generator().manual_seed(0))
SHARING = pytest.mark.parametrize("shares_weights", [True, False], ids=["shared", "separate"])


def mixture_of(choices: Choices) -> Mixture:
    """The mixture of the network of these choices."""
    parts = {
        path: () if choice is None else (Part(choice.candidate, choice.hidden_channels),)
        for path, choice in choices.items()
    }
    return Mixture(parts)


def trained(space: Space, *, shares_weights: bool) -> SuperNet:
    """A supernet whose batch statistics are not those of its first breath."""
    supernet = SuperNet(space, seed=0, shares_weights=shares_weights)
    generator = np.random.default_rng(1)
    size_px, channels = IMAGES.shape[-1], space.image_channels
    for _ in range(8):
        noisy = torch.rand(4, channels, size_px, size_px)
        supernet(noisy, None, mixture=mixture_of(space.random(generator)))
    return supernet.eval()


@SHARING
def test_a_supernet_with_one_choice_is_the_derived_network(*, shares_weights: bool) -> None:
    """Output for output, whatever is chosen or left out."""
    space = small_space()
    supernet = trained(space, shares_weights=shares_weights)
    generator = np.random.default_rng(0)
    for _ in range(10):
        choices = space.random(generator)
        network = supernet.extract(choices).eval()
        assert network.architecture == space.architecture(choices)
        with torch.no_grad():
            ours = supernet(IMAGES, None, mixture=mixture_of(choices))
            theirs = network(IMAGES)
        torch.testing.assert_close(ours.logits, theirs.logits, rtol=1e-4, atol=1e-5)


def test_a_joint_supernet_is_its_derived_network_too() -> None:
    """Encoder, decoder and classifier; without the image it says the same name."""
    space = open_space("dc-nas", Frame(operators=4, image_px=32, num_classes=3))
    supernet = trained(space, shares_weights=True)
    choices = space.random(np.random.default_rng(2))
    network = supernet.extract(choices).eval()
    noisy = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        ours = supernet(noisy, None, mixture=mixture_of(choices))
        theirs = network(noisy)
        label = supernet(noisy, None, mixture=mixture_of(choices), needs_image=False)
    assert ours.image is not None
    torch.testing.assert_close(ours.image, theirs.image, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(ours.logits, theirs.logits, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(label.logits, ours.logits)
    assert label.image is None


@SHARING
def test_a_mixture_is_the_sum_of_its_parts(*, shares_weights: bool) -> None:
    """Each times its share, though the shared part is computed once."""
    slot = Slot(in_channels=8, out_channels=16, stride_px=2, candidates=CANDIDATES)
    block = MixedBlock(slot, shares_weights=shares_weights).eval()
    x = torch.randn(2, 8, 9, 9)
    parts = [Part(one.name, slot.widths(one)[index % 2]) for index, one in enumerate(CANDIDATES)]
    shares = torch.tensor([0.4, 0.3, 0.2, 0.1])
    with torch.no_grad():
        block.parts = [part._replace(share=s) for part, s in zip(parts, shares, strict=True)]
        mixed = block(x)
        expected = torch.zeros_like(mixed)
        for part, share in zip(parts, shares, strict=True):
            block.parts = [part]
            expected += share * block(x)
    torch.testing.assert_close(mixed, expected, rtol=1e-4, atol=1e-5)


@SHARING
def test_sorted_channels_compute_the_same(*, shares_weights: bool) -> None:
    """The order changes, with the momentum of each; the widest networks stay what they were."""
    space = small_space(learns_depth=False)
    supernet = trained(space, shares_weights=shares_weights)
    optimizer = torch.optim.SGD(supernet.parameters(), lr=0.01, momentum=0.9)
    widest = {
        path: {one.name: slot.widths(one)[-1] for one in slot.candidates}
        for path, slot in space.slots.items()
    }
    choices = {
        path: next(c for c in slot.choices() if c.hidden_channels == widest[path]["k3-e6"])
        for path, slot in space.slots.items()
    }
    with torch.no_grad():
        before = supernet(IMAGES, None, mixture=mixture_of(choices)).logits
    supernet(IMAGES, None, mixture=mixture_of(choices)).logits.square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    state = {id(p): optimizer.state[p]["momentum_buffer"].clone() for p in optimizer.state}
    block = supernet.network.get_submodule("classifier.blocks.1").blocks[0]
    supernet.eval()
    with torch.no_grad():
        before = supernet(IMAGES, None, mixture=mixture_of(choices)).logits
        weight = block.depthwise.weight.clone()
        supernet.sort_channels(widest, optimizer)
        after = supernet(IMAGES, None, mixture=mixture_of(choices)).logits
    torch.testing.assert_close(before, after, rtol=1e-4, atol=1e-5)
    sizes = block.depthwise.weight.abs().sum((1, 2, 3))
    assert (sizes[:-1] >= sizes[1:]).all()
    order = weight.abs().sum((1, 2, 3)).argsort(descending=True, stable=True)
    if block.depthwise.weight in optimizer.state:
        moved = optimizer.state[block.depthwise.weight]["momentum_buffer"]
        torch.testing.assert_close(moved, state[id(block.depthwise.weight)][order])


def test_every_weight_of_a_path_gets_a_gradient() -> None:
    """And nothing else does: with weights of their own, the other candidates stay untouched."""
    space = small_space()
    supernet = SuperNet(space, seed=0, shares_weights=False)
    choices = {path: next(iter(slot.choices())) for path, slot in space.slots.items()}
    supernet(IMAGES, None, mixture=mixture_of(choices)).logits.sum().backward()
    others = {
        id(parameter)
        for path in space.slots
        for block in supernet.network.get_submodule(path).blocks[1:]
        for parameter in block.parameters()
    }
    for name, parameter in supernet.named_parameters():
        assert (parameter.grad is None) == (id(parameter) in others), name


def test_depths_are_mixed_by_their_shares() -> None:
    """A share of one for a depth is that depth; in between lies the sum."""
    space = small_space()
    supernet = trained(space, shares_weights=True)
    (first, run), *_ = space.optional_runs.items()
    assert run == ["classifier.blocks.2", "classifier.blocks.3", "classifier.blocks.4"]
    widths = nominal_widths(space)
    parts = {path: [Part("k3-e3", widths[path]["k3-e3"])] for path in space.slots}
    for depth in range(len(run) + 1):
        shares = torch.zeros(len(run) + 1)
        shares[depth] = 1
        choices = {
            path: None
            if path in run[depth:]
            else next(c for c in slot.choices() if c.hidden_channels == widths[path]["k3-e3"])
            for path, slot in space.slots.items()
        }
        with torch.no_grad():
            mixed = supernet(IMAGES, None, mixture=Mixture(parts, {first: shares}))
            alone = supernet(IMAGES, None, mixture=mixture_of(choices))
        torch.testing.assert_close(mixed.logits, alone.logits, rtol=1e-4, atol=1e-5)


@SHARING
def test_batch_norms_have_no_scale_to_learn(*, shares_weights: bool) -> None:
    """So the alphas weigh the candidates; scale 1 and shift 0 go to the derived network."""
    space = small_space()
    supernet = SuperNet(space, seed=0, shares_weights=shares_weights)
    norms = [module for module in supernet.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert norms
    for norm in norms:
        assert not [*norm.parameters()]
    network = supernet.extract(space.random(np.random.default_rng(0)))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert (module.weight == 1).all()
            assert (module.bias == 0).all()


def test_equal_seeds_give_equal_supernets() -> None:
    """And the global generator is left as it was."""
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, other = (SuperNet(small_space(), seed=3, shares_weights=True) for _ in range(2))
    assert torch.equal(before, torch.get_rng_state())
    for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_slot_without_batch_norm_is_refused() -> None:
    """Group normalisation looks at all channels: a narrow block would not be a part of a wide."""
    slot = Slot(in_channels=8, out_channels=8, norm="group", candidates=CANDIDATES)
    with pytest.raises(InputError, match="norm 'group' cannot be searched"):
        MixedBlock(slot, shares_weights=True)
