"""Laws of the whole networks: shapes, gradients, seeds, boxes, padding."""

import pytest
import torch

from drawn_shapes import draw_architecture, joint, trained
from tapetum.arch import architecture_names, find_architecture
from tapetum.errors import InputError
from tapetum.nn import Network, build
from tapetum.nn.network import pad_to_stride
from tapetum.nn.unet import DecoderLevel

SMALL = [
    name for name in architecture_names() if "baseline" not in name and name != "unet-original"
]
PLACES = torch.tensor([[[2.0, 3.0, 30.0, 31.0], [1.0, 9.0, 29.0, 37.0]]])


def run(network: Network, noisy: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Both outputs, with the same two boxes for each image where boxes are named."""
    boxes = PLACES.expand(len(noisy), -1, -1) if network.architecture.classifies_boxes else None
    return network(noisy, boxes)


@pytest.mark.parametrize("boxes", [True, False])
@pytest.mark.parametrize("name", SMALL)
def test_outputs_have_the_promised_shapes(name: str, boxes: bool) -> None:
    """A denoised image of the input's size, scores for each region; odd sizes included."""
    architecture = find_architecture(name, channels=3, num_classes=7, boxes=boxes)
    image, logits = run(build(architecture, seed=0), torch.rand(2, 3, 41, 45))
    assert (image is None) == (architecture.kind == "classifier")
    assert image is None or image.shape == (2, 3, 41, 45)
    assert (logits is None) == (architecture.kind == "denoiser")
    assert logits is None or logits.shape == ((2, 2, 7) if boxes else (2, 7))


@pytest.mark.parametrize("name", SMALL)
def test_every_parameter_learns(name: str) -> None:
    """Both outputs together reach every weight with a finite gradient."""
    network = build(find_architecture(name), seed=0)
    outputs = run(network, torch.rand(2, 1, 48, 48))
    sum(output.square().mean() for output in outputs if output is not None).backward()
    for path, parameter in network.named_parameters():
        assert parameter.grad is not None, path
        assert parameter.grad.isfinite().all(), path


def test_equal_seeds_give_equal_networks() -> None:
    """Weights depend on the seed alone, and the global generator is left as it was."""
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, two, other = (
        build(find_architecture("unet-s"), seed=seed).state_dict() for seed in (1, 1, 2)
    )
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert not torch.equal(one["decoder.output.conv.weight"], other["decoder.output.conv.weight"])


def test_a_digits_box_is_cut_out_of_the_image_exactly() -> None:
    """A box of 28 x 28 whole pixels reaches the classifier unchanged."""
    network = build(find_architecture("mb2.5-m"), seed=0)
    image = torch.rand(1, 1, 60, 60)
    cut = network.classifier._cut(image, torch.tensor([[[7.0, 20.0, 35.0, 48.0]]]))
    assert torch.allclose(cut, image[..., 20:48, 7:35], atol=1e-6)


def test_boxes_belong_to_their_own_image() -> None:
    """Changing one image changes only the scores of its boxes."""
    network = build(find_architecture("dc-net-reduced-integrated"), seed=0).eval()
    noisy = torch.rand(2, 1, 48, 48)
    before = run(network, noisy)[1]
    noisy[1] = 0
    after = run(network, noisy)[1]
    assert torch.allclose(before[0], after[0], atol=1e-6)
    assert not torch.allclose(before[1], after[1], atol=1e-3)


def test_boxes_are_exact_in_half_precision() -> None:
    """Image 257 of a batch and pixel 301 of a row are not rounded to their neighbours."""
    cut = build(find_architecture("mb2.5-m"), seed=0).classifier._cut
    images = torch.zeros(258, 1, 30, 340, dtype=torch.bfloat16)
    images[257, :, 1:29, 301:329] = 1
    boxes = torch.tensor([[[301.0, 1.0, 329.0, 29.0]]]).expand(258, 1, 4)
    assert cut(images, boxes).mean(dim=(1, 2, 3)).tolist() == [0.0] * 257 + [1.0]


def test_missing_boxes_are_asked_for() -> None:
    """A network of boxes says that it got none."""
    with pytest.raises(InputError, match="classifies boxes but got none"):
        build(find_architecture("dc-net-reduced-integrated"), seed=0)(torch.rand(1, 1, 48, 48))


def test_only_the_sequential_label_trains_the_decoder() -> None:
    """The label's gradient reaches the decoder in Sequential and not in Integrated."""
    reached = {}
    for kind in ("integrated", "sequential"):
        network = build(find_architecture(f"dc-net-reduced-{kind}"), seed=0)
        run(network, torch.rand(1, 1, 48, 48))[1].sum().backward()
        reached[kind] = network.decoder.output.conv.weight.grad is not None
    assert reached == {"integrated": False, "sequential": True}


@pytest.mark.parametrize(("size_px", "padded_px"), [(8, 8), (9, 16), (15, 16)])
def test_padding_repeats_the_border_up_to_the_stride(size_px: int, padded_px: int) -> None:
    """The padded image begins with the image and goes on with its last row."""
    image = torch.rand(1, 1, size_px, size_px)
    padded = pad_to_stride(image, 8)
    assert padded.shape[2:] == (padded_px, padded_px)
    assert torch.equal(padded[..., :size_px, :size_px], image)
    assert torch.equal(padded[..., -1, :size_px], image[..., -1, :])


def test_the_label_alone_is_that_of_the_whole_network() -> None:
    """Of every kind of network that names, without the decoder where it is not needed."""
    for name in ("dc-net-reduced-integrated", "dc-net-reduced-sequential", "mb2.5-m"):
        network = build(
            find_architecture(name, channels=1, num_classes=3, boxes=False), seed=0
        ).eval()
        noisy = torch.rand(2, 1, 33, 40)
        with torch.no_grad():
            torch.testing.assert_close(network.label(noisy), network(noisy).logits)


@pytest.mark.parametrize("seed", range(12))
def test_every_parameter_of_a_drawn_network_learns(seed: int) -> None:
    """With any block, joint, gate and branch; odd sizes included."""
    network = build(draw_architecture(seed), seed=0)
    outputs = network(torch.rand(3, network.architecture.image_channels, 37, 50))
    sum(output.square().mean() for output in outputs if output is not None).backward()
    for path, parameter in network.named_parameters():
        assert parameter.grad is not None, path
        assert parameter.grad.isfinite().all(), path


@pytest.mark.parametrize("stem", ["half", "full"])
@pytest.mark.parametrize(("gate", "share"), [(-100.0, 0.0), (0.0, 0.5), (100.0, 1.0)])
def test_the_gate_adds_its_share_of_the_noisy_image(stem: str, gate: float, share: float) -> None:
    """The image is what the other channels say, and the noisy one as far as the gate opens."""
    network = build(joint(stem=stem, up="transposed_conv"), seed=0).eval()
    last = network.decoder.levels[-1].up if stem == "half" else network.decoder.output.conv
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.tensor([0.1, 0.2, 0.3, gate]))
        noisy = torch.rand(2, 3, 13, 18)
        image = network(noisy).image
    torch.testing.assert_close(image, torch.tensor([0.1, 0.2, 0.3])[:, None, None] + share * noisy)


