"""What files and servers say about a network: facts of its manifest."""

import json
from typing import Any

import pytest

from packages import DENOISER, real
from tapetum.runtime import Manifest, facts_of

WEIGHTS = {"name": "lite", "version": "1.0", "sha256": "00", "licence": "Apache-2.0"}


def _made_from(weights: Any) -> Manifest:
    """The manifest of a network whose training began so."""
    manifest = real(DENOISER, size_px=32).manifest
    return manifest.model_copy(update={"provenance": {"pretrained": weights}})


def test_the_licence_of_weights_of_others_is_named() -> None:
    """With their name and version."""
    assert json.loads(facts_of(_made_from(WEIGHTS))["licences"]) == {"lite 1.0": "Apache-2.0"}


@pytest.mark.parametrize("weights", [None, "lite", 3, {}, {"name": "lite"}, WEIGHTS | {"name": 1}])
def test_a_damaged_origin_names_no_licence(weights: Any) -> None:
    """The manifest of a package by others may say anything there."""
    assert json.loads(facts_of(_made_from(weights))["licences"]) == {}
