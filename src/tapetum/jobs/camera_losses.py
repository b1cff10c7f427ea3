"""Losses on images of a camera: which ones are known, what they are, and what they decide."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tapetum.jobs.camera import View, apparent_sigma
from tapetum.losses import unbiased_squared_errors
from tapetum.nn import Network
from tapetum.noise import Gaussian, Noise, NoisePlan, PoissonGaussian
from tapetum.records import Record
from tapetum.runtime import Manifest
from tapetum.search import Prefer

__all__ = [
    "UNLABELLED",
    "Compared",
    "Criteria",
    "Stated",
    "compare",
    "criteria_of",
    "decide",
    "measure",
    "unclipped",
    "variance",
]

CERTAIN = 2.0  # standard errors
CLIPPED = 1.5  # standard deviations from black or white, within which clipping would tell
LEAST_COUNTED = 0.1  # share of the pixels whose noise is not clipped
LEAST_VISIBLE = 0.7  # of the noise that is said to be there
LABELS = "cross-entropy of the labels"
UNLABELLED = "images do not lie in folders named after the classes"
UNKNOWN = "give --noise LEVEL if you know it, or --clean if these images show none"


Stated = Gaussian | PoissonGaussian  # noises whose variance follows from the mean alone


class Compared(Record):
    """A loss on the images that decide; lower is better.

    Attributes:
        name: The loss.
        before: Mean with the statistics of the training.
        after: Mean with those of the new images.
        standard_error: Standard error of the mean difference, over the images.
    """

    name: str
    before: float
    after: float
    standard_error: float

    @property
    def sign(self) -> int:
        """-1 where the loss falls beyond doubt, 1 where it rises, and 0 where nobody can tell."""
        change, doubt = self.after - self.before, CERTAIN * self.standard_error
        return int(change > doubt) - int(change < -doubt)

    @property
    def text(self) -> str:
        """The change in words, such as ``the squared error falls by 31.0 ± 2.5 %``."""
        scale = 100 / (abs(self.before) or 1.0)
        change, error = scale * (self.after - self.before), scale * self.standard_error
        verb = "falls" if change < 0 else "rises"
        return f"the {self.name} {verb} by {abs(change):.1f} ± {error:.1f} %"


class Criteria(NamedTuple):
    """What is known of the images.

    Attributes:
        noises: Noises at which the squared error is known; None stands for noise that was added.
        reason: Why no squared error is known; empty where one is.
        class_names: Classes, where images lie in folders that are named after them.
    """

    noises: tuple[Stated | None, ...]
    reason: str
    class_names: tuple[str, ...]


class Measured(NamedTuple):
    """The losses of each image by their names, and the label of each image."""

    losses: Mapping[str, list[float]]
    labels: list[int]


def criteria_of(
    views: Sequence[View], manifest: Manifest, *, given: Noise | None, plan: NoisePlan | None
) -> Criteria:
    """Return what is known of some images.

    Args:
        views: The images.
        manifest: The network.
        given: The noise that a user says the images have.
        plan: The noise of the training; None where it is not known.
    """
    names = manifest.class_names
    if not all(view.folder_name in names for view in views):
        names = ()
    if not manifest.denoises:
        return Criteria((), f"the network does not denoise, and {UNLABELLED}", names)
    if views[0].clean is not None:
        return Criteria((None,), "", names)
    return Criteria(*_known_noises(views, given, plan), names)


def _known_noises(
    views: Sequence[View], given: Noise | None, plan: NoisePlan | None
) -> tuple[tuple[Stated, ...], str]:
    """Return the noise that images have, or the ends of its range; without any, also why."""
    low = high = given
    if given is None and plan is not None:
        levels = plan.levels or (plan.low or 0.0, plan.high or 0.0)
        low, high = plan.at(0.0 if plan.clean else min(levels)), plan.at(max(levels))
    if low is None or high is None:
        return (), f"the noise of these images is not known: {UNKNOWN}"
    if not isinstance(low, Stated) or not isinstance(high, Stated):
        return (), f"the squared error cannot be estimated under {low.kind} noise"
    seen = apparent_sigma(views)
    expected = float(np.mean([float(variance(low, view.windows).mean()) for view in views]))
    if expected**0.5 * LEAST_VISIBLE > seen:
        return (), f"these images have noise of {seen:.3f} at most, and not {low.describe()}"
    counted = [float(unclipped(low, view.windows).float().mean()) for view in views]
    if np.mean(counted) < LEAST_COUNTED:
        return (), f"{low.describe()} is clipped in nearly all of these images"
    sigma = max(0.0, seen**2 - expected + low.sigma**2) ** 0.5
    sigma = round(float(np.clip(sigma, low.sigma, high.sigma)), 4)
    if sigma <= round(low.sigma, 4):
        return (low,), ""  # counting each loss twice would halve the variance of the mean
    return (low, low.model_copy(update={"sigma": sigma})), ""


def variance(noise: Stated, noisy: Tensor) -> Tensor:
    """Return the variance of the noise at each pixel."""
    gain = noise.gain if isinstance(noise, PoissonGaussian) else 0.0
    return gain * noisy.clamp(0, 1) + noise.sigma**2


def unclipped(noise: Stated, noisy: Tensor) -> Tensor:
    """Return the pixels around which the mean is so far from black and white that noise fits.

    A pixel itself would be left out the sooner the more noise it has, which would bias the error.
    """
    around = F.avg_pool2d(noisy, 5, stride=1, padding=2, count_include_pad=False)
    room = CLIPPED * variance(noise, around).sqrt()
    return (around >= room) & (around <= 1 - room)


@torch.no_grad()
def measure(network: Network, views: Sequence[View], criteria: Criteria, seed: int) -> Measured:
    """Return the losses of a network in evaluation mode, image by image."""
    losses: dict[str, list[float]] = defaultdict(list)
    labels = []
    for view in views:
        for noise in criteria.noises:
            under = "added noise" if noise is None else noise.describe()
            error = _squared_error(network, view, noise, seed)
            losses[f"squared error under {under}"].append(error)
        logits = network(view.whole[None]).logits
        if logits is not None:
            labels.append(int(logits.argmax()))
            if criteria.class_names:
                truth = torch.tensor([criteria.class_names.index(view.folder_name)])
                losses[LABELS].append(float(F.cross_entropy(logits, truth)))
    return Measured(losses, labels)


def _squared_error(network: Network, view: View, noise: Stated | None, seed: int) -> float:
    """Return the squared error of a denoised image, or an estimate of it."""

    def denoise(noisy: Tensor) -> Tensor:
        image: Tensor = network(noisy).image  # noises are known for denoisers only
        return image.clamp(0, 1)

    if noise is None:
        assert view.clean is not None  # noqa: S101  (noise was added)
        return float((denoise(view.windows) - view.clean).square().mean())
    errors = unbiased_squared_errors(
        denoise,
        view.windows,
        variance(noise, view.windows),
        counted=unclipped(noise, view.windows),
        generator=torch.Generator().manual_seed(seed),
    )
    return float(errors.mean())


def compare(before: Measured, after: Measured) -> tuple[Compared, ...]:
    """Compare the losses of two networks image by image."""
    return tuple(
        Compared(
            name=name,
            before=float(np.mean(old)),
            after=float(np.mean(new)),
            standard_error=float(np.subtract(new, old).std(ddof=1) / len(old) ** 0.5),
        )
        for (name, old), new in zip(before.losses.items(), after.losses.values(), strict=True)
    )


def decide(losses: Sequence[Compared], criteria: Criteria, prefer: Prefer) -> tuple[bool, str]:
    """Return whether new statistics are kept, and why.

    Errors at both ends of a range of noise have to become better; then they do so between.
    """
    labels = [loss for loss in losses if loss.name == LABELS]
    errors = [loss for loss in losses if loss.name != LABELS]
    parts = {"label": [labels], "image": [errors], "balanced": [errors, labels]}[prefer]
    signs = {loss.sign for loss in chain(*parts)}
    if not signs:
        return False, f"cannot tell: {UNLABELLED if prefer == 'label' else criteria.reason}"
    said = "; ".join(loss.text for loss in losses)
    if signs >= {-1, 1}:
        remedy = "--prefer label or image" if labels and prefer == "balanced" else "--noise LEVEL"
        return False, f"the losses disagree ({remedy} would decide): {said}"
    if 1 in signs:
        return False, f"new ones are worse: {said}"
    if any(part and all(loss.sign < 0 for loss in part) for part in parts):
        return True, said
    return False, f"cannot tell: {said}, which may be chance"
