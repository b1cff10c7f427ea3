"""The numbers of a network that was made from them: the inverse of :meth:`Shape.architecture`."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from tapetum.arch import spec
from tapetum.arch.shape import UPS, Operator, Shape
from tapetum.arch.spec import Architecture

__all__ = ["shape_of"]

_OPERATORS: dict[type, Operator] = {
    spec.FusedInvertedResidual: "fused",
    spec.InvertedResidual: "mbconv",
    spec.ResidualConv: "residual_conv",
}
_UPS = {kind: name for name, kind in UPS.items()}


def shape_of(architecture: Architecture) -> Shape | None:
    """Return a shape with this architecture, whatever its name; None where there is none.

    Example:
        >>> from tapetum.arch import Shape, shape_of
        >>> shape = Shape(widths=(16, 48), encoder_depths=(1, 2), decoder_depths=(1,))
        >>> network = shape.architecture("mine", image_channels=1, num_classes=3)
        >>> shape_of(network) == shape
        True
    """
    for shape in _guesses(architecture):
        if _network_like(architecture, shape) == architecture:
            return shape
    return None


def _network_like(architecture: Architecture, shape: Shape) -> Architecture:
    """Return the network of a shape, with the name, images and classes of another network."""
    classifier = architecture.classifier
    return shape.architecture(
        architecture.name,
        image_channels=architecture.image_channels,
        num_classes=None if classifier is None else classifier.num_classes,
        boxes=classifier is not None and isinstance(classifier.region, spec.Boxes),
    )


def _guesses(architecture: Architecture) -> Iterator[Shape]:
    """Yield shapes that may have made a network: most is read from it, the stem is tried."""
    decoder, levels = architecture.decoder, architecture.encoder
    if decoder is None:
        return
    blocks = [block for level in levels for block in level.blocks]
    blocks += [block for level in decoder.levels for block in level.blocks]
    expanding = [block for block in blocks if isinstance(block, spec.Expanding)]
    known = {
        "operator": next((_OPERATORS[type(b)] for b in blocks if type(b) in _OPERATORS), "conv"),
        "expansion": max((b.hidden_channels / b.in_channels for b in expanding), default=2.0),
        "squeezes": any(block.squeeze_channels is not None for block in expanding),
        "down": "max_pool" if spec.MaxPool() in blocks else "strided_conv",
        "up": next((_UPS[type(level.up)] for level in decoder.levels), "pixel_shuffle"),
        "join": next((one.join for one in decoder.levels if one.skip_level is not None), "add"),
        "gated": decoder.gated,
        "branch": _branch(architecture.classifier),
    }
    for stem, has_details in (("half", False), ("full", False), ("half", True)):
        inner = levels[has_details:]
        finest_first = [len(level.blocks) for level in decoder.levels[: len(inner) - 1]][::-1]
        fields = {
            "widths": [_channels(level.blocks[-1]) for level in inner],
            "encoder_depths": [len(level.blocks) - _entries(level) for level in inner],
            "decoder_depths": finest_first,
            "stem": stem,
            "detail_channels": _channels(levels[0].blocks[-1]) if has_details else None,
        }
        with suppress(ValidationError):  # such a network has no level, or fewer in its decoder
            yield Shape.model_validate({**known, **fields})


def _branch(classifier: spec.Classifier | None) -> dict[str, Any]:
    """Return the fields of the branch."""
    if classifier is None or isinstance(classifier.region, spec.Boxes):
        return {}
    blocks = classifier.blocks
    return {
        "operator": "mbconv"
        if any(isinstance(one, spec.InvertedResidual) for one in blocks)
        else "conv",
        "widths": [_channels(block) for block in blocks],
        "stride_px": spec.stride_of(blocks[:1]) if blocks else 2,
        "pooling": classifier.pooling,
    }


def _channels(block: spec.Block) -> int:
    """Return the channels after the last block of a level; 0 for a pooling, which none ends in."""
    if isinstance(block, spec.MaxPool):
        return 0
    return block.channels if isinstance(block, spec.ResidualConv) else block.out_channels


def _entries(level: spec.Level) -> int:
    """Return the number of blocks by which a level is entered."""
    return 2 if isinstance(level.blocks[0], spec.MaxPool) else 1
