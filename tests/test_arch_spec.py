"""Laws of the descriptions: they round-trip, and contradictions cannot be made."""

import pytest
from pydantic import ValidationError

from drawn_shapes import joint
from tapetum.arch import Architecture, architecture_names, find_architecture
from tapetum.arch.families import unet
from tapetum.arch.spec import (
    Boxes,
    Conv,
    Downsample,
    InvertedResidual,
    MaxPool,
    ResidualConv,
    size_after,
    stride_of,
)
from tapetum.errors import InputError


@pytest.mark.parametrize("name", architecture_names())
def test_json_gives_the_same_architecture_back(name: str) -> None:
    """Written and read again, a description is equal."""
    architecture = find_architecture(name, channels=3, num_classes=7, boxes=False)
    assert Architecture.from_json(architecture.to_json(), source="memory") == architecture


@pytest.mark.parametrize(
    ("name", "kind", "stride_px"),
    [
        ("unet-s", "denoiser", 8),
        ("unet-original", "denoiser", 16),
        ("mb2.5-m", "classifier", 1),
        ("dc-net-reduced-integrated", "integrated", 8),
        ("dc-net-reduced-sequential", "sequential", 8),
    ],
)
def test_the_kind_follows_from_the_parts(name: str, kind: str, stride_px: int) -> None:
    """What a network is called and how it must be padded are derived, never typed."""
    architecture = find_architecture(name)
    assert (architecture.kind, architecture.stride_px) == (kind, stride_px)


def test_every_fault_of_a_description_is_named() -> None:
    """A description with several faults gives one error that lists them."""
    good = find_architecture("dc-net-reduced-integrated")
    data = good.model_dump()
    data["encoder"][1]["blocks"][1]["in_channels"] = 5
    data["decoder"]["levels"][0]["skip_level"] = 0
    data["classifier"]["features"] = 11
    with pytest.raises(ValidationError) as caught:
        Architecture.model_validate(data)
    message = str(caught.value)
    assert "encoder.1.blocks.1 takes 5 channels but gets 8" in message
    assert "decoder.levels.0 is at 1/4 but its skip_level 0 at 1/1" in message
    assert "classifier.features is 11 but must be 432" in message


def test_a_decoder_must_reach_the_image() -> None:
    """A decoder with too few levels is refused."""
    data = find_architecture("unet-s").model_dump()
    data["decoder"]["levels"] = data["decoder"]["levels"][:2]
    with pytest.raises(ValidationError, match=r"ends at 1/2 of the image"):
        Architecture.model_validate(data)


def test_a_stride_that_is_no_power_of_two_cannot_be_climbed() -> None:
    """One doubling does not undo a stride of 3."""
    data = unet("test", base_width=4, depth=2, multiplier=2, convs=1).model_dump()
    data["encoder"][1]["blocks"][0]["size_px"] = 3
    with pytest.raises(ValidationError, match="doubles a map at 1/3"):
        Architecture.model_validate(data)


def test_an_architecture_must_do_something() -> None:
    """Neither decoder nor classifier is refused."""
    with pytest.raises(ValidationError, match="give a decoder, a classifier, or both"):
        Architecture(name="nothing", image_channels=1)


def test_a_classifier_must_read_what_is_there() -> None:
    """A network without an encoder cannot name from it."""
    data = find_architecture("mb1-s").model_dump()
    data["classifier"]["source"] = "encoder"
    with pytest.raises(ValidationError, match="does not fit a missing encoder"):
        Architecture.model_validate(data)


def test_keeping_every_place_needs_boxes() -> None:
    """A whole image has no fixed number of places."""
    data = find_architecture("dc-net-reduced-integrated", boxes=False).model_dump()
    data["classifier"]["pooling"] = "flatten"
    with pytest.raises(ValidationError, match="needs boxes"):
        Architecture.model_validate(data)


def test_an_even_kernel_is_refused() -> None:
    """A kernel needs a centre."""
    with pytest.raises(ValidationError, match="has no centre"):
        Conv(in_channels=1, out_channels=1, kernel_px=2)
    with pytest.raises(ValidationError, match="has no centre"):
        InvertedResidual(in_channels=1, hidden_channels=1, out_channels=1, kernel_px=4)
    with pytest.raises(ValidationError, match="has no centre"):
        ResidualConv(channels=1, kernel_px=2)


def test_a_level_that_halves_has_a_kernel_of_2_or_4() -> None:
    """An odd kernel of stride 2 is a plain convolution, which rounds up."""
    with pytest.raises(ValidationError, match="Input should be 2 or 4"):
        Downsample(in_channels=1, out_channels=1, kernel_px=3)


def test_what_cannot_be_folded_is_refused() -> None:
    """A group norm depends on the image, so that no kernel can hold it and the identity."""
    with pytest.raises(ValidationError, match="'batch' or 'none'"):
        ResidualConv(channels=1, norm="group")


def test_only_maps_of_as_many_channels_are_added() -> None:
    """A sum needs equal maps, a concatenation does not."""
    data = joint(join="concatenate").model_dump()
    data["decoder"]["levels"][0]["up"]["out_channels"] = 5
    data["decoder"]["levels"][0]["blocks"][0]["in_channels"] = 5 + 6
    assert Architecture.model_validate(data).decoder is not None
    data["decoder"]["levels"][0]["join"] = "add"
    with pytest.raises(ValidationError, match=r"decoder\.levels\.0 adds 6 channels to 5"):
        Architecture.model_validate(data)


@pytest.mark.parametrize(
    ("stem", "fault"),
    [
        ("half", "the decoder ends with 4 channels instead of 3"),
        ("full", r"decoder\.output must map 6 to 3 channels"),
    ],
)
def test_a_decoder_ends_with_the_channels_of_image_and_gate(stem: str, fault: str) -> None:
    """With or without an output layer; the gate takes one channel more."""
    data = joint(stem=stem).model_dump()
    data["decoder"]["gated"] = False
    with pytest.raises(ValidationError, match=fault):
        Architecture.model_validate(data)


def test_a_file_of_another_schema_is_refused() -> None:
    """A description of a later version is not misread."""
    text = (
        find_architecture("unet-s").to_json().replace('"schema_version": 1', '"schema_version": 2')
    )
    with pytest.raises(InputError, match="schema_version"):
        Architecture.from_json(text, source="later.json")


def test_sizes_round_up_at_strides_and_down_at_pools() -> None:
    """Odd sizes follow the arithmetic of padded convolutions and of pooling."""
    strided = Conv(in_channels=1, out_channels=1, stride_px=2)
    assert size_after([strided], 45) == 23
    assert size_after([MaxPool()], 45) == 22
    for kernel_px in (2, 4):
        halved = Downsample(in_channels=1, out_channels=1, kernel_px=kernel_px)
        assert [size_after([halved], size_px) for size_px in (44, 45)] == [22, 22]
    assert stride_of([strided, MaxPool(size_px=3)]) == 6


def test_boxes_are_part_of_the_description() -> None:
    """Whether boxes are an input is written in the architecture."""
    assert find_architecture("mb2.5-m").classifies_boxes
    assert not find_architecture("mb2.5-m", boxes=False).classifies_boxes
    region = find_architecture("mb2.5-m").classifier.region  # type: ignore[union-attr]
    assert isinstance(region, Boxes)
    assert region.size_px == 28
