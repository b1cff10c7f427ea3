"""Which way of counting fits the costs of the paper's table 7 best?

The paper prints costs and no widths.  Its text fixes one thing: Conv-L, MB1-S and MB4-L have the
same widths ("rate 4 matches the number of FLOPs of the baseline"; MB1-S "only has a reduced
expansion rate").  So for each way of counting, this looks for one pair of widths that explains
these three rows together, and then for the best pair of each other row.

Command:  python paper/studies/table_7_cost.py [--json FILE]
"""

import argparse
import json
from collections.abc import Iterable
from itertools import product
from pathlib import Path

from tapetum import arch
from tapetum_paper.paper import TABLE_7

SHARED = ("conv-l", "mb1-s", "mb4-l")
WAYS = {
    0: "multiply-adds",
    1: "multiply-adds + biases",
    2: "multiply-adds + biases + normalisation",
    3: "multiply-adds + biases + normalisation + activation",
}


def cost(name: str, widths: tuple[int, int], way: int) -> int:
    """The cost of one 28 px digit, counted in one of :data:`WAYS`."""
    expansion = arch.zoo.CLASSIFIERS[name].expansion
    layers = arch.cost.layer_costs(
        arch.families.small_classifier(name, widths=widths, expansion=expansion), 28, 28
    )
    return sum(layer.multiply_adds + way * layer.elements for layer in layers)


def error(names: Iterable[str], widths: tuple[int, int], way: int) -> float:
    """The largest relative distance from the print."""
    return max(abs(cost(n, widths, way) / (1e3 * TABLE_7[n].cost_thousands) - 1) for n in names)


def best(names: Iterable[str], way: int) -> tuple[float, tuple[int, int]]:
    """The widths that explain these rows together, the second at least the first."""
    names = tuple(names)
    pairs = [(first, second) for first, second in product(range(3, 16), range(3, 31))
             if first <= second <= 2 * first]  # fmt: skip
    return min((error(names, pair, way), pair) for pair in pairs)


def main() -> None:
    """Prints a row for each way of counting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the result here")
    out = parser.parse_args().json
    result = {}
    for way, title in WAYS.items():
        shared_error, shared = best(SHARED, way)
        chosen = max(
            error([name], numbers.widths, way) for name, numbers in arch.zoo.CLASSIFIERS.items()
        )
        others = {name: best([name], way) for name in TABLE_7 if name not in SHARED}
        result[title] = {
            "shared_widths": shared,
            "shared_error": round(shared_error, 4),
            "other_widths": {name: pair for name, (_, pair) in others.items()},
            "other_error": round(max(value for value, _ in others.values()), 4),
            "error_of_ours": round(chosen, 4),
        }
        print(f"{title}: one pair {shared} for {', '.join(SHARED)}: {shared_error:.1%} off; "
              f"our widths: at most {chosen:.1%} off")  # fmt: skip
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
