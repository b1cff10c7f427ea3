"""Does a winner of a race keep its budget, and use it, whatever its shape and the budget are?

Shapes are drawn, and each gets a budget that it does not have: a part of what it takes, or more.
The neighbour that ``tapetum fit`` would train is found as there (`tapetum.jobs.match_shape`): by
predictions that propose, and timings that decide. At the end all networks are timed once more,
taking turns. A budget is kept and used between 2 % above and 10 % below.

`predicted` counts the budgets for which a network is predicted in there: a busy machine spoils
timings, but not these. `drift` is how much slower all networks are at the end than when they were
matched, and `without_drift` leaves that out. `unlike` is the distance from the drawn shape: a block
counts 0.05.

    python benchmarks/budget_kept_shapes.py --json benchmarks/results/budget_kept_shapes.json
"""

import argparse
import json
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

from result_file import add_json_option, write_result
from tapetum.arch import Shape, ShapeSpace, distance, nearby
from tapetum.jobs.match_shape import match_shape
from tapetum.latency import Budget, Conditions, NetworkTimer, TimedShapes, find_runtime
from tapetum.provenance import stamp
from tapetum.search import feasible_range

TARGETS_MS = (0.25, 0.5, 1.0, 2.0, 4.0)
FACTORS = (0.75, 0.9, 1.08, 1.25)  # of the latency of a shape: its budget
LEAST, MOST = 1 - Budget.BELOW, 1 + Budget.TOLERANCE
LAST_ROUNDS = 10


def cases(timed: TimedShapes, shapes_each: int) -> list[tuple[Shape, float]]:
    """Return shapes of about each latency, with a budget that they do not have."""
    space, predict, generator = timed.space, timed.predictor(), np.random.default_rng(0)
    found = []
    for number, about_ms in enumerate(TARGETS_MS):
        for other in range(shapes_each):
            drawn = space.draw(generator)
            (shape,) = nearby(space, drawn, predict, about_ms, most_ms=1.2 * about_ms) or [drawn]
            factor = FACTORS[(number + other) % len(FACTORS)]
            found.append((shape, round(factor * predict(shape), 4)))
    return found


def counted(ratios: Sequence[float]) -> dict[str, Any]:
    """Count budgets that are kept, and used."""
    kept = [ratio for ratio in ratios if ratio <= MOST]
    used = [ratio for ratio in kept if ratio >= LEAST]
    middle = round(statistics.median(ratios), 3)
    return {"of": len(ratios), "kept": len(kept), "kept_and_used": len(used), "median": middle}


def run(size_px: int, shapes_each: int, width_step: int) -> dict[str, Any]:
    """Match the shapes for images of one size."""
    runtime = find_runtime("onnxruntime")
    conditions = Conditions.here(runtime, threads=1, batch=1, channels=3, size_px=size_px)
    space = ShapeSpace(width_step=width_step, size_px=size_px, image_channels=3, num_classes=10)
    timer = NetworkTimer.of(runtime, conditions, space.architecture(space.plain()))
    _, timed = feasible_range(
        TimedShapes(conditions=conditions, space=space), timer, longest_ms=1.5 * TARGETS_MS[-1]
    )
    given = cases(timed, shapes_each)
    timed = timed.timed([shape for shape, _ in given], timer)
    rows: list[dict[str, Any]] = []
    predict, delivered = timed.predictor(), []
    for shape, target_ms in given:
        aim_ms = Budget.AIM * target_ms
        near = nearby(space, shape, predict, aim_ms, most_ms=target_ms)
        matched = match_shape(timed, timer, shape, target_ms)
        delivered.append(matched.attempt.shape)
        rows.append(
            {
                "target_ms": target_ms,
                "predicted": round(predict(near[0]) / target_ms, 4) if near else None,
                "matched": round(matched.attempt.timing.median_ms / target_ms, 4),
                "unlike": round(distance(shape, delivered[-1]), 3),
                "timings": len(matched.attempts),
                "note": matched.note,
            }
        )
        print(rows[-1], flush=True)
    last = timer([space.architecture(shape) for shape in delivered], num_rounds=LAST_ROUNDS)
    for row, timing in zip(rows, last, strict=True):
        row["delivered"] = round(timing.median_ms / row["target_ms"], 4)
        row["core_share"] = timing.core_share
    drift = statistics.median(row["delivered"] / row["matched"] for row in rows)
    for row in rows:
        row["without_drift"] = round(row["delivered"] / drift, 4)
    names = ("predicted", "matched", "delivered", "without_drift")
    ratios = {name: [row[name] for row in rows if row[name] is not None] for name in names}
    return {
        "summary": {name: counted(some) for name, some in ratios.items()},
        "drift": round(drift, 3),
        "unlike": round(statistics.median(row["unlike"] for row in rows), 3),
        "rows": rows,
        "conditions": conditions.model_dump(),
    }


def main() -> None:
    """Print the result, and write it where that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_json_option(parser)
    parser.add_argument("--size", type=int, default=64, help="side of the images, in pixels")
    parser.add_argument("--shapes", type=int, default=4, help="shapes for each latency")
    parser.add_argument("--width-step", type=int, default=16)
    parser.add_argument("--note", default="", help="what else was running on the machine")
    given = parser.parse_args()
    result = run(given.size, given.shapes, given.width_step)
    result |= {"note": given.note, "provenance": stamp(seed=0).model_dump(mode="json")}
    print(json.dumps({name: result[name] for name in ("summary", "drift", "unlike")}, indent=2))
    write_result(result, given.json)


if __name__ == "__main__":
    main()
