"""Sends a server more than twice the images that it can compute, then stops it under that load.

First the capacity is measured: the answers in a second while more images arrive than it can
compute. Then images arrive at four times that rate, whatever the responses: the capacity of a
machine that others use varies, and at least half of the images should be too many. At the end
SIGTERM comes in the middle of such a load. A response is an answer (200), or a refusal that says
when to try again (503). What the server says it accepted must be what the clients got.

Before all that, batches of 8 images are compared with 8 passes, side by side on one thread: the
best time of each, over some repeats.

    python benchmarks/serve_load.py --json benchmarks/results/serve_load.json
"""

import argparse
import asyncio
import io
import itertools
import os
import queue
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
from PIL import Image

from result_file import add_json_option, as_text, write_result
from tapetum.arch import find_architecture
from tapetum.graph import random_weights, write_graph
from tapetum.provenance import stamp
from tapetum.runtime import GraphSession, Manifest, Package, open_package, write_package

SIDE_PX = 96  # of the training
IMAGE_PX = 192  # so large that the clients are a small part of the load
NETWORKS = ("dc-net-reduced-integrated", "mb2.5-s", "unet-s")
BATCH = 8
BATCH_SIDES_PX = (32, 96, 160)
REPEATS = 25
QUEUE = 16
OVERLOAD = 4.0


def write_network(path: Path, name: str, side_px: int = SIDE_PX) -> None:
    """Write a package with random weights."""
    architecture = find_architecture(name, num_classes=3, boxes=False)
    names = ["a", "b", "c"] if architecture.classifies else []
    manifest = Manifest.of(architecture, size_px=side_px, class_names=names, threads=1)
    write_package(
        path, write_graph(architecture, random_weights(architecture, seed=0)), manifest, ""
    )


def draw_image(side_px: int = IMAGE_PX) -> bytes:
    """A PNG file with random grey values."""
    values = np.random.default_rng(0).integers(0, 256, (side_px, side_px), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "PNG")
    return stream.getvalue()


