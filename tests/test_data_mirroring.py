"""Images are mirrored only where neither names nor images speak against it."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tapetum.data.mirroring import THUMBNAIL_PX, check_mirror, reason_of_names


@pytest.mark.parametrize(
    "names",
    [
        ("left", "right"),
        ("left", "other"),
        ("turnLeft", "straight", "turnRight"),
        ("turnleft", "turnright"),
        ("Pfeil_links", "Pfeil_rechts"),
        ("linkskurve", "rechtskurve"),
        ("gauche", "droite"),
        ("izquierda", "derecha"),
        ("sağ", "sol"),
        ("слева", "справа"),
        ("左折", "右折"),
        ("east", "west"),
        ("arm_l", "arm_r"),
        ("\u2190", "\u2192"),
        ("arrow", "circle"),
        ("0", "1", "2"),
        ("00", "01"),
        ("one", "two"),
        ("a", "b"),
        ("digit_3", "digit_4"),
        ("text", "picture"),
    ],
    ids=lambda names: "-".join(names).encode("ascii", "backslashreplace").decode(),
)
def test_names_that_speak_against_mirroring(names: tuple[str, ...]) -> None:
    """Sides, arrows, digits, letters and text, in other languages too."""
    assert reason_of_names(names)


@pytest.mark.parametrize(
    "names",
    [
        (),
        ("cat", "dog"),
        ("bright", "dark"),
        ("north", "south"),
        ("port", "ship"),
        ("crazing", "inclusion", "rolled-in_scale"),
        ("one_crack", "no_crack"),
        ("class1", "class2"),
    ],
    ids="-".join,
)
def test_names_that_say_nothing(names: tuple[str, ...]) -> None:
    """Other names leave the decision to the images."""
    assert not reason_of_names(names)


def drawn(kinds: str, count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Triangles at random places that point left, right, up or down, by their first letters."""
    generator = np.random.default_rng(0)
    images = 0.2 + 0.05 * generator.standard_normal((count, 1, THUMBNAIL_PX, THUMBNAIL_PX))
    labels = np.arange(count) % len(kinds)
    shape = np.tril(np.ones((12, 12)))[:, ::2]
    shape = np.concatenate([shape, shape[::-1]])[::2, :]  # points right
    turned = {"r": shape, "l": shape[:, ::-1], "d": shape.T, "u": shape.T[::-1]}
    for index, label in enumerate(labels):
        figure = turned[kinds[label]]
        top, left = (generator.integers(THUMBNAIL_PX - side + 1) for side in figure.shape)
        images[index, 0, top : top + figure.shape[0], left : left + figure.shape[1]] += 0.6 * figure
    return images.clip(0, 1).astype(np.float32), labels


@pytest.mark.parametrize("kinds", ["lr", "lrud"])
@pytest.mark.parametrize("count", [24, 120])
def test_shapes_that_mirror_into_each_other_are_found(kinds: str, count: int) -> None:
    """Whatever the classes are called, images tell that left and right matter."""
    found = check_mirror(*drawn(kinds, count))
    assert found.reason
    assert "another class" in found.describe()


def test_shapes_that_mirror_into_themselves_may_be_mirrored() -> None:
    """Up and down look the same in a mirror."""
    found = check_mirror(*drawn("ud", 60))
    assert not found.reason
    assert found.accuracy > 0.9


def test_images_that_tell_nothing_are_not_mirrored() -> None:
    """Where the check cannot learn the classes, the safe answer is no."""
    noise = np.random.default_rng(0).random((40, 1, THUMBNAIL_PX, THUMBNAIL_PX), np.float32)
    found = check_mirror(noise, np.arange(40) % 2)
    assert "too few or too hard" in found.reason


def test_the_check_has_no_chance_in_it() -> None:
    """The same images give the same answer."""
    assert check_mirror(*drawn("lr", 40)) == check_mirror(*drawn("lr", 40))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_handful_of_images_is_not_mirrored(count: int) -> None:
    """There is nothing to learn from, and nothing is assumed."""
    assert check_mirror(*drawn("lr", count)).reason
