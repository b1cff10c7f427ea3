"""Write a bundle: the networks as graphs, the job, and the agent that times them."""

import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from tapetum.arch import Architecture, Shape, ShapeSpace, Space, cost
from tapetum.latency.agent import JOB
from tapetum.latency.bundle.found import BLOCKS, NAMED, RUNTIME, WIDTH, Bundled, Job
from tapetum.latency.conditions import Conditions
from tapetum.latency.deployed import DeployedNetwork
from tapetum.latency.vector import SIZE_PX, WIDTHS, chain_of
from tapetum.progress import ProgressCallback, silent
from tapetum.records import write_atomically
from tapetum.runtime import Precision

__all__ = ["block_networks", "shape_networks", "write_bundle"]

Named = tuple[Architecture, dict[str, Any]]
"""A network, and what it is for."""

BOXES = "boxes"  # the input that takes no image
DATE = (1980, 1, 1, 0, 0, 0)  # of each entry, so that equal bundles have equal bytes


def shape_networks(
    space: ShapeSpace, shapes: Iterable[tuple[Shape, str]], others: Iterable[Architecture] = ()
) -> list[Named]:
    """Return shapes with the names of their families, other networks, and chains of each width."""
    networks: list[Named] = [
        (space.architecture(shape), {"family": family, "shape": shape}) for shape, family in shapes
    ]
    networks += [(one, {"family": NAMED, "name": one.name}) for one in others]
    return networks + [
        (chain_of(width), {"family": WIDTH, "name": str(width)})
        for widths in WIDTHS.values()
        for width in widths
    ]


def block_networks(space: Space, count: int, *, seed: int = 0) -> list[Named]:
    """Return random networks of a space, for the prices of its blocks."""
    drawn = (
        space.random_of_any_size(np.random.default_rng((seed, index))) for index in range(count)
    )
    return [(space.architecture(one), {"family": BLOCKS, "choices": one}) for one in drawn]


def write_bundle(
    out: Path,
    job: Job,
    named: Sequence[Named],
    *,
    size_px: int,
    precisions: Sequence[Precision] = ("fp32", "int8"),
    progress: ProgressCallback = silent,
) -> Job:
    """Write a bundle.

    Args:
        out: The archive to write.
        job: What the device is told, yet without networks.
        named: The networks.
        size_px: Height and width of the images, in pixels.
        precisions: Number formats that each network is timed in.
        progress: Called after each network.

    Returns:
        The job with its networks.
    """
    stream, networks = io.BytesIO(), list[Bundled]()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for done, (architecture, what) in enumerate(named, start=1):
            for precision in precisions:
                file = f"graphs/{len(networks):04}-{precision}.onnx"
                network, graph = _bundled(architecture, what, size_px, job.batch, precision, file)
                if network.precision == precision:  # the smallest ones have no layer in int8
                    archive.writestr(_entry(file), graph)
                    networks.append(network)
            progress(done, len(named), "writing the bundle, in networks")
        in_order = tuple(sorted(networks, key=lambda one: one.multiply_adds))
        job = job.model_copy(update={"networks": in_order})
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
