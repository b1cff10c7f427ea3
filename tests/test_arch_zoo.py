"""Laws of the named architectures: what the paper prints about them."""

import pytest

from tapetum.arch import find_architecture
from tapetum.arch.cost import multiply_adds, parameters
from tapetum.arch.spec import level_channels
from tapetum.arch.zoo import DENOISERS, architecture_names
from tapetum.errors import ArchitectureError


def test_the_integrated_head_is_almost_free() -> None:
    """Sharing the encoder makes naming two digits cost less than 0.1 % (paper, table 1)."""
    joint = multiply_adds(find_architecture("dc-net-reduced-integrated"), 96, 96, num_boxes=2)
    alone = multiply_adds(find_architecture("unet-s"), 96, 96)
    assert 0 < joint - alone < 0.001 * alone


def test_unet_s_has_the_widths_of_its_numbers() -> None:
    """Base 8 and multiplier 1.5 give 8, 12, 18 and 27 channels."""
    assert level_channels(find_architecture("unet-s")) == [8, 12, 18, 27]
    assert DENOISERS["unet-s"].multiplier == 1.5


def test_the_small_mobilenet_costs_what_its_paper_says() -> None:
    """56 million multiply-adds at 224 px and 2.5 million parameters (Howard et al., 2019)."""
    network = find_architecture("mobilenet-v3-small", channels=3, num_classes=1000, boxes=False)
    # The expansion layer of the first block, which the original leaves out, takes 3.2 million.
    assert multiply_adds(network, 224, 224) - 16 * 16 * 112**2 == pytest.approx(56e6, rel=0.02)
    assert parameters(network) == pytest.approx(2.5e6, rel=0.02)


@pytest.mark.parametrize("name", architecture_names())
def test_every_name_fits_any_image(name: str) -> None:
    """Channels, classes and what is named can be chosen."""
    architecture = find_architecture(name, channels=3, num_classes=100, boxes=False)
    assert architecture.image_channels == 3
    assert architecture.name == name
    if architecture.classifier is not None:
        assert architecture.classifier.num_classes == 100


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    """A slip of the keyboard names what was probably meant."""
    with pytest.raises(ArchitectureError, match="did you mean 'unet-s'"):
        find_architecture("unet_s")
