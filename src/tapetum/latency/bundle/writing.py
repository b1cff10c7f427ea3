"""Write a bundle: the networks as graphs, the job, and the agent that times them."""

import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from tapetum import __version__
from tapetum.arch import Architecture, Shape, ShapeSpace, Space, cost
from tapetum.latency.agent import JOB
from tapetum.latency.bundle.found import BLOCKS, NAMED, RUNTIME, WIDTH, Bundled, Job
from tapetum.latency.conditions import Conditions
from tapetum.latency.deployed import DeployedNetwork
from tapetum.latency.timing import SHORT_ROUND, PassCount
from tapetum.latency.vector import SIZE_PX, WIDTHS, chain_of
from tapetum.progress import ProgressCallback, silent
from tapetum.records import write_atomically
from tapetum.runtime import Precision

__all__ = ["write_block_bundle", "write_bundle"]

BOXES = "boxes"  # the input that takes no image
ANY_MS = 1e9  # slow networks price their blocks too
DATE = (1980, 1, 1, 0, 0, 0)  # of each entry, so that equal bundles have equal bytes


def write_bundle(
    out: Path,
    space: ShapeSpace,
    shapes: Iterable[tuple[Shape, str]],
    others: Sequence[Architecture] = (),
    *,
    threads: int,
    batch: int = 1,
    precisions: Sequence[Precision] = ("fp32", "int8"),
    most_rounds: int = 4,
    minutes: float = 20.0,
    longest_ms: float = 100.0,
    passes: PassCount = SHORT_ROUND,
    progress: ProgressCallback = silent,
) -> Job:
    """Write a bundle.

    Args:
        out: The archive to write.
        space: The space of the shapes.
        shapes: Shapes with the name of their family.
        others: Networks that are timed as well.
        threads: Inference threads.
        batch: Images in one pass.
        precisions: Number formats that each network is timed in.
        most_rounds: The most rounds.
        minutes: Time after which no other round begins.
        longest_ms: Latency beyond which networks are not needed.
        passes: The passes of each network in each round.
        progress: Called after each network.

    Returns:
        The job in it.
    """
    named: list[tuple[Architecture, dict[str, Any]]] = [
        (space.architecture(shape), {"family": family, "shape": shape}) for shape, family in shapes
    ]
    named += [(one, {"family": NAMED, "name": one.name}) for one in others]
    named += [
        (chain_of(width), {"family": WIDTH, "name": str(width)})
        for widths in WIDTHS.values()
        for width in widths
    ]
    settings: dict[str, Any] = {"threads": threads, "batch": batch, "minutes": minutes}
    settings |= {"most_rounds": most_rounds, "passes": passes, "longest_ms": longest_ms}
    return _written(out, space, space.size_px, named, precisions, settings, progress)


def write_block_bundle(
    out: Path,
    space: Space,
    *,
    size_px: int,
    networks: int,
    threads: int,
    batch: int = 1,
    most_rounds: int = 20,
    minutes: float = 20.0,
    passes: PassCount = SHORT_ROUND,
    seed: int = 0,
    progress: ProgressCallback = silent,
) -> Job:
    """Write a bundle of random networks of a space, for the prices of its blocks.

    Args:
        out: The archive to write.
        space: The space.
        size_px: Height and width of the images, in pixels.
        networks: Number of networks.
        threads: Inference threads.
        batch: Images in one pass.
        most_rounds: The most rounds.
        minutes: Time after which no other round begins.
        passes: The passes of each network in each round.
        seed: Random seed of the networks.
        progress: Called after each network.

    Returns:
        The job in it.
    """
    drawn = (
        space.random_of_any_size(np.random.default_rng((seed, index))) for index in range(networks)
    )
    named = [(space.architecture(one), {"family": BLOCKS, "choices": one}) for one in drawn]
    settings: dict[str, Any] = {"threads": threads, "batch": batch, "minutes": minutes}
    settings |= {"most_rounds": most_rounds, "passes": passes, "longest_ms": ANY_MS}
    return _written(out, space, size_px, named, ("fp32",), settings, progress)


def _written(
    out: Path,
    space: ShapeSpace | Space,
    size_px: int,
    named: Sequence[tuple[Architecture, dict[str, Any]]],
    precisions: Sequence[Precision],
    settings: Mapping[str, Any],
    progress: ProgressCallback,
) -> Job:
    """Write networks with what they are for; the settings are those of the job."""
    stream, networks, batch = io.BytesIO(), list[Bundled](), settings["batch"]
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for done, (architecture, what) in enumerate(named, start=1):
            for precision in precisions:
                file = f"graphs/{len(networks):04}-{precision}.onnx"
                network, graph = _bundled(architecture, what, size_px, batch, precision, file)
                if network.precision == precision:  # the smallest ones have no layer in int8
                    archive.writestr(_entry(file), graph)
                    networks.append(network)
            progress(done, len(named), "writing the networks of the bundle")
        in_order = tuple(sorted(networks, key=lambda one: one.multiply_adds))
        job = Job(tapetum=__version__, space=space, networks=in_order, **settings)
        agent = resources.files("tapetum.latency").joinpath("agent.py").read_bytes()
        archive.writestr(_entry(JOB), job.to_json())
        archive.writestr(_entry("__main__.py"), agent)
    write_atomically(out, stream.getvalue())
    return job


def _bundled(
    architecture: Architecture,
    what: Mapping[str, Any],
    size_px: int,
    batch: int,
    precision: Precision,
    file: str,
) -> tuple[Bundled, bytes]:
    """Return the description of a network, and its graph."""
    deployed = DeployedNetwork.of(architecture, precision=precision, is_small=True)
    side_px = SIZE_PX if what["family"] == WIDTH else size_px
    conditions = Conditions(
        device="",
        runtime=RUNTIME,
        runtime_version="",
        precision=deployed.precision,
        threads=1,
        batch=1 if what["family"] == WIDTH else batch,
        channels=architecture.image_channels,
        height_px=side_px,
        width_px=side_px,
    )
    feeds = deployed.random_inputs(conditions)
    network = Bundled(
        file=file,
        precision=deployed.precision,
        multiply_adds=cost.multiply_adds(architecture, side_px, side_px),
        images={name: values.shape for name, values in feeds.items() if name != BOXES},
        boxes={name: values.tolist() for name, values in feeds.items() if name == BOXES},
        **what,
    )
    return network, deployed.graph


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, DATE)
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry
