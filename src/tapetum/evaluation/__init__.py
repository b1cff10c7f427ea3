"""Scores of a network on a dataset, image by image, as a device would compute them."""

from tapetum.evaluation.pace import ScoringPace, scoring_pace
from tapetum.evaluation.score import noisy_image, score
from tapetum.evaluation.subject import Answer, PackageSubject, Subject

__all__ = [
    "Answer",
    "PackageSubject",
    "ScoringPace",
    "Subject",
    "noisy_image",
    "score",
    "scoring_pace",
]
