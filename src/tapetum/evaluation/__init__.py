"""Scores of a network on a dataset, image by image, as a device would compute them."""

from tapetum.evaluation.filters import FILTERED_IMAGES
from tapetum.evaluation.score import noisy_image, score
from tapetum.evaluation.subject import Answer, PackageSubject, Subject

__all__ = ["FILTERED_IMAGES", "Answer", "PackageSubject", "Subject", "noisy_image", "score"]
