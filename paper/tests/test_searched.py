"""Laws of networks that are made from the blocks of another search."""

import numpy as np
import pytest

from tapetum.arch import spaces
from tapetum.errors import ArchitectureError
from tapetum_paper.searched import carry_over

SMALL = spaces.Frame(image_px=64, num_classes=5)


def test_a_found_classifier_becomes_each_of_the_papers_networks() -> None:
    """Its stages in their order: in an encoder, on in a branch, or once more behind the decoder."""
    classifiers = spaces.open_space("c-nas", SMALL._replace(learns_depth=True))
    found = classifiers.random(np.random.default_rng(3))
    alone = classifiers.architecture(found).classifier
    assert alone is not None
    for name in ("d-nas", "dc-nas", "dc-nas-seq"):
        target = spaces.open_space(name, SMALL._replace(learns_depth=True))
        network = target.architecture(carry_over(found, target))
        encoder = tuple(block for level in network.encoder for block in level.blocks)
        assert encoder == alone.blocks[: len(encoder)]
        branch = {
            "d-nas": (),
            "dc-nas": alone.blocks[len(encoder) :],
            "dc-nas-seq": alone.blocks,
        }[name]
        assert branch == (() if network.classifier is None else network.classifier.blocks)


def test_a_classifier_is_not_carried_where_it_does_not_fit() -> None:
    """Neither into a decoder that is searched, nor into more slots than it has."""
    found = spaces.open_space("c-nas", SMALL).random(np.random.default_rng(0))
    with pytest.raises(ArchitectureError, match="do not fit the 26 slots of dc-nas"):
        carry_over(found, spaces.open_space("dc-nas", SMALL._replace(decoder="searched")))
    few = dict(list(found.items())[:14])
    with pytest.raises(ArchitectureError, match="the 14 searched blocks do not fit"):
        carry_over(few, spaces.open_space("dc-nas", SMALL))
