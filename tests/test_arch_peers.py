"""Laws of the peers as data: which there are, what must fit, and that they are told apart."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from tapetum.arch import Architecture, Peer, find, find_peer, names, peer_names, read_architecture
from tapetum.arch.peers import PEERS
from tapetum.errors import ArchitectureError, InputError
from tapetum.records import Record

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("name", peer_names())
def test_a_peer_comes_back_from_its_file(name: str, tmp_path: Path) -> None:
    """What was written is read as the same peer."""
    peer = find_peer(name, channels=3, num_classes=7)
    peer.write(tmp_path / "peer.json")
    assert read_architecture(tmp_path / "peer.json") == peer


@pytest.mark.parametrize("name", peer_names())
def test_a_peer_names_or_cleans(name: str) -> None:
    """It does one of the two, and has classes just where it names."""
    peer = find_peer(name, num_classes=7)
    assert peer.names != peer.cleans
    assert peer.num_classes == (7 if peer.names else None)
    assert not peer.names_boxes


@pytest.mark.parametrize("name", ["mb1-s", "unet-s", "dc-net-reduced-integrated"])
def test_an_architecture_answers_what_a_peer_answers(name: str, tmp_path: Path) -> None:
    """Whoever trains or scores need not know which of the two it has."""
    architecture = find(name, num_classes=7)
    assert architecture.cleans == (architecture.kind != "classifier")
    assert architecture.names == (architecture.kind != "denoiser")
    assert architecture.num_classes == (7 if architecture.names else None)
    architecture.write(tmp_path / "mine.json")
    assert read_architecture(tmp_path / "mine.json") == architecture


def test_names_mean_one_thing() -> None:
    """No peer is called like an architecture of ours."""
    assert not set(peer_names()) & set(names())


def test_an_unknown_peer_is_told_the_nearest() -> None:
    """By name and in a file alike."""
    with pytest.raises(ArchitectureError, match="did you mean 'resnet-18'"):
        find_peer("resnet-81")
    with pytest.raises(ValidationError, match="did you mean 'resnet-18'"):
        Peer(name="resnet-81", picture_channels=3, num_classes=7)


def test_classes_are_given_exactly_where_they_are_needed() -> None:
    """A classifier without classes is refused, and so is a denoiser with some."""
    with pytest.raises(ValidationError, match="resnet-18 names pictures: give num_classes"):
        Peer(name="resnet-18", picture_channels=3)
    with pytest.raises(ValidationError, match="dncnn only cleans: leave num_classes out"):
        Peer(name="dncnn", picture_channels=3, num_classes=7)


def test_numbers_that_make_no_network_are_our_error() -> None:
    """Without channels there is no picture."""
    with pytest.raises(ArchitectureError, match="make no network: picture_channels"):
        find_peer("dncnn", channels=0)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "does not describe a Architecture"),
        ('{"format": "tapetum-peer"}', "does not describe a Peer: name"),
    ],
)
def test_a_broken_file_is_said_to_be_broken(content: str, said: str, tmp_path: Path) -> None:
    """Whichever of the two it was meant to be."""
    (tmp_path / "broken.json").write_text(content)
    with pytest.raises(InputError, match=said):
        read_architecture(tmp_path / "broken.json")
    with pytest.raises(InputError, match="cannot read"):
        read_architecture(tmp_path / "none.json")


def test_the_page_of_peers_has_them_all() -> None:
    """docs/peers.md names each peer and the paper it comes from."""
    page = (ROOT / "docs" / "peers.md").read_text()
    assert not [name for name, known in PEERS.items() if f"`{name}`" not in page]
    assert not [known.url for known in PEERS.values() if known.url not in page]


def test_both_are_records() -> None:
    """A field of either type is stored and compared like every other."""
    assert issubclass(Peer, Record)
    assert issubclass(Architecture, Record)
