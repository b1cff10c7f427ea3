"""How many times as fast is int8, and which networks gain?

Half-size UNets and plain DC-Nets on the grid of the processor's vectors, the reduced DC-Net, whose
widths lie beside it, and a network of the published search space with the multiply-adds of a
DC-NAS S. Each is timed in fp32 and in int8 with random weights, 64 px, batch 1, in ONNX Runtime.
All of them take turns in one run, and what counts is the ratio of the medians, since the machine is
shared. ``of_base_20`` is the latency over that of a DC-Net of base width 20 in fp32.

    python benchmarks/int8_pays.py --json results/int8_pays.json
"""

import argparse
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any, get_args

import numpy as np

from result_file import add_json_option, as_text, write_result
from tapetum.arch import Architecture, Branch, Shape, cost, families, find_architecture, spaces
from tapetum.latency import Conditions, DeployedNetwork, Timing, find_runtime, time_interleaved
from tapetum.provenance import stamp
from tapetum.runtime import Precision

SIZE_PX, CLASSES = 64, 10
DC_NAS_S_MULTIPLY_ADDS = 161e6
BASE = "DC-Net, base width 20"
Network = tuple[str, str]  # its name and its precision


def half_size(*widths: int) -> Architecture:
    """A UNet whose finest level is at half resolution."""
    depths = (1,) * len(widths)
    shape = Shape(
        widths=widths,
        encoder_depths=depths,
        decoder_depths=depths[1:],
        branch=Branch(widths=(widths[-1],)),
    )
    return shape.architecture("half", image_channels=3, num_classes=CLASSES)


def plain(*widths: int) -> Architecture:
    """A DC-Net of one convolution at each place."""
    depths = (1,) * len(widths)
    shape = Shape(
        widths=widths,
        encoder_depths=depths,
        decoder_depths=depths[1:],
        operator="conv",
        stem="full",
        down="max_pool",
        up="transposed_conv",
        join="concatenate",
        gated=False,
        branch=Branch(operator="mbconv", widths=(widths[-1],)),
    )
    return shape.architecture("plain", image_channels=3, num_classes=CLASSES)


def base_20() -> Architecture:
    """The network that latencies are compared with."""
    denoiser = families.unet("unet", base_width=20, depth=4, multiplier=1.5, convs=2, channels=3)
    return families.integrated(denoiser, "base-20", num_classes=CLASSES, boxes=False)


def searched() -> Architecture:
    """The network of the published space, of some drawn ones, that comes nearest to a DC-NAS S."""
    space = spaces.dc_nas(spaces.Frame(image_px=SIZE_PX, num_classes=CLASSES))
    drawn = [space.architecture(space.random(np.random.default_rng(seed))) for seed in range(50)]
    return min(drawn, key=lambda one: abs(multiply_adds(one) - DC_NAS_S_MULTIPLY_ADDS))


def multiply_adds(architecture: Architecture) -> int:
    """Those of one image."""
    return cost.multiply_adds(architecture, SIZE_PX, SIZE_PX)


def networks() -> Mapping[str, Architecture]:
    """What is timed, by its name."""
    reduced, medium = (
        find_architecture(f"dc-net-{size}-integrated", channels=3, num_classes=CLASSES, boxes=False)
        for size in ("reduced", "medium")
    )
    return {
        BASE: base_20(),
        "half-size UNet 16-48-96": half_size(16, 48, 96),
        "half-size UNet 48-96-160": half_size(48, 96, 160),
        "half-size UNet 96-160-256": half_size(96, 160, 256),
        "plain DC-Net 16-16-32-64": plain(16, 16, 32, 64),
        "DC-Net 16-32-64-128 (medium)": medium,
        "DC-Net 8-12-18-27 (reduced)": reduced,
        "DC-NAS space, 161 M multiply-adds": searched(),
    }


def compared(rounds: int, threads: int) -> dict[str, Any]:
    """Time all networks in both precisions, in turns."""
    runtime, known = find_runtime("onnxruntime"), networks()
    conditions = Conditions.here(runtime, threads=threads, batch=1, channels=3, size_px=SIZE_PX)
    timed = [(name, precision) for name in known for precision in get_args(Precision)]
    prepared = [
        partial(runtime.prepare, DeployedNetwork.of(known[name], precision=precision), conditions)
        for name, precision in timed
    ]
    taken = time_interleaved(prepared, num_rounds=rounds, threads=threads)
    timings = dict(zip(timed, taken, strict=True))
    return {
        "conditions": conditions.model_dump(mode="json", exclude={"precision"}),
        "networks": {name: row(name, known[name], timings) for name in known},
    }


def row(name: str, network: Architecture, timings: Mapping[Network, Timing]) -> dict[str, Any]:
    """What is known of one network."""
    fp32, int8 = timings[name, "fp32"], timings[name, "int8"]
    base_ms = timings[BASE, "fp32"].median_ms
    return {
        "millions_multiply_adds": round(multiply_adds(network) / 1e6, 1),
        "fp32_over_int8": round(fp32.median_ms / int8.median_ms, 3),
        "fp32_of_base_20": round(fp32.median_ms / base_ms, 3),
        "int8_of_base_20": round(int8.median_ms / base_ms, 3),
        "fp32_ms": round(fp32.median_ms, 3),
        "int8_ms": round(int8.median_ms, 3),
        "spread": round(max(fp32.spread, int8.spread), 3),
    }


def main() -> None:
    """Print the result, and write it where that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_json_option(parser)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    result = compared(asked.rounds, asked.threads)
    result |= {"rounds": asked.rounds, "provenance": stamp(seed=0).model_dump(mode="json")}
    sys.stdout.write(as_text(result))
    write_result(result, asked.json)


if __name__ == "__main__":
    main()
