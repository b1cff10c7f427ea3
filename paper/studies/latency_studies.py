"""Five questions about latency that are seldom asked aloud, each answered by timing.

- ``blocks``: is the sum of blocks timed alone the latency of the network?
- ``widths``: one hidden width in steps of one channel: where are the cliffs?
- ``weights``: random, trained and denormal weights; with denormals taken for zero, and without.
- ``profiler``: what does the profiler cost, and do its nodes sum to the whole?
- ``hour``: the same network again; one visit for each time that this is run, ten in all.

Each leaves one JSON file, rendered in docs/latency.md.  Nothing else may run beside it.

Command:  python benchmarks/latency_studies.py STUDY [--out results/latency] [--package FILE]
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from tapetum_paper.eager import EagerTorch

from tapetum import latency
from tapetum.arch import Architecture
from tapetum.arch.cost import placed_blocks
from tapetum.arch.spaces import Frame, open_space
from tapetum.arch.spec import Classifier, Conv, InvertedResidual, Whole
from tapetum.cli.common import progress_bar
from tapetum.latency.campaign import Campaign, draw
from tapetum.latency.conditions import Conditions
from tapetum.latency.deployed import feeds_of, subject_of
from tapetum.latency.timing import MakeReady, Run, time_block
from tapetum.nn import build
from tapetum.progress import ProgressCallback
from tapetum.provenance import stamp
from tapetum.runtime.session import keep_outputs

RUNTIMES = (*latency.RUNTIMES.values(), EagerTorch())
SIZE_PX, CHANNELS, CLASSES = 224, 3, 100
BLOCK = latency.Block(min_passes=5)
TINY = 1e-40  # a weight of ordinary size becomes a denormal number
VISITS_AN_HOUR = 10

Study = Callable[[Path, ProgressCallback], dict[str, Any]]


def conditions(
    runtime: latency.Runtime, *, channels: int = CHANNELS, size_px: int = SIZE_PX
) -> Conditions:
    """One image at a time, on one thread."""
    return latency.conditions_here(
        runtime, threads=1, batch=1, channels=channels, height_px=size_px, width_px=size_px
    )


def networks(count: int) -> list[Architecture]:
    """Random ones of the C-NAS space of eight operators."""
    space = open_space("c-nas", Frame(operators=8, image_px=SIZE_PX, num_classes=CLASSES))
    campaign = Campaign(conditions=conditions(RUNTIMES[0]), space=space, seed=7)
    return [space.architecture(draw(campaign, index)) for index in range(count)]


def around(block: Conv | InvertedResidual | None, channels: int) -> Architecture:
    """A network of one block, a mean and a linear layer; without a block, of the latter two."""
    return Architecture(
        name="alone",
        image_channels=channels,
        classifier=Classifier(
            source="noisy",
            region=Whole(),
            blocks=() if block is None else (block,),
            pooling="mean",
            features=channels if block is None else block.out_channels,
            num_classes=CLASSES,
        ),
    )


def alone(block: Conv | InvertedResidual) -> latency.Subject:
    """The graph of a block and nothing else."""
    network = around(block, block.in_channels)
    model = onnx.load_model_from_string(subject_of(network).model)
    result = next(
        node.input[0]
        for node in model.graph.node
        if node.op_type == "GlobalAveragePool" and node.name.startswith("classifier/")
    )
    model.graph.output.append(helper.make_tensor_value_info(result, TensorProto.FLOAT, None))
    inputs = {"noisy": (None, network.image_channels, None, None)}
    return latency.Subject(keep_outputs(model, [result]).SerializeToString(), None, inputs)


def timed(things: Sequence[MakeReady], tick: ProgressCallback, *, num_rounds: int) -> list[float]:
    """The medians of several things that take turns."""
    rounds = latency.take_turns(things, BLOCK, num_rounds=num_rounds, progress=tick)
    return [latency.summarize_rounds(one).median_ms for one in rounds]


def study_blocks(_: Path, tick: ProgressCallback) -> dict[str, Any]:
    """Whole networks of MBConv blocks beside the sum of their blocks, in each runtime."""
    found = {}
    for runtime in RUNTIMES:
        pairs = []
        for network in networks(12):
            things = [partial(runtime.prepare, subject_of(network), conditions(runtime))]
            things += _parts(runtime, network)
            whole_ms, *parts_ms = timed(things, tick, num_rounds=4)
            pairs.append({"whole_ms": whole_ms, "sum_ms": sum(parts_ms)})
        found[runtime.name] = {
            "conditions": conditions(runtime).model_dump(),
            "num_blocks": len(parts_ms),
            "networks": pairs,
        }
    return found


def _parts(runtime: latency.Runtime, network: Architecture) -> Iterator[MakeReady]:
    """Each block alone, and the end of the network."""
    for _, block, (height, _) in placed_blocks(network, SIZE_PX, SIZE_PX):
        where = conditions(runtime, channels=block.in_channels, size_px=height)
        if isinstance(runtime, EagerTorch):
            yield partial(_alone_in_torch, block, where)
        else:
            yield partial(runtime.prepare, alone(block), where)
    features = network.classifier.features if network.classifier else 0
    where = conditions(runtime, channels=features, size_px=SIZE_PX // 32)
    yield partial(runtime.prepare, subject_of(around(None, features)), where)


def _alone_in_torch(block: Conv | InvertedResidual, where: Conditions) -> Run:
    torch.set_num_threads(where.threads)
    module = build(around(block, block.in_channels), seed=0).eval().classifier.blocks
    image = torch.from_numpy(feeds_of(alone(block), where)["noisy"])

    def run() -> None:
        with torch.inference_mode():
            module(image)

    return run


def study_widths(_: Path, tick: ProgressCallback) -> dict[str, Any]:
    """The block of stage 5 (80 channels, 14 x 14) with 224 to 288 hidden channels."""
    found = {}
    for runtime in RUNTIMES[:2]:
        where = conditions(runtime, channels=80, size_px=14)
        widths = range(224, 289)
        blocks = [
            InvertedResidual(
                in_channels=80, hidden_channels=width, out_channels=80, activation="silu"
            )
            for width in widths
        ]
        things = [partial(runtime.prepare, alone(block), where) for block in blocks]
        medians = timed(things, tick, num_rounds=9)
        found[runtime.name] = {
            "conditions": where.model_dump(),
            "median_ms": dict(zip(widths, medians, strict=True)),
        }
    return found


def study_weights(package: Path, tick: ProgressCallback) -> dict[str, Any]:
    """One network with three kinds of weights, in a process each: the setting is a process's."""
    kinds = [(kind, flush) for kind in ("random", "trained", "denormal") for flush in (True, False)]
    command = [sys.executable, __file__, "weights", "--package", str(package), "--worker"]
    workers = [
        subprocess.Popen(  # noqa: S603  (ourselves)
            [*command, kind, *(["--flush"] if flush else [])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for kind, flush in kinds
    ]  # fmt: skip
    rounds: list[list[float]] = [[] for _ in workers]
    for number in range(9):
        for index, worker in enumerate(workers):
            assert worker.stdin is not None  # noqa: S101  (we asked for pipes)
            assert worker.stdout is not None  # noqa: S101
            worker.stdin.write("go\n")
            worker.stdin.flush()
            rounds[index].append(float(worker.stdout.readline()))
            tick(number * len(workers) + index + 1, 9 * len(workers), "timing")
    for worker in workers:
        worker.communicate()
    name, where = _package(package)
    return {
        "network": name,
        "conditions": where.model_dump(),
        "median_ms": [
            {"weights": kind, "denormals_are_zero": flush, "median_ms": statistics.median(found)}
            for (kind, flush), found in zip(kinds, rounds, strict=True)
        ],
    }


def _package(package: Path) -> tuple[str, Conditions]:
    """The network of a package, and the images that it is timed on: 96 px, as the digits are."""
    network = latency.open_subject(str(package), channels=1, num_classes=10).architecture
    assert network is not None  # noqa: S101  (a package knows its network)
    return network.name, conditions(RUNTIMES[0], channels=network.image_channels, size_px=96)


def work(package: Path, kind: str, *, flush: bool) -> None:
    """Times the network for every line on standard input, and says the median."""
    trained = latency.open_subject(str(package), channels=1, num_classes=10)
    assert trained.architecture is not None  # noqa: S101  (a package knows its network)
    subject = subject_of(trained.architecture) if kind == "random" else trained
    model = onnx.load_model_from_string(subject.model)
    if kind == "denormal":
        for tensor in model.graph.initializer:
            if len(tensor.dims) == 4:
                weights = (numpy_helper.to_array(tensor) * np.float32(TINY)).astype(np.float32)
                tensor.CopyFrom(numpy_helper.from_array(weights, tensor.name))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.set_denormal_as_zero", str(int(flush)))
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    feeds = dict(feeds_of(subject, _package(package)[1]))
    for _ in sys.stdin:
        passes = time_block(lambda: session.run(None, feeds), BLOCK)
        sys.stdout.write(f"{statistics.median(passes)}\n")
        sys.stdout.flush()


def study_profiler(_: Path, tick: ProgressCallback) -> dict[str, Any]:
    """Twelve networks with ONNX Runtime's profiler and without, and the sum of its nodes."""
    where, pairs = conditions(RUNTIMES[0]), []
    with tempfile.TemporaryDirectory() as folder:
        for network in networks(12):
            subject = subject_of(network)
            ways = [partial(_ready, subject, prefix) for prefix in (None, f"{folder}/profile")]
            off_ms, on_ms = timed(ways, tick, num_rounds=6)
            nodes_ms = _nodes_ms(subject, f"{folder}/nodes")
            pairs.append({"off_ms": off_ms, "on_ms": on_ms, "nodes_ms": nodes_ms})
    return {"conditions": where.model_dump(), "networks": pairs}


def _open(subject: latency.Subject, profile_prefix: str | None) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_profiling = profile_prefix is not None
    options.profile_file_prefix = profile_prefix or ""
    return onnxruntime.InferenceSession(subject.model, options)


def _ready(subject: latency.Subject, profile_prefix: str | None) -> Run:
    feeds = dict(feeds_of(subject, conditions(RUNTIMES[0])))
    return partial(_open(subject, profile_prefix).run, None, feeds)


def _nodes_ms(subject: latency.Subject, prefix: str) -> float:
    """What the kernels of one pass sum to: the median over thirty passes."""
    session = _open(subject, prefix)
    feeds = dict(feeds_of(subject, conditions(RUNTIMES[0])))
    for _ in range(30):
        session.run(None, feeds)
    sums, total = [], 0.0
    for event in json.loads(Path(session.end_profiling()).read_text()):
        if event["name"] == "model_run":  # is written when the pass is over
            sums.append(total / 1000)
            total = 0.0
        elif event["name"].endswith("_kernel_time"):
            total += event["dur"]
    return statistics.median(sums)


def visit(path: Path, tick: ProgressCallback) -> None:
    """Times the same network once more, in each runtime, and writes it down."""
    network = subject_of(networks(1)[0])
    found = json.loads(path.read_text()) if path.exists() else {"visits": []}
    if len(found["visits"]) >= VISITS_AN_HOUR:
        return
    one: dict[str, Any] = {"date": datetime.now(UTC).isoformat(timespec="seconds")}
    for runtime in RUNTIMES[:2]:
        things = [partial(runtime.prepare, network, conditions(runtime))]
        rounds = latency.take_turns(things, BLOCK, num_rounds=12, progress=tick)[0]
        one[runtime.name] = latency.summarize_rounds(rounds).model_dump()
        found.setdefault("conditions", {})[runtime.name] = conditions(runtime).model_dump()
    found["visits"].append(one)
    found["provenance"] = stamp(seed=7).model_dump(mode="json")
    path.write_text(json.dumps(found, indent=2) + "\n")


STUDIES: dict[str, Study] = {
    "blocks": study_blocks,
    "widths": study_widths,
    "weights": study_weights,
    "profiler": study_profiler,
}


def main() -> None:
    """Runs one study and writes its file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", choices=[*STUDIES, "hour"])
    parser.add_argument("--out", type=Path, default=Path("results/latency"))
    parser.add_argument("--package", type=Path, help="a trained one, for the study of weights")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--flush", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        work(asked.package, asked.worker, flush=asked.flush)
        return
    asked.out.mkdir(parents=True, exist_ok=True)
    path = asked.out / f"study_{asked.study}.json"
    with latency.one_at_a_time(), progress_bar() as tick:
        if asked.study == "hour":
            visit(path, tick)
            return
        found = STUDIES[asked.study](asked.package, tick)
    found["provenance"] = stamp(seed=7).model_dump(mode="json")
    path.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