class Server:
    """A ``tapetum serve`` in a process of its own.

    Attributes:
        process: The process.
        url: Where it listens.
    """

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process, self._lines = process, queue.Queue[str | None]()
        threading.Thread(target=self._read, daemon=True).start()
        self.url, self.said = "", ""
        while not self.url:
            line = self._lines.get(timeout=60)
            if line is None:
                raise SystemExit(f"the server did not start: {self.said}")
            self.said += line
            self.url = "".join(re.findall(r"http://[\d.]+:\d+", line))

    def _read(self) -> None:
        assert self.process.stderr is not None  # noqa: S101 - it is a pipe
        with self.process.stderr as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put(None)

    def memory_mib(self) -> float:
        """The memory that it holds now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024

    def ended(self, timeout_s: float = 60) -> tuple[int, str]:
        """Wait for its end; return its exit code and all that it said."""
        code = self.process.wait(timeout_s)
        while (line := self._lines.get(timeout=10)) is not None:
            self.said += line
        return code, self.said


@contextmanager
def running(*arguments: object) -> Iterator[Server]:
    """Start ``tapetum serve`` on a free port; kill it at the end if it still runs."""
    command = [sys.executable, "-m", "tapetum", "serve", *map(str, arguments), "--port", "0"]
    process = subprocess.Popen(  # noqa: S603 - the arguments are ours
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "200"}
    )
    try:
        yield Server(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


@dataclass
class Load:
    """What the clients saw.

    Attributes:
        statuses: How many responses had each status; 0 for a connection that was refused or closed.
        seconds: Of each answer, from the request to the whole response.
        health_seconds: The same of ``/healthz``, asked in between.
        unexplained: Refusals without a time to try again.
        closed: The kinds of the faults behind status 0.
        memory_mib: Memory of the server, once a second.
    """

    statuses: "Counter[int]" = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    health_seconds: list[float] = field(default_factory=list)
    unexplained: int = 0
    closed: "Counter[str]" = field(default_factory=Counter)
    memory_mib: list[float] = field(default_factory=list)

    async def send(self, client: httpx2.AsyncClient, image: bytes) -> None:
        """Send one image and note what comes back."""
        start = time.perf_counter()
        try:
            response = await client.post(
                "/v1/predict?mode=both", content=image, headers={"Content-Type": "image/png"}
            )
        except httpx2.TransportError as error:
            self.statuses[0] += 1
            self.closed[type(error).__name__] += 1
            return
        self.statuses[response.status_code] += 1
        if response.status_code == 200:
            response.json()
            self.seconds.append(time.perf_counter() - start)
        self.unexplained += response.status_code == 503 and "retry-after" not in response.headers


def _client(server: Server) -> httpx2.AsyncClient:
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=100)
    return httpx2.AsyncClient(base_url=server.url, limits=limits, timeout=60)


async def steady(server: Server, image: bytes, seconds: float, clients: int) -> Load:
    """Let clients send one image after the other; all that they send is answered."""
    load, end = Load(), time.monotonic() + seconds
    async with _client(server) as client:

        async def one() -> None:
            while time.monotonic() < end:
                await load.send(client, image)

        await asyncio.gather(*(one() for _ in range(clients)))
    return load


async def overloaded(
    server: Server, image: bytes, rate: float, seconds: float, *, stop_after: float | None = None
) -> Load:
    """Let images arrive at a rate, whatever the responses.

    Args:
        server: The server.
        image: The image.
        rate: Images in a second.
        seconds: For how long.
        stop_after: When the server gets SIGTERM, in seconds; it gets none by default.
    """
    load, sent, start = Load(), set[asyncio.Task[None]](), time.monotonic()
    is_stopping = False
    async with _client(server) as client:
        for number in itertools.count():
            await asyncio.sleep(max(0.0, start + number / rate - time.monotonic()))
            passed = time.monotonic() - start
            if passed > seconds:
                break
            if stop_after is not None and passed >= stop_after and not is_stopping:
                server.process.terminate()
                is_stopping = True
            sent.add(asyncio.create_task(load.send(client, image)))
            if not is_stopping and passed >= len(load.memory_mib):
                load.memory_mib.append(server.memory_mib())
                sent.add(asyncio.create_task(_ask_health(client, load)))
        await asyncio.gather(*sent)
    return load


async def _ask_health(client: httpx2.AsyncClient, load: Load) -> None:
    start = time.perf_counter()
    await client.get("/healthz")
    load.health_seconds.append(time.perf_counter() - start)


async def capacity_of(server: Server, image: bytes, clients: int, seconds: float) -> float:
    """Return how many images a server answers in a second where more than these arrive."""
    await steady(server, image, 2, clients)  # warm
    ease = await steady(server, image, seconds / 2, clients)
    rate = OVERLOAD * len(ease.seconds) / (seconds / 2)
    return len((await overloaded(server, image, rate, seconds / 2)).seconds) / (seconds / 2)


def counted(server: Server) -> tuple[int, int]:
    """What a stopped server says it accepted and answered."""
    found = re.search(r"stopped: ([\d,]+) accepted, ([\d,]+) answered", server.ended()[1])
    if found is None:
        raise SystemExit(f"the server did not stop as it should: {server.said}")
    accepted, answered = (int(text.replace(",", "")) for text in found.groups())
    return accepted, answered


def batch_ratio(package: Package, side_px: int) -> float:
    """Return the time of a pass over some images, over the time of one pass for each."""
    manifest = package.manifest
    outputs = ("denoised",) if manifest.denoises else ("logits",)
    session = GraphSession(package.graph_for(outputs), threads=1)
    shape = (BATCH, manifest.image_channels, side_px, side_px)
    images = np.random.default_rng(0).random(shape, dtype=np.float32)
    together, apart = [], []
    for _ in range(REPEATS):
        start = time.perf_counter()
        session.run(outputs, {"noisy": images})
        middle = time.perf_counter()
        for index in range(BATCH):
            session.run(outputs, {"noisy": images[index : index + 1]})
        together.append(middle - start)
        apart.append(time.perf_counter() - middle)
    return min(together) / min(apart)


def _quantiles(seconds: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(seconds, n=100) if len(seconds) > 1 else [0.0] * 99
    return {
        "p50_s": round(cuts[49], 3),
        "p95_s": round(cuts[94], 3),
        "max_s": round(max(seconds), 3),
    }


async def measured(package: Path, seconds: float) -> dict[str, Any]:
    """Measure the capacity of a server, overload it, and stop another one."""
    image, workers = draw_image(), 2
    with running(package, "--workers", workers, "--queue", QUEUE) as server:
        capacity = await capacity_of(server, image, workers + QUEUE // 2, seconds / 3)
        load = await overloaded(server, image, OVERLOAD * capacity, seconds)
    with running(package, "--workers", workers, "--queue", QUEUE) as server:
        stopped = await overloaded(server, image, OVERLOAD * capacity, 6, stop_after=3)
        accepted, answered = counted(server)
    throughput = len(load.seconds) / seconds
    third = load.memory_mib[len(load.memory_mib) // 3 :]
    return {
        "workers": workers,
        "queue": QUEUE,
        "capacity_images_per_second": round(capacity, 1),
        "overloaded": {
            "seconds": seconds,
            "arrivals_over_answers": round(load.statuses.total() / load.statuses[200], 2),
            "statuses": dict(load.statuses),
            "connections_refused_or_closed": dict(load.closed),
            "refusals_without_retry_after": load.unexplained,
            "answers": _quantiles(load.seconds),
            "places_over_throughput_s": round((workers + QUEUE) / throughput, 3),
            "health": _quantiles(load.health_seconds),
            "memory_mib_after_a_third": round(third[0], 1),
            "memory_mib_at_the_end": round(third[-1], 1),
        },
        "stopped_under_load": {
            "statuses": dict(stopped.statuses),
            "connections_refused_or_closed": dict(stopped.closed),
            "accepted_by_the_server": accepted,
            "answered_by_the_server": answered,
            "answers_that_clients_got": stopped.statuses[200],
        },
    }


def main() -> None:
    """Print the result, and write it where that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_json_option(parser)
    parser.add_argument("--seconds", type=float, default=60.0)
    asked = parser.parse_args()
    result: dict[str, Any] = {"image_px": IMAGE_PX, "batch": BATCH, "batch_over_single": {}}
    with tempfile.TemporaryDirectory() as folder:
        for name in NETWORKS:
            path = Path(folder) / f"{name}.tapetum"
            write_network(path, name)
            package = open_package(path)
            result["batch_over_single"][name] = {
                f"{side}px": round(batch_ratio(package, side), 3) for side in BATCH_SIDES_PX
            }
        first = Path(folder) / f"{NETWORKS[0]}.tapetum"
        result |= {"network": NETWORKS[0], **asyncio.run(measured(first, asked.seconds))}
    result["provenance"] = stamp().model_dump(mode="json")
    print(as_text(result))
    write_result(result, asked.json)


if __name__ == "__main__":
    main()
