"""Search: the network that is best on a dataset within a latency budget.

:func:`propose` finds different networks of one measured latency, :mod:`~tapetum.search.known` among
those that were timed on another device.
:func:`race` trains several candidates of equal latency for equal minutes and keeps the best.
:func:`search` trains a supernet that contains every network of the space, learns which candidates
to prefer, and derives the network that meets the target by the latency table exactly.
"""

from tapetum.search import known, widths
from tapetum.search.feasible import FeasibleRange, feasible_range, refusal
from tapetum.search.loop import search
from tapetum.search.pace import StepTimes, step_times
from tapetum.search.plan import fewest_steps, how_many, needed_seconds
from tapetum.search.proposals import Candidate, Proposal, keeps_budget, propose
from tapetum.search.race import race
from tapetum.search.race_records import RACES, RaceResult
from tapetum.search.recipe import SearchRecipe, choose_search_recipe
from tapetum.search.result import SearchResult
from tapetum.search.utility import SEED_ACCURACY, SEED_DB, Prefer, score_weights

__all__ = [
    "RACES",
    "SEED_ACCURACY",
    "SEED_DB",
    "Candidate",
    "FeasibleRange",
    "Prefer",
    "Proposal",
    "RaceResult",
    "SearchRecipe",
    "SearchResult",
    "StepTimes",
    "choose_search_recipe",
    "feasible_range",
    "fewest_steps",
    "how_many",
    "keeps_budget",
    "known",
    "needed_seconds",
    "propose",
    "race",
    "refusal",
    "score_weights",
    "search",
    "step_times",
    "widths",
]
