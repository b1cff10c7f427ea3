"""Search: the network of a space that is best on a dataset within a latency budget.

:func:`search` trains a supernet that contains every network of the space, learns which candidates
to prefer, and derives the network that meets the target by the latency table exactly.
"""

from tapetum.search import widths
from tapetum.search.loop import search
from tapetum.search.recipe import SearchRecipe, choose_search_recipe
from tapetum.search.result import SearchResult

__all__ = [
    "SearchRecipe",
    "SearchResult",
    "choose_search_recipe",
    "search",
    "widths",
]
