"""The diagram of a network: one bar for each block, joint and gate, and one for the classes.

Bars are in the order of a forward pass, under the part of the network and the height of the result.
A maximum has no bar of its own: it shows in the height of the next one.
"""

from collections.abc import Iterable, Iterator

from tapetum.arch import Architecture, cost, spec
from tapetum.report import content

__all__ = ["network_diagram"]

TONES = ("convolution", "MBConv", "MBConv with squeeze-and-excitation", "other")
CONVOLUTION, MBCONV, SQUEEZE, OTHER = range(len(TONES))

Filter = (
    spec.Conv
    | spec.Downsample
    | spec.FusedInvertedResidual
    | spec.InvertedResidual
    | spec.ResidualConv
)


def network_diagram(architecture: Architecture, size_px: int) -> content.Diagram:
    """Return the diagram of a network for square images of ``size_px``."""
    return content.Diagram(
        title="Architecture of the network",
        length_label="channels (hidden channels of an MBConv)",
        bars=tuple(_bars(architecture, size_px)),
        tones=TONES,
    )


def _bars(architecture: Architecture, size_px: int) -> Iterator[content.Bar]:
    placed = list(cost.placed_blocks(architecture, size_px, size_px))
    yield from _placed_bars(architecture, (p for p in placed if not p[0].startswith("classifier")))
    decoder, classifier = architecture.decoder, architecture.classifier
    if decoder is not None and decoder.gated:
        label = f"gate: adds a share of the noisy image, {architecture.image_channels}"
        channels = float(architecture.image_channels)
        yield content.Bar(label, f"decoder, {size_px} px", channels, OTHER)
    yield from _placed_bars(architecture, (p for p in placed if p[0].startswith("classifier")))
    if classifier is not None:
        widths = (classifier.features, classifier.hidden_features, classifier.num_classes)
        known = [width for width in widths if width is not None]
        label = f"{classifier.pooling}, linear: {_arrows(*known)}"
        yield content.Bar(label, "classes", float(max(known[1:])), OTHER)


def _placed_bars(
    architecture: Architecture, placed: Iterable[cost.Placed]
) -> Iterator[content.Bar]:
    for path, block, (height_px, _) in placed:
        if isinstance(block, spec.MaxPool):
            continue
        part = path.split(".")[0]
        if isinstance(block, spec.TransposedConv | spec.NearestConv | spec.PixelShuffle):
            group = f"{part}, {2 * height_px} px"
            label = (
                f"{block.kind.replace('_', ' ')}: {_arrows(block.in_channels, block.out_channels)}"
            )
            yield content.Bar(label, group, float(block.out_channels), OTHER)
            yield from _joint(architecture, int(path.split(".")[2]), group)
        else:
            yield _bar(block, f"{part}, {spec.size_after([block], height_px)} px")


def _joint(architecture: Architecture, index: int, group: str) -> Iterator[content.Bar]:
    """Return the bar of a level's joint with the map of the encoder, where there is one."""
    assert architecture.decoder is not None  # noqa: S101  (only called for a level of one)
    level = architecture.decoder.levels[index]
    if level.skip_level is None:
        return
    upsampled = level.up.out_channels
    skipped = spec.level_channels(architecture)[level.skip_level]
    if level.join == "add":
        yield content.Bar(f"plus encoder: {skipped}", group, float(skipped), OTHER)
    else:
        label = f"beside encoder: {upsampled} and {skipped}"
        yield content.Bar(label, group, float(upsampled + skipped), OTHER)


def _bar(block: Filter, group: str) -> content.Bar:
    if isinstance(block, spec.Expanding):
        widths = _arrows(block.in_channels, block.hidden_channels, block.out_channels)
        tone = MBCONV if block.squeeze_channels is None else SQUEEZE
        return content.Bar(f"{_words(block)}: {widths}", group, float(block.hidden_channels), tone)
    widths = _arrows(block.in_channels, block.out_channels)
    return content.Bar(f"{_words(block)}: {widths}", group, float(block.out_channels), CONVOLUTION)


def _words(block: Filter) -> str:
    """Return the kernel of a block and what else it does."""
    words = [f"k{block.kernel_px}"]
    is_residual = isinstance(block, spec.ResidualConv)
    if block.stride_px > 1:
        words.append(f"stride {block.stride_px}")
    if isinstance(block, spec.FusedInvertedResidual):
        words.append("fused")
    if isinstance(block, spec.Expanding):
        is_residual = block.is_residual
        if block.squeeze_channels is not None:
            words.append("squeeze")
    return " ".join([*words, "plus input"] if is_residual else words)


def _arrows(*widths: int) -> str:
    return " to ".join(map(str, widths))
