"""Search: which network of a space denoises and names best within a latency budget.

:func:`search` trains a supernet that holds every network of the space, learns which candidates to
prefer, and derives the one network that keeps the target by the latency table, exactly.
"""

from tapetum.search.folder import SearchEpoch, SearchFolder, SearchRequest, SearchResult
from tapetum.search.loop import require_searchable, search, search_once
from tapetum.search.recipe import (
    SEARCH_RECIPES,
    SWIFT_SEARCH,
    TF_NAS,
    SearchRecipe,
    choose_search_recipe,
)

__all__ = [
    "SEARCH_RECIPES",
    "SWIFT_SEARCH",
    "TF_NAS",
    "SearchEpoch",
    "SearchFolder",
    "SearchRecipe",
    "SearchRequest",
    "SearchResult",
    "choose_search_recipe",
    "require_searchable",
    "search",
    "search_once",
]
