"""Laws of a search space: whatever is chosen makes a network, and only what fits can be chosen."""

import json
from collections.abc import Callable

import numpy as np
import pytest
from pydantic import ValidationError

from tapetum.arch.space import Candidate, Choice, Choices, Slot, Space, SpaceClassifier
from tapetum.arch.spaces import Frame, find_space
from tapetum.arch.spec import Conv, InvertedResidual, Whole
from tapetum.errors import ArchitectureError, InputError

PLAIN = Candidate(kernel_px=3, expansion=3)
SQUEEZED = Candidate(kernel_px=5, expansion=6, squeezes=True)


def slot(**changes: object) -> Slot:
    """A slot from 16 to 16 channels."""
    fields = {"in_channels": 16, "out_channels": 16, "candidates": (PLAIN, SQUEEZED), **changes}
    return Slot.model_validate(fields)


def space(*slots: Slot) -> Space:
    """A space of classifiers: a stem, the slots, a linear layer."""
    return Space(
        name="test",
        image_channels=1,
        classifier=SpaceClassifier(
            source="noisy",
            region=Whole(),
            blocks=(Conv(in_channels=1, out_channels=16), *slots),
            pooling="mean",
            features=slots[-1].out_channels,
            num_classes=3,
        ),
    )


def test_names_of_candidates_are_those_of_the_paper() -> None:
    """Kernel, expansion and squeeze, derived from the fields."""
    assert [PLAIN.name, SQUEEZED.name] == ["k3-e3", "k5-e6-se"]


def test_widths_lie_on_the_grid_around_the_expansion() -> None:
    """From two thirds to four thirds of it, in steps; a narrow slot still has one width."""
    assert list(slot().widths(PLAIN)) == [32, 40, 48, 56, 64]
    assert list(slot(width_step=16).widths(PLAIN)) == [32, 48, 64]
    assert list(slot(width_step=64).widths(PLAIN)) == [64]
    assert list(slot(in_channels=1, out_channels=4).widths(PLAIN)) == [8]


def test_every_choice_of_a_slot_is_a_block_of_its_shape() -> None:
    """Channels and stride are the slot's; kernel, width and squeeze are the choice's."""
    asked = slot(out_channels=24, stride_px=2, activation="silu")
    for choice in asked.choices():
        block = asked.block(choice)
        candidate = asked.candidate(choice.candidate)
        assert block == InvertedResidual(
            in_channels=16,
            hidden_channels=choice.hidden_channels,
            out_channels=24,
            squeeze_channels=16 if candidate.squeezes else None,
            kernel_px=candidate.kernel_px,
            stride_px=2,
            activation="silu",
        )


def test_a_network_has_what_was_chosen_in_its_place() -> None:
    """Fixed blocks stay, slots become blocks, and what is left out is gone."""
    made = space(slot(), slot(may_be_left_out=True), slot(out_channels=32))
    first, second, third = made.slots
    assert first == "classifier.blocks.1"
    choice = Choice(candidate="k5-e6-se", hidden_channels=96)
    network = made.architecture({first: choice, second: None, third: choice}, name="chosen")
    assert network.name == "chosen"
    assert network.classifier is not None
    stem, one, other = network.classifier.blocks
    assert stem == Conv(in_channels=1, out_channels=16)
    assert one == made.slots[first].block(choice)
    assert other == made.slots[third].block(choice)


def test_a_slot_offers_every_width_of_every_candidate() -> None:
    """The choices of a slot are all of them, each once."""
    assert len(set(slot().choices())) == len(list(slot().choices())) == 5 + 9


def test_networks_of_any_size_reach_where_random_ones_do_not() -> None:
    """Drawn slot by slot they huddle in the middle; drawn by size they span most of the space."""
    made = find_space("c-nas", Frame(operators=8, image_px=64, image_channels=3, num_classes=10))

    def spans(draw: Callable[[np.random.Generator], Choices]) -> float:
        widths = [
            sum(choice.hidden_channels for choice in draw(generator).values() if choice)
            for generator in map(np.random.default_rng, range(100))
        ]
        return max(widths) / min(widths)

    assert spans(made.random_of_any_size) > 2.5 > 2 > spans(made.random)


