"""Laws of the baselines as facts: which exist, and which numbers fit them."""

from pathlib import Path

import pytest

from tapetum.arch import NetworkFacts, architecture_names, find_architecture
from tapetum.errors import ArchitectureError, InputError
from tapetum_paper import Scale
from tapetum_paper.baselines import BASELINES, baseline_names, find_baseline
from tapetum_paper.searching import table_3

DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.parametrize("name", baseline_names())
def test_a_baseline_comes_back_from_its_file(name: str, tmp_path: Path) -> None:
    """The facts that were written are read as equal facts."""
    baseline = find_baseline(name, channels=3, num_classes=7)
    baseline.write(tmp_path / "baseline.json")
    assert NetworkFacts.read(tmp_path / "baseline.json") == baseline


@pytest.mark.parametrize("name", baseline_names())
def test_a_baseline_classifies_or_denoises(name: str) -> None:
    """It does one of the two, and has classes exactly where it classifies."""
    baseline = find_baseline(name, num_classes=7)
    assert baseline.classifies != baseline.denoises
    assert baseline.num_classes == (7 if baseline.classifies else None)
    assert not baseline.classifies_boxes


@pytest.mark.parametrize("name", ["mb1-s", "unet-s", "dc-net-reduced-integrated"])
def test_an_architecture_answers_the_questions_that_facts_answer(name: str) -> None:
    """Training and evaluation do not need to know which of the two they have."""
    architecture = find_architecture(name, num_classes=7)
    assert architecture.denoises == (architecture.kind != "classifier")
    assert architecture.classifies == (architecture.kind != "denoiser")
    assert architecture.num_classes == (7 if architecture.classifies else None)


def test_names_mean_one_thing() -> None:
    """No baseline but one has the name of an architecture of Tapetum.

    The results of this project have that of torchvision, which its experiments must go on finding.
    """
    assert set(baseline_names()) & set(architecture_names()) == {"mobilenet-v3-small"}
    assert table_3(Scale.small).cells[0].network == find_baseline(
        "mobilenet-v3-small", channels=3, num_classes=10
    )


def test_an_unknown_baseline_is_refused_with_the_nearest_name() -> None:
    """A typing error does not end in a search through the documents."""
    with pytest.raises(ArchitectureError, match="did you mean 'resnet-18'"):
        find_baseline("resnet-81")


@pytest.mark.parametrize("numbers", [{"channels": 0}, {"num_classes": 1}])
def test_numbers_that_make_no_network_are_refused(numbers: dict[str, int]) -> None:
    """Images need a channel, and classes need to be two."""
    with pytest.raises(ArchitectureError, match=r"make no network: (image_channels|num_classes)"):
        find_baseline("resnet-18", **numbers)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "does not describe a NetworkFacts"),
        ('{"format": "tapetum-network"}', "does not describe a NetworkFacts: name"),
    ],
)
def test_a_broken_file_is_refused(content: str, said: str, tmp_path: Path) -> None:
    """The message says what is wrong with it."""
    (tmp_path / "broken.json").write_text(content)
    with pytest.raises(InputError, match=said):
        NetworkFacts.read(tmp_path / "broken.json")
    with pytest.raises(InputError, match="cannot read"):
        NetworkFacts.read(tmp_path / "none.json")


def test_the_page_of_baselines_has_them_all() -> None:
    """docs/baselines.md names each baseline and its publication."""
    page = (DOCS / "baselines.md").read_text()
    assert not [name for name in BASELINES if f"`{name}`" not in page]
    assert not [known.url for known in BASELINES.values() if known.url not in page]