@pytest.mark.parametrize("join", ["add", "concatenate"])
def test_a_level_joins_both_maps(join: str) -> None:
    """One sum, or one map behind the other."""
    level = DecoderLevel(
        torch.nn.Upsample(scale_factor=2), torch.nn.Sequential(), skip_level=1, join=join
    )
    x, skip = torch.rand(1, 2, 3, 4), torch.rand(1, 2, 6, 8)
    expected = level.up(x) + skip if join == "add" else torch.cat([level.up(x), skip], dim=1)
    assert torch.equal(level(x, [torch.zeros(0), skip]), expected)


@pytest.mark.parametrize("stem", ["half", "full"])
@pytest.mark.parametrize("up", ["pixel_shuffle", "transposed_conv", "nearest_conv"])
def test_the_first_images_are_small(stem: str, up: str) -> None:
    """Whichever layer makes the image begins at a tenth of the size of the others."""
    network = build(joint(stem=stem, up=up, gated=False, widths=(32, 64)), seed=0)
    decoder = network.decoder
    weights = [value for name, value in decoder.named_parameters() if name.endswith("weight")]
    first, last = (weight.std() * weight[0].numel() ** 0.5 for weight in (weights[0], weights[-1]))
    assert last < 0.25 * first


@pytest.mark.parametrize("stem", ["half", "full"])
@pytest.mark.parametrize("up", ["pixel_shuffle", "transposed_conv", "nearest_conv"])
@pytest.mark.parametrize("sigma", [0.0, 1.0])
def test_a_fresh_gated_network_returns_its_input(stem: str, up: str, sigma: float) -> None:
    """Within 20 dB at the first step of a training, whatever the noise."""
    generator = torch.Generator().manual_seed(0)
    clean = torch.rand((8, 3, 32, 32), generator=generator)
    noisy = clean + sigma * torch.randn(clean.shape, generator=generator)
    network = build(joint(stem=stem, up=up, widths=(32, 64)), seed=0)
    with torch.no_grad():
        error = network(noisy).image - noisy
    assert error.square().mean() < 1e-2 * noisy.square().mean()


def test_the_label_alone_skips_the_decoder_of_a_drawn_network() -> None:
    """The label does not depend on it."""
    network = trained(joint())
    noisy = torch.rand(2, 3, 33, 40)
    with torch.no_grad():
        expected = network(noisy).logits
        network.decoder = None
        torch.testing.assert_close(network.label(noisy), expected)


@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("up", ["pixel_shuffle", "transposed_conv", "nearest_conv"])
def test_a_training_step_keeps_the_channels_last(up: str, gated: bool) -> None:
    """No layer in between converts the layout, and a gated image has the type of the noisy one."""
    network = build(joint(up=up, gated=gated), seed=0).to(memory_format=torch.channels_last)
    noisy = torch.rand(2, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    layouts = []
    for module in network.modules():
        module.register_forward_hook(lambda _module, _inputs, output: layouts.append(output))
    with torch.autocast("cpu", torch.bfloat16):
        image = network(noisy).image
    maps = [value for value in (*layouts, image) if isinstance(value, torch.Tensor)]
    maps = [value for value in maps if value.dim() == 4 and value.shape[1] > 1]
    assert len(maps) > 10
    assert all(value.is_contiguous(memory_format=torch.channels_last) for value in maps)
    assert image.dtype == (torch.float32 if gated else torch.bfloat16)
