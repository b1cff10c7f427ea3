"""Laws of the baselines as data: which there are, what must fit, and that they are told apart."""

from pathlib import Path

import pytest
from pydantic import ValidationError
from tapetum_paper.baselines.known import BASELINES

from tapetum.arch import (
    Architecture,
    Baseline,
    architecture_names,
    baseline_names,
    find_architecture,
    find_baseline,
    read_architecture,
)
from tapetum.errors import ArchitectureError, InputError
from tapetum.records import Record

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("name", baseline_names())
def test_a_baseline_comes_back_from_its_file(name: str, tmp_path: Path) -> None:
    """What was written is read as the same baseline."""
    baseline = find_baseline(name, channels=3, num_classes=7)
    baseline.write(tmp_path / "baseline.json")
    assert read_architecture(tmp_path / "baseline.json") == baseline


@pytest.mark.parametrize("name", baseline_names())
def test_a_baseline_names_or_denoises(name: str) -> None:
    """It does one of the two, and has classes just where it names."""
    baseline = find_baseline(name, num_classes=7)
    assert baseline.classifies != baseline.denoises
    assert baseline.num_classes == (7 if baseline.classifies else None)
    assert not baseline.classifies_boxes


@pytest.mark.parametrize("name", ["mb1-s", "unet-s", "dc-net-reduced-integrated"])
def test_an_architecture_answers_what_a_baseline_answers(name: str, tmp_path: Path) -> None:
    """Whoever trains or scores need not know which of the two it has."""
    architecture = find_architecture(name, num_classes=7)
    assert architecture.denoises == (architecture.kind != "classifier")
    assert architecture.classifies == (architecture.kind != "denoiser")
    assert architecture.num_classes == (7 if architecture.classifies else None)
    architecture.write(tmp_path / "mine.json")
    assert read_architecture(tmp_path / "mine.json") == architecture


def test_names_mean_one_thing() -> None:
    """No baseline is called like an architecture of ours."""
    assert not set(baseline_names()) & set(architecture_names())


def test_an_unknown_baseline_is_told_the_nearest() -> None:
    """By name and in a file alike."""
    with pytest.raises(ArchitectureError, match="did you mean 'resnet-18'"):
        find_baseline("resnet-81")
    with pytest.raises(ValidationError, match="did you mean 'resnet-18'"):
        Baseline(name="resnet-81", image_channels=3, num_classes=7)


def test_classes_are_given_exactly_where_they_are_needed() -> None:
    """A classifier without classes is refused, and so is a denoiser with some."""
    with pytest.raises(ValidationError, match="resnet-18 names images: give num_classes"):
        Baseline(name="resnet-18", image_channels=3)
    with pytest.raises(ValidationError, match="dncnn only denoises: leave num_classes out"):
        Baseline(name="dncnn", image_channels=3, num_classes=7)


def test_numbers_that_make_no_network_are_our_error() -> None:
    """Without channels there is no image."""
    with pytest.raises(ArchitectureError, match="make no network: image_channels"):
        find_baseline("dncnn", channels=0)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "does not describe a Architecture"),
        ('{"format": "tapetum-baseline"}', "does not describe a Baseline: name"),
    ],
)
def test_a_broken_file_is_said_to_be_broken(content: str, said: str, tmp_path: Path) -> None:
    """Whichever of the two it was meant to be."""
    (tmp_path / "broken.json").write_text(content)
    with pytest.raises(InputError, match=said):
        read_architecture(tmp_path / "broken.json")
    with pytest.raises(InputError, match="cannot read"):
        read_architecture(tmp_path / "none.json")


def test_the_page_of_baselines_has_them_all() -> None:
    """docs/baselines.md names each baseline and the paper it comes from."""
    page = (ROOT / "docs" / "baselines.md").read_text()
    assert not [name for name, known in BASELINES.items() if f"`{name}`" not in page]
    assert not [known.url for known in BASELINES.values() if known.url not in page]


def test_both_are_records() -> None:
    """A field of either type is stored and compared like every other."""
    assert issubclass(Baseline, Record)
    assert issubclass(Architecture, Record)
