"""Laws of the baselines as networks: our contract, their published size, and fresh weights."""

import sys

import pytest
import torch
from torch import nn

from tapetum.arch import NetworkFacts
from tapetum.errors import ArchitectureError, MissingExtraError
from tapetum.nn import Outputs
from tapetum_paper.baselines.dncnn import DnCNN
from tapetum_paper.baselines.ffdnet import noise_level
from tapetum_paper.baselines.known import BASELINES, baseline_names, find_baseline
from tapetum_paper.baselines.networks import (
    TIMM,
    baseline_multiply_adds,
    baseline_parameters,
    build_baseline,
    unfuse_norms,
)

DENOISERS = [name for name, known in BASELINES.items() if known.kind == "denoiser"]


def baseline_of(name: str, *, channels: int = 3, num_classes: int = 7) -> NetworkFacts:
    """A baseline, where the library that it comes from is installed."""
    if name in TIMM:
        pytest.importorskip("timm")
    return find_baseline(name, channels=channels, num_classes=num_classes)


def only(outputs: Outputs) -> torch.Tensor:
    """The one output that a baseline has."""
    (output,) = (output for output in outputs if output is not None)
    return output


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", baseline_names())
def test_outputs_have_the_promised_shapes(name: str, channels: int) -> None:
    """A denoised image of the input's size, or a score for each class."""
    baseline = baseline_of(name, channels=channels)
    image, logits = build_baseline(baseline, seed=0)(torch.rand(2, channels, 64, 64))
    assert (image is None) == baseline.classifies
    assert image is None or image.shape == (2, channels, 64, 64)
    assert logits is None or logits.shape == (2, 7)


@pytest.mark.parametrize("name", DENOISERS)
def test_a_denoiser_takes_odd_sizes(name: str) -> None:
    """The image comes back as large as it was."""
    assert only(build_baseline(baseline_of(name), seed=0)(torch.rand(2, 3, 41, 45))).shape == (
        2,
        3,
        41,
        45,
    )


@pytest.mark.parametrize("name", baseline_names())
def test_every_parameter_learns(name: str) -> None:
    """The output reaches every weight with a finite gradient, on small images too."""
    network = build_baseline(baseline_of(name), seed=0)
    only(network(torch.rand(2, 3, 32, 32))).square().mean().backward()
    for path, parameter in network.named_parameters():
        assert parameter.grad is not None, path
        assert parameter.grad.isfinite().all(), path


