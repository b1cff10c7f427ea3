"""Costs of the named architectures, beside those that the paper prints."""

import pytest

from tapetum.arch import find_architecture
from tapetum.arch.cost import layer_costs, multiply_adds
from tapetum.arch.zoo import CLASSIFIERS
from tapetum_paper.paper import TABLE_7, TABLE_8


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_costs_what_table_7_implies(name: str) -> None:
    """Multiply-adds, biases and normalisations of one digit are within 3 % of the print."""
    layers = layer_costs(find_architecture(name), 28, 28)
    counted = sum(layer.multiply_adds + 2 * layer.elements for layer in layers)
    assert counted == pytest.approx(1000 * TABLE_7[name].cost_thousands, rel=0.03)


@pytest.mark.parametrize("name", TABLE_8)
def test_a_denoiser_costs_less_than_table_8_prints(name: str) -> None:
    """The print counts more than multiply-adds: ours are 1 % and 8 % below it."""
    ratio = multiply_adds(find_architecture(name), 96, 96) / (1e6 * TABLE_8[name].cost_millions)
    assert 0.91 < ratio < 1
