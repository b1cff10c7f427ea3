"""Scores of a network on a dataset, image by image, as a device would compute them."""

from tapetum.evaluation.score import MAX_MEGAPIXELS, score
from tapetum.evaluation.subject import Answer, PackageSubject, Subject

__all__ = ["MAX_MEGAPIXELS", "Answer", "PackageSubject", "Subject", "score"]
