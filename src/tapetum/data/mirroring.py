"""Decide whether training may mirror images left to right.

Mirroring helps where left and right mean nothing, and makes a task impossible where they decide the
label. So it is used only where neither the names of the classes nor the images speak against it.

The check of the images learns a small linear classifier on random patches of thumbnails, by
cross-validation, and compares its accuracy on images that it has not seen with that on the same
images mirrored. It takes seconds and no torch.

References:
    An Analysis of Single-Layer Networks in Unsupervised Feature Learning
    (Coates, Lee, Ng, 2011): features from patches of the images themselves.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from tapetum import metrics
from tapetum.noise import generator_for

__all__ = ["MOST_IMAGES", "THUMBNAIL_PX", "MirrorCheck", "check_mirror", "reason_of_names"]

THUMBNAIL_PX = 32
MOST_IMAGES = 400  # more would take more than a few seconds

_LEFT = "left links gauche izquierda izquierdo sinistra sinistro esquerda esquerdo vänster venstre "
_LEFT += "lewo lewa lewy vlevo levy stanga vasen bal sol kiri trai слева влево левый левая лево "
_LEFT += "αριστερα 左 왼쪽 يسار बाएँ west port"
_RIGHT = "right rechts droite derecha derecho destra destro direita direito höger højre høyre "
_RIGHT += "prawo prawa prawy vpravo pravy dreapta oikea jobb sağ kanan phai справа вправо правый "
_RIGHT += "правая право δεξια 右 오른쪽 يمين दाएँ east starboard"
_TURNS = "leftward rightward leftwards rightwards clockwise counterclockwise anticlockwise cw ccw"
_WRITING = "digit digits letter letters number numbers numeral numerals char chars character "
_WRITING += "characters glyph glyphs text texts word words handwriting handwritten arrow arrows"
_NUMBERS = "zero one two three four five six seven eight nine ten"
_ARROWS = re.compile("[\u2190-\u21ff\u27f5-\u27ff\u2b00-\u2b11]")

_PATCH_PX = 5
_NUM_PATCHES = 200
_FOLDS = 5
_RIDGE = 0.3
_LOSS = 0.3  # of the accuracy above chance: more is lost to the mirror only where it matters
_SWAPPED = 0.4  # of the images of a class
_ENOUGH_IMAGES = 8  # of a class, to judge it alone
_KEY = 3  # a key of its own, so that the check and the training are independent


class MirrorCheck(NamedTuple):
    """The macro accuracy of a small classifier on unseen images, and on them mirrored.

    The reason against mirroring is empty where nothing speaks against it.
    """

    accuracy: float
    mirrored: float
    reason: str

    def describe(self) -> str:
        """Return the finding in words."""
        found = f"{self.accuracy:.0%} of images and {self.mirrored:.0%} of their mirror images"
        reason = self.reason or "the classes can still be told apart"
        return f"{reason}: a quick classifier is right on {found}"


def reason_of_names(class_names: Sequence[str]) -> str:
    """Return why these classes should not be mirrored; empty where the names do not say so."""
    words = {name: _words(name) for name in class_names}
    every = set().union(*words.values()) if words else set()
    left, right = _vocabulary(_LEFT), _vocabulary(_RIGHT)
    sided = [name for name in class_names if words[name] & (left | right | _vocabulary(_TURNS))]
    if sided and (len(sided) > 1 or every & {"left", "right"}):
        return f"class {sided[0]!r} names a direction"
    if {"l", "r"} <= every:
        return "classes are told apart by 'l' and 'r'"
    for name in class_names:
        if _ARROWS.search(name) or words[name] & _vocabulary(_WRITING):
            return f"class {name!r} names writing or arrows"
    shown = [name for name in class_names if len(name) == 1 or name.isdigit()]
    if len(class_names) > 1 and len(shown) == len(class_names):
        return "the classes are letters or numbers"
    if len(class_names) > 1 and every <= _vocabulary(_NUMBERS):
        return "the classes are numbers"
    return ""


def check_mirror(images: NDArray[np.float32], labels: NDArray[np.int64]) -> MirrorCheck:
    """Compare a quick classifier on thumbnails (n, c, 32, 32) and on their mirror images."""
    generator = generator_for(0, _KEY)
    patches = _draw_patches(images, generator)
    plain, mirrored = _features(images, patches), _features(images[:, :, :, ::-1], patches)
    num_classes = int(labels.max()) + 1
    scores = np.zeros((2, len(labels), num_classes))
    folds = _folds(labels, generator)
    for fold in range(_FOLDS):
        learns, tests = folds != fold, folds == fold
        if tests.any() and learns.any():
            solve = _ridge(plain[learns], labels[learns], num_classes)
            scores[0, tests], scores[1, tests] = solve(plain[tests]), solve(mirrored[tests])
    return _verdict(*(metrics.confusion_matrix(part, labels) for part in scores))


def _words(text: str) -> set[str]:
    """Return the words of a name, without case and accents; a Chinese sign is a word."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    plain = unicodedata.normalize("NFKD", spaced.casefold())
    plain = "".join(sign for sign in plain if not unicodedata.combining(sign))
    words = set(re.findall(r"[^\W\d_]+", plain))
    return words | {sign for sign in plain if "\u4e00" <= sign <= "\u9fff"} | _sides(words)


