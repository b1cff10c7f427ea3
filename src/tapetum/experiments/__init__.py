"""The paper's tables and figures: what it prints, and what it takes to do the same."""

from tapetum.experiments import paper

__all__ = ["paper"]
