"""Does a latency table, together with the measured match, keep budgets on a machine that changed?

Measures a small table, then pretends that the machine has changed since: all prices of the table
are scaled.  For several targets, the network that the knapsack prefers is matched to the target by
measurements (`tapetum.jobs.match`), as `tapetum fit` does, and timed once more after all matches.
A budget is kept if that last median is at most 2 % above the target.  The first attempt of each
match shows what the table alone would have delivered.

Command:  python benchmarks/budget_kept.py [--minutes 1] [--note 'what else ran']
"""

import argparse
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from result_file import as_text, write_result
from tapetum.arch import Architecture, spaces
from tapetum.errors import InputError
from tapetum.jobs.match import MatchedNetwork, match_target
from tapetum.latency import (
    Budget,
    Conditions,
    DeployedNetwork,
    Effort,
    LatencyTable,
    Runtime,
    Selection,
    Timing,
    best_network,
    find_runtime,
    measure_table,
    time_interleaved,
    timing,
)
from tapetum.provenance import stamp

OUT = Path("results/budget_kept.json")
FACTORS = (1.0, 0.8, 0.9, 1.1, 1.25)  # of all prices
SHARES = (0.25, 0.5, 0.75)  # of the measured range, from the fastest network to the slowest
NEAR = 0.97  # of the target, to be used by the preferred network, as in a search
FRAME = spaces.Frame(operators=4, image_px=28, image_channels=1, num_classes=10)  # digit crops


def scaled(table: LatencyTable, factor: float) -> LatencyTable:
    """Return the table of a machine that takes so many times as long."""
    values = table.model_dump()
    values["fixed_ms"] *= factor
    for entry in values["entries"]:
        entry["prices_ms"] = {width: factor * ms for width, ms in entry["prices_ms"].items()}
    return LatencyTable.model_validate(values)


def prefer(seed: int, budget: Budget) -> Selection:
    """Return the best network of uniform random scores that uses the budget."""
    generator, prices = np.random.default_rng(seed), budget.table.prices
    worth = {
        path: {choice: generator.uniform() for choice in slot} for path, slot in prices.items()
    }
    for weight in (0.0, *(2.0**power for power in range(12))):
        scores = {
            path: {
                choice: worth[path][choice] + weight * price / budget.target_ms
                for choice, price in slot.items()
            }
            for path, slot in prices.items()
        }
        selection = best_network(budget, scores)
        if selection.latency_ms >= NEAR * min(budget.target_ms, budget.table.range.slowest_ms):
            break
    return selection


def row(factor: float, match: MatchedNetwork, delivered_ms: float) -> dict[str, Any]:
    """Return the numbers of one match."""
    ratios = {
        "table_alone": match.attempts[0].timing.median_ms / match.target_ms,
        "matched": match.attempt.timing.median_ms / match.target_ms,
        "delivered": delivered_ms / match.target_ms,
    }
    return {
        "price_factor": factor,
        "target_ms": match.target_ms,
        "attempts": len(match.attempts),
        "over_target": {name: round(ratio, 4) for name, ratio in ratios.items()},
        "note": match.note,
    }


def summary(rows: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Count, of each way, the budgets that are kept, and those that are also well used."""
    counts = {}
    for name in ("table_alone", "matched", "delivered"):
        ratios = [one["over_target"][name] for one in rows]
        kept = [ratio for ratio in ratios if ratio <= 1 + Budget.TOLERANCE]
        used = [ratio for ratio in kept if ratio >= 1 - Budget.BELOW]
        counts[name] = {"of": len(ratios), "kept": len(kept), "kept_and_used": len(used)}
    return counts


def measured(runtime: Runtime, minutes: float) -> LatencyTable:
    """Return a table of C-NAS for digit crops, measured now."""
    space = spaces.open_space("c-nas", FRAME)
    conditions = Conditions.here(runtime, threads=1, batch=1, channels=1, size_px=FRAME.image_px)
    with TemporaryDirectory() as folder:
        out, effort = Path(folder) / "table.json", Effort(networks=60, minutes=minutes)
        return measure_table(space, runtime, conditions, out, effort=effort)


def reachable(table: LatencyTable, runtime: Runtime) -> list[float]:
    """Return shares of the range from the fastest to the slowest network, as measured now."""
    ends = []
    for end in (min, max):
        choices = {path: end(slot, key=slot.__getitem__) for path, slot in table.prices.items()}
        network = DeployedNetwork.of(table.space.architecture(choices))
        ends.append(partial(runtime.prepare, network, table.conditions))
    fastest, slowest = (one.median_ms for one in time_interleaved(ends))
    return [fastest + share * (slowest - fastest) for share in SHARES]


def main() -> None:
    """Measure, match and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="time limit of the table")
    parser.add_argument("--pause", type=float, default=1.0, help="seconds between two rounds")
    parser.add_argument("--note", default="", help="what else was running on the machine")
    given = parser.parse_args()
    timing.PAUSE_S = given.pause
    runtime, provenance = find_runtime("onnxruntime"), stamp(seed=0)
    table = measured(runtime, given.minutes)

    def timed(architecture: Architecture) -> Timing:
        network = DeployedNetwork.of(architecture)
        (found,) = time_interleaved([partial(runtime.prepare, network, table.conditions)])
        return found

    targets = [round(ms, 3) for ms in reachable(table, runtime)]
    matches, refused = [], []
    for factor in FACTORS:
        changed = scaled(table, factor)
        for seed, target_ms in enumerate(targets):
            try:
                budget = Budget.of(changed, target_ms)
            except InputError:
                refused.append({"price_factor": factor, "target_ms": target_ms})
                continue
            match = match_target(budget, partial(prefer, seed), timed)
            matches.append((factor, match))
            ratios = [one.timing.median_ms / target_ms for one in match.attempts]
            print(f"prices x {factor}, {target_ms} ms: {ratios}", flush=True)
    rows = []
    for factor, match in matches:
        delivered = timed(table.space.architecture(match.choices))
        rows.append(row(factor, match, delivered.median_ms))
    result = {
        "summary": summary(rows),
        "tolerance": Budget.TOLERANCE,
        "matches": rows,
        "refused": refused,
        "conditions": table.conditions.model_dump(),
        "table": {**table.range._asdict(), **table.accuracy.model_dump()},
        "seeds": {"table": 0, "scores": list(range(len(targets)))},
        "note": given.note,
        "provenance": provenance.model_dump(mode="json"),
    }
    write_result(result, OUT)
    print(as_text(result["summary"]))


if __name__ == "__main__":
    main()
