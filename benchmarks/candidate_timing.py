"""Times candidates quickly and for long, and compares both with the fitted model.

For each size of image, random shapes of the space are written, opened and timed as ``tapetum fit``
does, a tenth of a second each. The same shapes are then timed for long, taking turns, by which the
quick timing is judged. The model is fitted to the quick timings; each of its predictions is for a
shape that it was not fitted to. Beside it stands an affine function of multiply-adds.

    python benchmarks/candidate_timing.py --json benchmarks/results/candidate_timing.json
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from result_file import add_json_option, write_result
from tapetum.arch import Shape, ShapeSpace, cost
from tapetum.latency import (
    Conditions,
    NetworkTimer,
    TimedShapes,
    find_runtime,
    probe_widths,
)
from tapetum.provenance import stamp

SIZES_PX = (64, 128)
MILLIONS = (10, 400)  # multiply-adds of 64 px; more for larger images, in proportion
LONG_ROUNDS = 10
MOST_SECONDS = 0.3  # for a candidate


def draw_shapes(space: ShapeSpace, count: int) -> list[Shape]:
    """Return random shapes of networks that a budget of milliseconds allows."""
    generator, found = np.random.default_rng(0), list[Shape]()
    low, high = (1e6 * some * (space.size_px / 64) ** 2 for some in MILLIONS)
    while len(found) < count:
        shape = space.scaled(space.draw(generator), float(generator.uniform(0.5, 2)))
        size = (space.size_px, space.size_px)
        if low <= cost.multiply_adds(space.architecture(shape), *size) <= high:
            found.append(shape)
    return found


def relative_errors(found: Sequence[float], true: Sequence[float]) -> dict[str, float]:
    """Return median, mean and largest relative error, and the bias."""
    off = [one / other - 1 for one, other in zip(found, true, strict=True)]
    sizes = sorted(map(abs, off))
    return {
        "median": round(statistics.median(sizes), 4),
        "mean": round(statistics.fmean(sizes), 4),
        "worst": round(sizes[-1], 4),
        "bias": round(statistics.median(off), 4),
    }


def left_out(timed: TimedShapes) -> list[float]:
    """Return the model's prediction for each shape from all others, in milliseconds."""
    predictions = []
    for index, one in enumerate(timed.shapes):
        others = timed.shapes[:index] + timed.shapes[index + 1 :]
        predict = timed.model_copy(update={"shapes": others}).predictor()
        predictions.append(predict(one.shape))
    return predictions


def by_multiply_adds(timed: TimedShapes) -> list[float]:
    """Return what a straight line through the multiply-adds of all others predicts for each."""
    size = timed.conditions.height_px, timed.conditions.width_px
    networks = [timed.space.architecture(one.shape) for one in timed.shapes]
    millions = np.array([cost.multiply_adds(one, *size) / 1e6 for one in networks])
    latencies = np.array([one.timing.median_ms for one in timed.shapes])
    predictions = []
    for index, x in enumerate(millions):
        known = np.arange(len(millions)) != index
        line = np.polyfit(millions[known], latencies[known], 1, w=1 / latencies[known])
        predictions.append(float(np.polyval(line, x)))
    return predictions


def at_size(size_px: int, count: int, width_step: int, threads: int) -> dict[str, Any]:
    """Time shapes for images of one size quickly and for long."""
    runtime = find_runtime("onnxruntime")
    conditions = Conditions.here(runtime, threads=threads, batch=1, channels=3, size_px=size_px)
    space = ShapeSpace(width_step=width_step, size_px=size_px, image_channels=3, num_classes=10)
    timer = NetworkTimer.of(runtime, conditions, space.architecture(space.plain()))
    shapes, start = draw_shapes(space, count), TimedShapes(conditions=conditions, space=space)
    begun = time.monotonic()
    quick = start.timed(shapes, timer)
    seconds = (time.monotonic() - begun) / count
    long = start.timed(shapes, timer, num_rounds=LONG_ROUNDS)
    quick_ms = [one.timing.median_ms for one in quick.shapes]
    long_ms = [one.timing.median_ms for one in long.shapes]
    return {
        "conditions": conditions.model_dump(),
        "latencies_ms": [round(min(long_ms), 3), round(max(long_ms), 3)],
        "seconds_per_candidate": round(seconds, 3),
        "keeps_seconds": seconds <= MOST_SECONDS,
        "quick_over_long": relative_errors(quick_ms, long_ms),
        "model_over_quick": relative_errors(left_out(quick), quick_ms),
        "model_over_long": relative_errors(left_out(quick), long_ms),
        "multiply_adds_over_quick": relative_errors(by_multiply_adds(quick), quick_ms),
        "core_share": round(
            statistics.fmean(one.timing.core_share or 0.0 for one in (*quick.shapes, *long.shapes)),
            3,
        ),
        "shapes": [
            {"shape": one.shape.model_dump(), "quick_ms": round(a, 4), "long_ms": round(b, 4)}
            for one, a, b in zip(quick.shapes, quick_ms, long_ms, strict=True)
        ],
    }


def main() -> None:
    """Print the result, and write it where that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_json_option(parser)
    parser.add_argument("--count", type=int, default=40, help="shapes for each size")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--note", default="", help="what else was running on the machine")
    given = parser.parse_args()
    runtime, begun = find_runtime("onnxruntime"), time.monotonic()
    here = Conditions.here(runtime, threads=given.threads, batch=1, channels=3, size_px=64)
    probe = probe_widths(runtime, here)
    result: dict[str, Any] = {
        "count": given.count,
        "note": given.note,
        "widths": probe.model_dump() | {"seconds": round(time.monotonic() - begun, 2)},
        "sizes": {
            str(size_px): at_size(size_px, given.count, probe.width_step, given.threads)
            for size_px in SIZES_PX
        },
        "provenance": stamp(seed=0).model_dump(mode="json"),
    }
    shown = {
        size: {key: value for key, value in one.items() if key not in ("shapes", "conditions")}
        for size, one in result["sizes"].items()
    }
    print(json.dumps({"widths": result["widths"], **shown}, indent=2))
    write_result(result, given.json)


if __name__ == "__main__":
    main()
