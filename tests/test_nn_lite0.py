"""EfficientNet-Lite0 as a source of features, and networks that start from its blocks."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from lite0 import write_stand_in
from tapetum.arch import Branch, Shape
from tapetum.errors import InputError
from tapetum.nn import Lite0, Network, build, can_start, open_lite0, start_from_lite0

MBCONV = Shape(
    widths=(8, 8, 8),
    encoder_depths=(1, 1, 1),
    decoder_depths=(0, 0),
    operator="mbconv",
    expansion=2,
    stem="full",
    down="max_pool",
    branch=Branch(operator="mbconv", widths=(8,)),
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A file of weights, and its digest."""
    path = tmp_path_factory.mktemp("lite0") / "weights.pth"
    return path, write_stand_in(path)


@pytest.fixture(scope="module")
def teacher(weights: tuple[Path, str]) -> Lite0:
    """The network of the stand-in."""
    return open_lite0(*weights)


@pytest.fixture(scope="module")
def images() -> tuple[Tensor, Tensor]:
    """Smooth random images of 32 px, noisy and clean."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(24, 1, 8, 8, generator=generator)
    clean = torch.nn.functional.interpolate(coarse, size=32, mode="bilinear")
    return clean + 0.1 * torch.randn(clean.shape, generator=generator), clean


def _network(seed: int = 0, shape: Shape = MBCONV) -> Network:
    return build(shape.architecture("mbconv", image_channels=1, num_classes=3), seed=seed)


def test_changed_weights_are_refused_in_one_sentence(weights: tuple[Path, str]) -> None:
    """The digest decides, before anything is read."""
    path, sha256 = weights
    changed = path.with_name("changed.pth")
    changed.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match="they were changed"):
        open_lite0(changed, sha256)


def test_blocks_shrink_the_image_as_published(teacher: Lite0) -> None:
    """Each block gives maps of the published reduction, also of odd sizes."""
    x = teacher.stem(teacher.prepared(torch.rand(1, 3, 75, 50)))
    for block in teacher.blocks:
        x = block(x)
        assert x.shape[-2:] == (-(-75 // block.reduction), -(-50 // block.reduction))
    assert [block.reduction for block in teacher.blocks] == [2, 4, 4, 8, 8, *[16] * 6, *[32] * 5]


def test_the_margin_of_a_stride_is_at_the_bottom_right(teacher: Lite0) -> None:
    """The first place of the stem sees the top left 3 x 3 pixels and no margin."""
    images = torch.rand(1, 3, 8, 8)
    expected = (teacher.stem.weight * images[:, :, :3, :3]).sum((1, 2, 3)) + teacher.stem.bias
    torch.testing.assert_close(teacher.stem(images)[0, :, 0, 0], expected)


def test_a_grey_image_gives_the_features_of_the_same_image_in_rgb(teacher: Lite0) -> None:
    """A grey image is one with three equal channels."""
    grey = torch.rand(2, 1, 32, 32)
    torch.testing.assert_close(teacher.features(grey), teacher.features(grey.repeat(1, 3, 1, 1)))


def test_only_networks_of_mbconv_blocks_can_start() -> None:
    """Others have no blocks to start."""
    plain = Shape(widths=(8, 8), encoder_depths=(1, 1), decoder_depths=(0,))
    assert can_start(_network())
    assert not can_start(_network(shape=plain))


@torch.no_grad()
def _deepest(network: Network, noisy: Tensor) -> Tensor:
    """Return the deepest map of the encoder."""
    assert network.encoder is not None
    return network.encoder(noisy)[-1]


def _unexplained(features: Tensor, wanted: Tensor) -> float:
    """Return the share of the wanted variance that is not linear in some features."""
    rows, goals = (x.movedim(1, -1).flatten(0, 2).double() for x in (features, wanted))
    rows, goals = rows - rows.mean(0), goals - goals.mean(0)
    solved = torch.linalg.lstsq(rows, goals).solution
    return float((goals - rows @ solved).square().sum() / goals.square().sum())


def _at_8th(teacher: Lite0, clean: Tensor) -> Tensor:
    """Return what the teacher has at an eighth of the size; the network's deepest is a quarter."""
    x = teacher.stem(teacher.prepared(clean)).clamp(0, 6)
    for block in teacher.blocks[:3]:
        x = block(x)
    return x


def _of_some_channels(network: Network, teacher: Lite0) -> None:
    """Give the MBConv blocks the first channels of the teacher's weights."""
    assert network.encoder is not None
    theirs = [teacher.blocks[number] for number in (0, 0, 0, 1, 2)]
    ours = [one for level in network.encoder.levels for one in level if hasattr(one, "depthwise")]
    with torch.no_grad():
        for block, source in zip(ours, theirs, strict=True):
            pairs = [(block.depthwise.conv, source.depthwise), (block.project.conv, source.project)]
            if source.expand is not None:
                pairs.append((block.expand.conv, source.expand))
            for conv, given in pairs:
                sizes = [
                    min(a, b) for a, b in zip(conv.weight.shape, given.weight.shape, strict=True)
                ]
                part = tuple(slice(size) for size in sizes)
                conv.weight[part] = given.weight[part]


def test_started_blocks_are_nearer_to_the_teacher_than_others(
    teacher: Lite0, images: tuple[Tensor, Tensor]
) -> None:
    """On images that the regression has not seen: nearer than random ones, and than a subset."""
    noisy, clean = images
    started, fresh, subset = _network(), _network(), _network()
    start_from_lite0(started, teacher, noisy[:16], clean[:16])
    _of_some_channels(subset, teacher)
    wanted = _at_8th(teacher, clean[16:])
    ours, random, part = (
        _unexplained(_deepest(network.eval(), noisy[16:]), wanted)
        for network in (started, fresh, subset)
    )
    assert ours < 0.9 * random
    assert ours < 0.9 * part


def test_a_start_keeps_the_mode_and_names_what_it_took(
    teacher: Lite0, images: tuple[Tensor, Tensor]
) -> None:
    """Every convolution of encoder and branch starts, and no other is touched."""
    network, fresh = _network(), _network()
    taken = start_from_lite0(network, teacher, *images)
    assert network.training
    assert "encoder.levels.0.0" in taken
    assert "classifier.blocks.0.project" in taken
    before, after = fresh.state_dict(), network.state_dict()
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert {name for name in changed if name.endswith("conv.weight")} == {
        f"{name}.conv.weight" for name in taken
    }
    assert all(torch.isfinite(value).all() for value in after.values())


def test_batch_norms_know_the_statistics_of_their_inputs(
    teacher: Lite0, images: tuple[Tensor, Tensor]
) -> None:
    """The outputs with the statistics of the batch are those with the stored ones."""
    network = _network()
    start_from_lite0(network, teacher, *images)
    stored = _deepest(network.eval(), images[0])
    network.train()
    torch.testing.assert_close(_deepest(network, images[0]), stored, rtol=1e-2, atol=1e-2)