def test_random_networks_are_the_same_for_the_same_seed() -> None:
    """Every candidate is drawn sooner or later, nothing too, and each draw makes a network."""
    made = space(slot(), slot(may_be_left_out=True))
    draws = [made.random(np.random.default_rng(seed)) for seed in range(40)]
    assert draws == [made.random(np.random.default_rng(seed)) for seed in range(40)]
    optional = list(made.slots)[1]
    seen = {None if (choice := draw[optional]) is None else choice.candidate for draw in draws}
    assert seen == {None, "k3-e3", "k5-e6-se"}
    for draw in draws:
        assert made.architecture(draw).kind == "classifier"


def test_all_faults_of_choices_are_told_at_once() -> None:
    """What is missing, what is too much, what does not fit."""
    made = space(slot(), slot(), slot(), slot())
    a, b, c, d = made.slots
    choices = {
        b: None,
        c: Choice(candidate="k7-e3", hidden_channels=48),
        d: Choice(candidate="k3-e3", hidden_channels=50),
        "classifier.blocks.9": Choice(candidate="k3-e3", hidden_channels=48),
    }
    with pytest.raises(ArchitectureError) as caught:
        made.architecture(choices)
    message = str(caught.value)
    for fault in (
        f"{a} has no choice",
        f"{b} cannot be left out",
        f"{c}: this slot has no candidate 'k7-e3'",
        f"{d}: k3-e3 cannot have 50 hidden channels",
        "a multiple of 8 from 32 to 64",
        "there is no slot classifier.blocks.9",
    ):
        assert fault in message


def test_a_space_is_the_same_after_json() -> None:
    """A user can write one by hand."""
    made = space(slot(), slot(may_be_left_out=True))
    assert Space.from_json(made.to_json(), source="test") == made


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"candidates": []}, "at least 1"),
        ({"candidates": [PLAIN.model_dump()] * 2}, "two candidates are the same: k3-e3, k3-e3"),
        ({"may_be_left_out": True, "stride_px": 2}, "only a slot that keeps size and channels"),
        ({"in_channels": 8}, "takes 8 channels but gets 16"),
    ],
)
def test_a_space_that_makes_no_networks_is_refused(change: dict[str, object], fault: str) -> None:
    """At once, and not when the first network is drawn."""
    data = json.loads(space(slot(), slot()).to_json())
    data["classifier"]["blocks"][1] |= change
    with pytest.raises(InputError, match=fault):
        Space.from_json(json.dumps(data), source="test")


def test_a_slot_is_no_block_of_an_architecture() -> None:
    """An architecture has no holes."""
    with pytest.raises(ValidationError):
        InvertedResidual.model_validate(slot().model_dump())


def test_the_choices_of_a_network_are_found_again() -> None:
    """Those that it was made from, or others that make the same network."""
    made = space(slot(), *[slot(may_be_left_out=True)] * 3, slot(out_channels=32))
    for seed in range(20):
        network = made.architecture(made.random(np.random.default_rng(seed)), name="drawn")
        assert made.architecture(made.choices(network), name="drawn") == network


def test_a_network_of_another_space_has_no_choices() -> None:
    """Another width, another stem, another number of classes."""
    made = space(slot())
    other = space(slot(width_step=4))
    choices = {"classifier.blocks.1": Choice(candidate="k3-e3", hidden_channels=36)}
    with pytest.raises(ArchitectureError, match="test is not a network of the space test"):
        made.choices(other.architecture(choices))
    network = made.architecture(made.random(np.random.default_rng(0)))
    data = network.model_dump()
    data["classifier"]["num_classes"] = 4
    with pytest.raises(ArchitectureError, match="not a network of the space"):
        made.choices(type(network).model_validate(data))
