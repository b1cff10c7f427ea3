"""Shapes of every size, for a device on which networks are timed once, before a fit.

Families that a race begins with are moved from few multiply-adds to many; drawn shapes lie between.
Widths are on two grids, since the grid that a device is fast at is measured with them.
"""

from collections.abc import Iterator
from functools import lru_cache, partial

import numpy as np

from tapetum.arch import cost
from tapetum.arch.nearby import nearby
from tapetum.arch.shape import Shape
from tapetum.arch.shapes import ShapeSpace

__all__ = ["DRAWN", "MOBILE", "PLAIN", "PLAIN_MBCONV", "RULE", "steps"]

RULE, PLAIN, PLAIN_MBCONV, MOBILE = "rule", "plain-dc-net", "plain-mbconv", "mobile"
DRAWN = "drawn"
GRIDS = (16, 8)  # channels; a grid of 4 is hardly faster at any width, and all of these lie on it
SHARES = {RULE: 0.35, PLAIN: 0.15, PLAIN_MBCONV: 0.1, MOBILE: 0.08}  # of the shapes; others drawn
# Multiply-adds a second of a thread: no processor is slower, or faster, with a network.
SLOWEST, FASTEST = 2e9, 200e9
ABOVE = 1.03  # of an aim: a shape that exceeds it by more is not near


def steps(
    space: ShapeSpace,
    count: int,
    *,
    budget_ms: float | None = None,
    threads: int = 1,
) -> dict[Shape, str]:
    """Return shapes with the name of their family, from the fewest multiply-adds to the most.

    Args:
        space: The space; its grid of widths does not count.
        count: Number of shapes, about; half of them on each grid.
        budget_ms: A budget, in milliseconds: only shapes that may be near it on some device; None
            for all sizes.
        threads: Inference threads of the device.
    """
    found: dict[Shape, str] = {}
    generator = np.random.default_rng(0)
    for width_step in GRIDS:
        on_grid = space.model_copy(update={"width_step": width_step})
        range_ = _range(on_grid, budget_ms, threads)
        for family, shape in _on(on_grid, count // len(GRIDS), range_, generator):
            found.setdefault(shape, family)
    return {shape: found[shape] for shape in sorted(found, key=partial(multiply_adds, space))}


@lru_cache(maxsize=20_000)
def multiply_adds(space: ShapeSpace, shape: Shape) -> int:
    """Return the multiply-adds of one image of the space."""
    return cost.multiply_adds(space.architecture(shape), space.size_px, space.size_px)


def _range(space: ShapeSpace, budget_ms: float | None, threads: int) -> tuple[float, float]:
    """Return the fewest and the most multiply-adds that shapes may need."""
    least, most = (multiply_adds(space, one) for one in (space.smallest(), space.largest()))
    if budget_ms is None:
        return least, most
    slow, fast = (budget_ms / 1000 * rate for rate in (SLOWEST, FASTEST * threads))
    return min(max(least, slow), most), max(min(most, fast), least)


def _on(
    space: ShapeSpace, count: int, range_: tuple[float, float], generator: np.random.Generator
) -> Iterator[tuple[str, Shape]]:
    """Yield shapes on the grid of a space with their families, the fixed ones first."""
    predict = partial(multiply_adds, space)
    yield RULE, space.smallest()
    bases = {PLAIN: space.plain(), PLAIN_MBCONV: space.plain("mbconv"), MOBILE: space.mobile()}
    for family, share in SHARES.items():
        for aim in np.geomspace(*range_, max(2, round(share * count))).tolist():
            base = space.rule(aim) if family == RULE else bases[family]
            for shape in nearby(space, base, predict, aim, most_ms=ABOVE * aim):
                yield family, shape
    for _ in range(round((1 - sum(SHARES.values())) * count)):
        aim = float(np.exp(generator.uniform(*np.log(range_))))
        yield DRAWN, space.scaled_to(space.draw(generator), predict, aim, most_ms=ABOVE * aim)
