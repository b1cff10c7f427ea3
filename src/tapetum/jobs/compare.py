"""Compare the network of a fit with the networks that were trained alike."""

import math
from collections.abc import Mapping
from pathlib import Path

from tapetum.jobs.fit_result import NETWORK, Control, Controls
from tapetum.jobs.request import FitRequest, ShapeSettings
from tapetum.latency import Budget
from tapetum.scores import ScoreRow, Scores, show_number
from tapetum.search import SEED_ACCURACY, SEED_DB, Prefer, score_weights
from tapetum.training import RUNS

__all__ = ["best_run", "control_means", "gain", "preference_of", "scores_of", "show_scores"]


def scores_of(run: Path) -> Scores:
    """Return the scores of a finished training."""
    scores = RUNS.open(run).result().scores
    assert scores is not None  # noqa: S101  (every training of a fit is scored)
    return scores


def control_means(path: Path, control: Control) -> ScoreRow:
    """Return the headline of a control; of a pair, each network has the scores of its task."""
    first, *others = (scores_of(path / name).headline for name in control.networks)
    for other in others:
        found = other.model_dump(exclude_none=True)
        missing = {name: value for name, value in found.items() if getattr(first, name) is None}
        first = first.model_copy(update=missing)
    return first


def best_run(path: Path, controls: Controls, request: FitRequest) -> tuple[str, tuple[str, ...]]:
    """Return the folder of the training to deliver, and what to say of the controls.

    That is the chosen network, unless a control that may ship is better by more than the noise, and
    keeps the budget.
    """
    most_ms = (1 + Budget.TOLERANCE) * request.target_ms
    chosen, best, said = scores_of(path / NETWORK), NETWORK, []
    ours, prefer = chosen.headline, preference_of(request)
    for control in controls.controls:
        theirs = control_means(path, control)
        better_by, error = gain(ours, theirs, prefer, chosen.class_images)
        scores = f"{show_scores(theirs)} against {show_scores(ours)}"
        differs = "better than" if better_by > error else "worse than"
        differs = differs if abs(better_by) > error else "about as good as"
        title = f"{control.title} ({control.latency_ms:.3g} ms)"
        on_balance = "on balance " if _is_mixed(ours, theirs) else ""
        what = f"{title} is {on_balance}{differs} the chosen network ({scores})"
        if better_by > error and control.may_ship and best == NETWORK:
            if control.latency_ms <= most_ms:
                (best,) = control.networks
                what += ", so it is delivered"
            else:
                what += f", and is not delivered: it misses the budget of {request.target_ms:g} ms"
        said.append(what)
    return best, tuple(said)


def preference_of(request: FitRequest) -> Prefer:
    """Return the score that counts more in a fit."""
    return request.method.prefer if isinstance(request.method, ShapeSettings) else "balanced"


def gain(
    ours: ScoreRow, theirs: ScoreRow, prefer: Prefer, class_images: Mapping[str, int]
) -> tuple[float, float]:
    """Return how much better the second scores are, and the standard error of that.

    Both are in doublings of the latency, as in a race. The error has a part of the images and one
    of the seed of a training.

    Args:
        ours: The first scores.
        theirs: The second scores, on the same images.
        prefer: The score that counts more.
        class_images: The number of images of each class.
    """
    accuracies = (ours.macro_accuracy, theirs.macro_accuracy)
    decibels = (ours.psnr_db, theirs.psnr_db)
    labels, images = None not in accuracies, None not in decibels
    per_accuracy, per_db = score_weights(prefer, labels=labels, images=images)
    value = variance = 0.0
    if labels:
        value += per_accuracy * _rise(accuracies)
        of_images = _variance(ours, class_images) + _variance(theirs, class_images)
        variance += per_accuracy**2 * (of_images + 2 * SEED_ACCURACY**2)
    if images:
        value += per_db * _rise(decibels)
        variance += 2 * (per_db * SEED_DB) ** 2
    return value, math.sqrt(variance)


def _is_mixed(ours: ScoreRow, theirs: ScoreRow) -> bool:
    """Return whether one network has the better labels, and the other the better images."""
    label = _rise((ours.macro_accuracy, theirs.macro_accuracy))
    image = _rise((ours.psnr_db, theirs.psnr_db))
    return label * image < 0


def _rise(pair: tuple[float | None, float | None]) -> float:
    first, second = pair
    return (second or 0.0) - (first or 0.0)


def _variance(mean: ScoreRow, class_images: Mapping[str, int]) -> float:
    """Return the variance of a macro accuracy, from the number of images of each class.

    A class without a mistake is not taken for certain, as in a race.
    """
    total = 0.0
    for name, recall in mean.recalls.items():
        count = class_images[name]
        share = (recall * count + 1) / (count + 2)
        total += share * (1 - share) / count
    return total / max(1, len(mean.recalls)) ** 2


def show_scores(mean: ScoreRow) -> str:
    """Return a headline in words, with the macro accuracy where that differs from the accuracy."""
    shown = []
    if mean.accuracy is not None:
        accuracy, macro = (
            show_number(share, 1, scale=100) for share in (mean.accuracy, mean.macro_accuracy)
        )
        shown.append(f"{accuracy} %" if macro == accuracy else f"{accuracy} % (macro {macro} %)")
    if mean.psnr_db is not None:
        shown.append(f"{show_number(mean.psnr_db, 2)} dB")
    return ", ".join(shown)