@pytest.mark.parametrize("name", baseline_names())
def test_equal_seeds_give_equal_networks(name: str) -> None:
    """Weights depend on the seed alone, and the global generator is left as it was."""
    baseline = baseline_of(name, channels=1)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, two, other = (build_baseline(baseline, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert not all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("name", baseline_names())
def test_saved_weights_make_the_same_network(name: str) -> None:
    """Another network with its weights gives its outputs."""
    baseline, noisy = baseline_of(name), torch.rand(2, 3, 33, 40)
    saved, loaded = build_baseline(baseline, seed=0).eval(), build_baseline(baseline, seed=1).eval()
    loaded.load_state_dict(saved.state_dict())
    with torch.no_grad():
        assert torch.equal(only(saved(noisy)), only(loaded(noisy)))


def test_only_facts_that_agree_make_a_network() -> None:
    """A classifier needs classes, a denoiser has none, and the kind must be right."""
    classifier, denoiser = baseline_of("resnet-18"), baseline_of("dncnn")
    for facts, update, said in (
        (classifier, {"num_classes": None}, "resnet-18 classifies images; give num_classes"),
        (denoiser, {"num_classes": 7}, "dncnn only denoises; leave num_classes out"),
        (denoiser, {"kind": "classifier"}, "dncnn is a denoiser, and the facts say classifier"),
        (denoiser, {"name": "resnet-81"}, "did you mean 'resnet-18'"),
    ):
        with pytest.raises(ArchitectureError, match=said):
            build_baseline(facts.model_copy(update=update), seed=0)


@pytest.mark.parametrize(
    ("name", "published"),
    [
        # torchvision's documentation, 1000 classes
        ("mobilenet-v2", 3_504_872),
        ("mobilenet-v3-small", 2_542_856),
        ("mobilenet-v3-large", 5_483_032),
        ("resnet-18", 11_689_512),
        # what its authors' notebook prints, github.com/mv-lab/AISP
        ("lpienet-1x", 133_652),
    ],
)
def test_baselines_are_as_large_as_published(name: str, published: int) -> None:
    """Not one parameter more or less."""
    assert baseline_parameters(baseline_of(name, num_classes=1000)) == published


@pytest.mark.parametrize(
    ("name", "channels", "millions"),
    [
        # what its authors' page prints, github.com/google/automl
        ("efficientnet-v2-b0", 3, 7.1),
        ("efficientnet-v2-b1", 3, 8.1),
        # what both papers print
        ("dncnn", 1, 0.67),
        ("dncnn", 3, 0.67),
        ("ffdnet", 1, 0.49),
        ("ffdnet", 3, 0.85),
    ],
)
def test_baselines_are_about_as_large_as_published(
    name: str, channels: int, millions: float
) -> None:
    """Papers round, and count the folded form or the trained one."""
    counted = baseline_parameters(baseline_of(name, channels=channels, num_classes=1000)) / 1e6
    assert counted == pytest.approx(millions, rel=0.01)


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("mobilenet-v2", 0.301),
        ("mobilenet-v3-small", 0.057),
        ("mobilenet-v3-large", 0.217),
        ("resnet-18", 1.814),
    ],
)
def test_baselines_cost_what_was_published(name: str, billions: float) -> None:
    """The documentation of torchvision prints multiply-adds at 224 px and 1000 classes."""
    counted = baseline_multiply_adds(baseline_of(name, num_classes=1000), 224, 224)
    assert round(counted / 1e9, 3) == billions


def test_a_convolution_costs_its_places() -> None:
    """Every multiply-add of DnCNN is at every pixel."""
    weights = 9 * (3 * 64 + 18 * 64 * 64 + 64 * 3)
    assert baseline_multiply_adds(baseline_of("dncnn"), 20, 30) == weights * 20 * 30


def test_dncnn_takes_the_noise_away() -> None:
    """Where it predicts none, the image stays."""
    network, noisy = DnCNN(1).eval(), torch.rand(2, 1, 16, 16)
    with torch.no_grad():
        network.layers[-1].conv.weight.zero_()
        assert torch.equal(network(noisy), noisy)


@pytest.mark.parametrize("sigma", [0.02, 0.1, 0.5])
def test_the_noise_level_is_found(sigma: float) -> None:
    """On a slope, which is no noise; each image has its own."""
    slope = torch.linspace(0, 1, 96).expand(2, 3, 96, 96)
    noise = torch.randn(slope.shape, generator=torch.Generator().manual_seed(0))
    noisy = slope + noise * torch.tensor([sigma, 0.0])[:, None, None, None]
    found = noise_level(noisy)
    assert found[0] == pytest.approx(sigma, rel=0.03)
    assert found[1] == pytest.approx(0, abs=1e-6)


class _FusedNorm(nn.BatchNorm2d):
    """A batch normalisation with an activation in it, as timm has them."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.drop, self.act = nn.Identity(), nn.SiLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(super().forward(x))


def test_an_unfused_norm_computes_what_it_did() -> None:
    """The activation is a module of its own, and training goes on from the same state."""
    network = nn.Sequential(nn.Conv2d(3, 4, 1), _FusedNorm(4))
    images = torch.rand(4, 3, 8, 8)
    network(images)  # moves the running statistics
    expected = network.eval()(images)
    unfuse_norms(network)
    assert type(network[1][0]) is nn.BatchNorm2d
    assert torch.equal(network.eval()(images), expected)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence says what to install."""
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingExtraError, match=r"timm.*pip install timm"):
        build_baseline(find_baseline("efficientnet-v2-b0"), seed=0)
