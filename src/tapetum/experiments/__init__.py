"""The paper's tables: what they print, and documents that put our results beside."""

from tapetum.experiments import paper

__all__ = ["paper"]
