"""Laws of the whole networks: shapes, gradients, seeds, boxes, padding."""

import pytest
import torch

from tapetum.arch import architecture_names, find_architecture
from tapetum.errors import InputError
from tapetum.nn import Network, build
from tapetum.nn.network import pad_to_stride

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
