"""Small networks that have every kind of block, join and upsampling between them."""

from drawn_shapes import joint
from tapetum.arch import Architecture, Branch, spec

_SHAPES = (
    {"operator": "residual_conv", "up": "transposed_conv", "gated": True, "detail_channels": 4},
    {"operator": "conv", "stem": "full", "down": "max_pool", "up": "nearest_conv"},
    {"operator": "fused", "squeezes": True, "up": "pixel_shuffle", "join": "concatenate"},
    {"operator": "mbconv", "squeezes": True, "branch": Branch(operator="mbconv", widths=(8,))},
    {"operator": "conv", "branch": Branch(widths=(8,), pooling="max")},
)


def every_block() -> list[Architecture]:
    """Joint networks of RGB images and five classes, and one that only classifies."""
    return [*(joint(**numbers) for numbers in _SHAPES), _classifier()]


def _classifier() -> Architecture:
    """Normalisation over groups, and the activations that shapes do not have."""
    mbconv = {"in_channels": 8, "hidden_channels": 16, "out_channels": 8}
    classifier = spec.Classifier(
        source="noisy",
        region=spec.Whole(),
        blocks=(
            spec.Conv(in_channels=3, out_channels=8, norm="group", activation="silu"),
            spec.Downsample(in_channels=8, out_channels=8, kernel_px=4),
            spec.InvertedResidual(**mbconv, kernel_px=5, activation="hard_swish"),
            spec.FusedInvertedResidual(**mbconv, norm="group"),
            spec.MaxPool(),
        ),
        pooling="mean",
        features=8,
        hidden_features=6,
        num_classes=5,
    )
    return Architecture(name="classifier", image_channels=3, classifier=classifier)