def _sides(words: set[str]) -> set[str]:
    """Return the sides with which longer words begin or, as turnleft, end (unlike bright)."""
    sides = ("left", "right", "links", "rechts")
    found = {side for side in sides for word in words if word.startswith(side)}
    return found | {"left" for word in words if word.endswith("left")}


def _vocabulary(text: str) -> set[str]:
    return set().union(*(_words(word) for word in text.split()))


def _draw_patches(
    images: NDArray[np.float32], generator: np.random.Generator
) -> NDArray[np.float32]:
    """Return normalised random patches of the images, (count, c * 5 * 5), with much in them."""
    views = sliding_window_view(images, (_PATCH_PX, _PATCH_PX), axis=(2, 3))
    num_places = views.shape[2]
    count = 8 * _NUM_PATCHES
    rows, columns = generator.integers(num_places, size=(2, count))
    chosen = views[generator.integers(len(images), size=count), :, rows, columns]
    patches = chosen.reshape(count, -1).astype(np.float32)
    patches -= patches.mean(axis=1, keepdims=True)
    strongest = np.argsort(-patches.std(axis=1))[: 3 * _NUM_PATCHES]
    kept = patches[generator.permutation(strongest)[:_NUM_PATCHES]]
    normalised: NDArray[np.float32] = kept / (np.linalg.norm(kept, axis=1, keepdims=True) + 1e-6)
    return normalised


def _features(images: NDArray[np.float32], patches: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how much of each patch is anywhere in each image, shape (n, patches)."""
    features = np.empty((len(images), len(patches)), np.float32)
    for index, image in enumerate(images):
        views = sliding_window_view(image, (_PATCH_PX, _PATCH_PX), axis=(1, 2))
        places = views.transpose(1, 2, 0, 3, 4).reshape(views.shape[1] * views.shape[2], -1)
        places = places - places.mean(axis=1, keepdims=True)
        places /= np.sqrt(np.square(places).mean(axis=1, keepdims=True) + 0.01)
        features[index] = np.maximum(places @ patches.T - 1, 0).mean(axis=0)
    return features


def _folds(labels: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
    """Deal the images of each class out to the folds."""
    folds = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        folds[members] = np.arange(len(members)) % _FOLDS
    return folds


def _ridge(
    features: NDArray[np.float32], labels: NDArray[np.int64], num_classes: int
) -> Callable[[NDArray[np.float32]], NDArray[np.float64]]:
    """Return a linear classifier, fitted by least squares with a penalty, classes weighed alike."""
    middle, spread = features.mean(axis=0), features.std(axis=0)
    spread = spread + 1e-3 * features.std() + 1e-9
    scaled = ((features - middle) / spread).astype(np.float64)
    shares = np.bincount(labels, minlength=num_classes) / len(labels)
    targets = np.eye(num_classes)[labels] - shares
    kernel = scaled @ scaled.T + _RIDGE * scaled.shape[1] * np.eye(len(scaled))
    weights = scaled.T @ np.linalg.solve(kernel, targets)

    def classify(others: NDArray[np.float32]) -> NDArray[np.float64]:
        scores: NDArray[np.float64] = ((others - middle) / spread) @ weights
        return scores

    return classify


def _verdict(plain: NDArray[np.int64], mirrored: NDArray[np.int64]) -> MirrorCheck:
    """Judge the counts of both, true class by predicted class."""
    accuracy, other = metrics.macro_accuracy(plain), metrics.macro_accuracy(mirrored)
    num_images, num_present = int(plain.sum()), int((plain.sum(axis=1) > 0).sum())
    chance = 1 / num_present
    error = 2 * np.sqrt(accuracy * (1 - accuracy) / num_images + 1e-4)
    reason = ""
    if num_present < 2 or accuracy - chance < error:
        reason = "the images are too few or too hard to tell"
    elif accuracy - other > max(_LOSS * (accuracy - chance), error):
        reason = "mirrored images are taken for another class"
    elif _swapped(plain, mirrored):
        reason = "mirrored images of a class are taken for another class"
    return MirrorCheck(accuracy, other, reason)


def _swapped(plain: NDArray[np.int64], mirrored: NDArray[np.int64]) -> bool:
    """Whether the mirror images of one class look like those of another one."""
    num_images = np.maximum(plain.sum(axis=1, keepdims=True), 1)
    more = (mirrored - plain) / num_images
    np.fill_diagonal(more, 0)
    enough = num_images >= _ENOUGH_IMAGES
    return bool(((more > _SWAPPED) & enough).any())
