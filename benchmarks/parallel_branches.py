"""Is a joint network quicker when decoder and classifier run side by side?

ONNX Runtime can run independent branches of a graph at the same time (``ORT_PARALLEL``). Each
network is timed with random weights, batch 1, in four ways: on one thread; on two threads that
share the work of each layer, which is how packages run; on two threads that run one branch each;
and with both. All of them take turns in one run, and what counts is the ratio of the medians, since
the machine is shared. Both cores have to be idle.

    python benchmarks/parallel_branches.py --json benchmarks/results/parallel_branches.json
"""

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from result_file import add_json_option, as_text, write_result
from tapetum.arch import Architecture, Branch, Shape, ShapeSpace, find_architecture
from tapetum.latency import DeployedNetwork, time_interleaved
from tapetum.provenance import stamp
from tapetum.runtime.session import load_onnxruntime

SIZE_PX, CLASSES = 96, 10
WAYS = {  # threads of a layer, branches at the same time
    "one thread": (1, 1),
    "two threads, layer by layer": (2, 1),
    "two threads, branch by branch": (1, 2),
    "two threads a layer, two branches": (2, 2),
}


def networks() -> dict[str, Architecture]:
    """Joint networks with classifiers from 1 to about 50 % of the work."""
    space = ShapeSpace(size_px=SIZE_PX, width_step=16, image_channels=3, num_classes=CLASSES)
    wide = Shape(
        widths=(16, 48, 96),
        encoder_depths=(1, 1, 1),
        decoder_depths=(1, 1),
        branch=Branch(widths=(256, 256, 256), stride_px=1),
    )
    of_images = partial(find_architecture, channels=3, num_classes=CLASSES, boxes=False)
    return {
        "default of a fit": space.architecture(space.rule(100e6), "rule"),
        "half-size UNet with a large classifier": space.architecture(wide, "wide"),
        "reduced DC-Net": of_images("dc-net-reduced-integrated"),
        "DC-Net medium": of_images("dc-net-medium-integrated"),
    }


def session(model: bytes, layer: int, branches: int) -> Callable[[], Any]:
    """Open a graph that runs in one of the ways, and return a forward pass."""
    runtime = load_onnxruntime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = layer, branches
    if branches > 1:
        options.execution_mode = runtime.ExecutionMode.ORT_PARALLEL
    opened = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    image = np.random.default_rng(0).random((1, 3, SIZE_PX, SIZE_PX), np.float32)
    return partial(opened.run, None, {"noisy": image})


def compared(network: Architecture, rounds: int) -> dict[str, Any]:
    """Time a network in all ways, in turns."""
    model = DeployedNetwork.of(network).graph
    prepared = [partial(session, model, *way) for way in WAYS.values()]
    timed = time_interleaved(prepared, num_rounds=rounds, threads=None)
    medians = {way: one.median_ms for way, one in zip(WAYS, timed, strict=True)}
    usual = medians["two threads, layer by layer"]
    return {way: {"median_ms": ms, "of_usual": round(ms / usual, 3)} for way, ms in medians.items()}


def main() -> None:
    """Print the result, and write it where that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    add_json_option(parser)
    asked = parser.parse_args()
    found = {name: compared(one, asked.rounds) for name, one in networks().items()}
    result = {"networks": found, "provenance": stamp(seed=0).model_dump(mode="json")}
    print(as_text(result))
    write_result(result, asked.json)


if __name__ == "__main__":
    main()
