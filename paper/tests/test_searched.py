"""Laws of networks that are made from the blocks of another search."""

from pathlib import Path

import numpy as np
import pytest

from made_table import made_table
from tapetum.arch import spaces
from tapetum.errors import ArchitectureError, InputError
from tapetum.progress import silent
from tapetum_paper.deployment import Deployment
from tapetum_paper.searched import Yardstick, _table, carry_over

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


def test_a_table_of_another_space_is_refused(tmp_path: Path) -> None:
    """Even where the conditions are the same; that of the space is read."""
    few = SMALL._replace(operators=4)
    space, other = (spaces.open_space(name, few) for name in ("c-nas", "d-nas"))
    device = Deployment("onnxruntime", 1, 1, 64, 3)
    table = made_table(space, device.conditions)
    table.write(tmp_path / "one.json")
    assert _table(Yardstick(space=space, table="one"), device, tmp_path, silent) == table
    with pytest.raises(InputError, match="is of another space"):
        _table(Yardstick(space=other, table="one"), device, tmp_path, silent)
