"""Why does the Sequential network of table 1 clean so badly, and what would make it clean better?

Trains the reduced Sequential network for a few epochs of the published recipe, each time with one
thing changed, and looks after each epoch at how much of the digits' contrast is left in the denoised
images (1 is all of it, 0 a background without digits) and at which loss pulls harder at them.
Ways that are in the file already are not trained again.

Command:  python benchmarks/sequential_contrast.py --data-root ../shared/data --json FILE
"""

import argparse
import math
from collections.abc import Callable
from pathlib import Path

import by_hand
import kept
import torch
from torch import Tensor, nn

from tapetum import losses
from tapetum.arch import Architecture, find_architecture
from tapetum.data import Batch, ImageDataset, digits, steps_per_epoch
from tapetum.nn import AnyNetwork
from tapetum.nn.decoder import Decoder
from tapetum.nn.heads import BoxClassifier
from tapetum.provenance import stamp
from tapetum.training import PUBLISHED, adjusted, prepare_process, suited
from tapetum.training.distributed import make_accelerator
from tapetum.training.learner import Learner
from tapetum.training.validate import dealt_batches, validate

NETWORK = "dc-net-reduced-sequential"
RECIPE = suited(adjusted(PUBLISHED, channels_last=True, precision="bf16", validation_images=2_000))
INK = 0.5  # where a true image is brighter there is a digit; backgrounds are 0.3 at most
LOOKED_AT = 256  # images, for contrast and pull


def parts(network: AnyNetwork) -> tuple[Decoder, BoxClassifier]:
    """What draws the denoised image, and what reads it."""
    decoder, classifier = network.decoder, network.classifier
    assert isinstance(decoder, Decoder)  # noqa: S101  (table 1's networks have both)
    assert isinstance(classifier, BoxClassifier)  # noqa: S101
    return decoder, classifier


def published(learner: Learner, epoch: int) -> None:
    """Changes nothing."""


def large_start(learner: Learner, epoch: int) -> None:
    """The first image as large as He et al. make it, not a tenth of that."""
    if epoch == 0:
        with torch.no_grad():
            for parameter in parts(learner.network)[0].output.parameters():
                parameter.mul_(10)


def torch_start(learner: Learner, epoch: int) -> None:
    """Torch's own fresh weights, as whoever trains without a thought gets them."""
    if epoch == 0:
        torch.manual_seed(RECIPE.seed)
        for module in learner.network.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                module.reset_parameters()


def denoiser_first(learner: Learner, epoch: int) -> None:
    """An epoch without cross-entropy before the others."""
    weights = losses.LossWeights(cross_entropy=0, charbonnier=1) if epoch == 0 else RECIPE.loss
    learner.recipe = adjusted(RECIPE, loss=weights)


def little_cross_entropy(learner: Learner, epoch: int) -> None:
    """A tenth of the published share of the cross-entropy."""
    if epoch == 0:
        weights = losses.LossWeights(cross_entropy=0.01, charbonnier=0.99)
        learner.recipe = adjusted(RECIPE, loss=weights)


def stopped_gradient(learner: Learner, epoch: int) -> None:
    """The classifier learns from the denoised image, and the image not from the classifier."""
    if epoch == 0:
        _, classifier = parts(learner.network)
        classifier.register_forward_pre_hook(lambda _, given: (given[0].detach(), *given[1:]))


def batch_norm(learner: Learner, epoch: int) -> None:
    """Batch norm in the classifier, which tells bright digits from dim ones, for group norm."""


WAYS: dict[str, Callable[[Learner, int], None]] = {
    way.__name__: way
    for way in (
        published,
        denoiser_first,
        torch_start,
        large_start,
        batch_norm,
        little_cross_entropy,
        stopped_gradient,
    )
}


def architecture_of(way: str) -> Architecture:
    """The network that a way trains."""
    architecture = find_architecture(NETWORK)
    if way != batch_norm.__name__:
        return architecture
    text = architecture.model_dump_json().replace('"norm":"group"', '"norm":"batch"')
    return Architecture.model_validate_json(text)


def learn(
    way: str, epochs: int, train_set: ImageDataset, val_set: ImageDataset
) -> list[dict[str, float]]:
    """What is seen after each epoch of a way."""
    steps = steps_per_epoch(train_set, RECIPE.batch_size)
    learner = Learner(architecture_of(way), RECIPE, make_accelerator(), total_steps=epochs * steps)
    seen = []
    for epoch in range(epochs):
        WAYS[way](learner, epoch)
        by_hand.take_epoch(learner, train_set, epoch)
        validation = validate(learner, val_set)
        seen.append({"epoch": epoch + 1, **validation, **contrast(learner.network, val_set)})
        print(way, seen[-1], flush=True)
    return seen


def contrast(network: AnyNetwork, images: ImageDataset) -> dict[str, float]:
    """How bright digits are in denoised images, and how hard each loss pulls at these.

    ``contrast`` is how far ink lies above its background in the denoised image, as a share of what
    it should be; ``pull`` is how often the gradient of the Charbonnier loss, weighted as in eq. 1,
    fits into that of the cross-entropy (root mean square over the pixels of all boxes).
    """
    network.eval()
    shown, true, pulls = [], [], []
    for batch in dealt_batches(images, RECIPE.noise, count=LOOKED_AT, batch_size=32, seed=0):
        denoised = network(batch.noisy, batch.boxes).image.detach().requires_grad_()
        ink = batch.clean > INK
        shown.append(denoised[ink].mean() - denoised[~ink].mean())
        true.append(batch.clean[ink].mean() - batch.clean[~ink].mean())
        pulls.append(pull(network, denoised, batch))
    return {
        "contrast": float(torch.stack(shown).detach().mean() / torch.stack(true).mean()),
        "pull": math.exp(sum(map(math.log, pulls)) / len(pulls)),
    }


def pull(network: AnyNetwork, denoised: Tensor, batch: Batch) -> float:
    """As in :func:`contrast`, of one batch."""
    weights = RECIPE.loss
    _, classifier = parts(network)
    assert batch.boxes is not None  # noqa: S101  (digits have both)
    assert batch.labels is not None  # noqa: S101
    logits = classifier.forward(denoised, batch.boxes)  # past the hook that stops gradients
    named = losses.cross_entropy(logits, batch.labels)
    by_name = torch.autograd.grad(weights.cross_entropy * named, denoised)[0]
    restored = losses.charbonnier(denoised, batch.clean)
    by_image = torch.autograd.grad(weights.charbonnier * restored, denoised)[0]
    in_boxes = by_name != 0
    return float(by_name[in_boxes].norm() / by_image[in_boxes].norm())


def main() -> None:
    """Trains what is not in the file yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True, help="the result, and where to go on")
    parser.add_argument("--data-root", type=Path, help="folder with the MNIST idx files")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    asked = parser.parse_args()
    process = prepare_process()
    train_set, val_set = digits.open_digits(asked.data_root, seed=0)
    settings = {"recipe": RECIPE.model_dump(mode="json"), "source": train_set.source}
    known = {"ways": {}} | kept.read(asked.json, settings)
    for way in asked.ways:
        if way in known["ways"]:
            continue
        known["ways"][way] = learn(way, asked.epochs, train_set, val_set)
        kept.write(
            asked.json,
            known,
            process=process.model_dump(),
            provenance=stamp(seed=RECIPE.seed).model_dump(mode="json"),
        )


if __name__ == "__main__":
    main()
