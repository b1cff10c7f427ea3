"""Search: which network of a space cleans and names best within a latency budget.

:func:`search` trains a supernet that holds every network of the space, learns which candidates to
prefer, and derives the one network that keeps the target by the latency table, exactly.
"""

from tapetum.search.folder import SearchEpoch, SearchFolder, SearchRequest, SearchResult
from tapetum.search.loop import search
from tapetum.search.recipe import SWIFT_SEARCH, TF_NAS, SearchRecipe

__all__ = [
    "SWIFT_SEARCH",
    "TF_NAS",
    "SearchEpoch",
    "SearchFolder",
    "SearchRecipe",
    "SearchRequest",
    "SearchResult",
    "search",
]
