"""Laws of the named architectures: what the paper prints about them."""

import pytest

from tapetum.arch import find, names
from tapetum.arch.cost import layer_costs, multiply_adds
from tapetum.arch.spec import level_channels
from tapetum.arch.zoo import CLASSIFIERS, DENOISERS
from tapetum.errors import ArchitectureError
from tapetum.experiments.paper import TABLE_7, TABLE_8


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_costs_what_table_7_implies(name: str) -> None:
    """Multiply-adds, biases and normalisations of one digit are within 3 % of the print."""
    layers = layer_costs(find(name), 28, 28)
    counted = sum(layer.multiply_adds + 2 * layer.elements for layer in layers)
    assert counted == pytest.approx(1000 * TABLE_7[name].cost_thousands, rel=0.03)


@pytest.mark.parametrize("name", TABLE_8)
def test_a_denoiser_costs_less_than_table_8_prints(name: str) -> None:
    """The print counts more than multiply-adds: ours are 1 % and 8 % below it."""
    ratio = multiply_adds(find(name), 96, 96) / (1e6 * TABLE_8[name].cost_millions)
    assert 0.91 < ratio < 1


def test_the_integrated_head_is_almost_free() -> None:
    """Sharing the encoder makes naming two digits cost less than 0.1 % (paper, table 1)."""
    joint = multiply_adds(find("dc-net-reduced-integrated"), 96, 96, num_boxes=2)
    alone = multiply_adds(find("unet-s"), 96, 96)
    assert 0 < joint - alone < 0.001 * alone


def test_unet_s_has_the_widths_of_its_numbers() -> None:
    """Base 8 and multiplier 1.5 give 8, 12, 18 and 27 channels."""
    assert level_channels(find("unet-s")) == [8, 12, 18, 27]
    assert DENOISERS["unet-s"].multiplier == 1.5


@pytest.mark.parametrize("name", names())
def test_every_name_fits_any_picture(name: str) -> None:
    """Channels, classes and what is named can be chosen."""
    architecture = find(name, channels=3, num_classes=100, boxes=False)
    assert architecture.picture_channels == 3
    assert architecture.name == name
    if architecture.classifier is not None:
        assert architecture.classifier.num_classes == 100


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    """A slip of the keyboard names what was probably meant."""
    with pytest.raises(ArchitectureError, match="did you mean 'unet-s'"):
        find("unet_s")
