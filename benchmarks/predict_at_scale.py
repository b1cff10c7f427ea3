"""Predicts many small images with workers, undisturbed and with kills, and compares the results.

One run is left alone. In the other one a worker is killed with SIGKILL after a quarter of the
images, and the whole command after three fifths; the same command with ``--resume`` ends it. Rows
and denoised images must be equal. A run of a tenth of the images shows that memory does not grow.

    python benchmarks/predict_at_scale.py --json benchmarks/results/predict_at_scale.json
"""

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from result_file import add_json_option, as_text, write_result
from tapetum.arch import find_architecture
from tapetum.graph import random_weights, write_graph
from tapetum.provenance import stamp
from tapetum.runtime import Manifest, bulk, write_package

SIDE_PX = 32
FOLDERS = 20
NETWORK = "dc-net-reduced-integrated"
KILL_WORKER_AT, KILL_COMMAND_AT = 0.25, 0.6


def draw_images(folder: Path, count: int) -> None:
    """Write random grey images into some sub-folders."""
    generator = np.random.default_rng(0)
    for index in range(count):
        place = folder / f"{index % FOLDERS:02}"
        place.mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 256, (SIDE_PX, SIDE_PX), np.uint8)
        Image.fromarray(pixels).save(place / f"{index:06}.png")


def write_network(path: Path) -> None:
    """Write a package with random weights that denoises and classifies."""
    architecture = find_architecture(NETWORK, num_classes=3, boxes=False)
    manifest = Manifest.of(architecture, size_px=SIDE_PX, class_names=["a", "b", "c"])
    write_package(
        path, write_graph(architecture, random_weights(architecture, seed=0)), manifest, ""
    )


class Command:
    """A ``tapetum predict`` that is watched: its rows, its workers and their memory."""

    def __init__(self, package: Path, images: Path, out: Path, *options: str) -> None:
        self.out = out
        self.peak_mib: dict[str, float] = {"command": 0.0, "worker": 0.0}
        arguments = ["predict", package, images, "--out", out, *options]
        self.process = subprocess.Popen(  # noqa: S603 - the arguments are ours
            [sys.executable, "-m", "tapetum", *map(str, arguments)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def workers(self) -> list[int]:
        """The processes that the command has started."""
        pid = self.process.pid
        try:
            return [
                int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            ]
        except OSError:
            return []

    def watch(self, until: Callable[[], bool]) -> None:
        """Note the memory until something is true or the command has ended."""
        while self.process.poll() is None and not until():
            self._note("command", self.process.pid)
            for worker in self.workers():
                self._note("worker", worker)
            time.sleep(0.2)

    def num_rows(self) -> int:
        """The rows that are written so far."""
        return sum(path.read_bytes().count(b"\n") for path in self.out.glob("predictions*.jsonl"))

    def _note(self, kind: str, pid: int) -> None:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return
        for line in status.splitlines():
            if line.startswith("VmHWM:"):
                peak_mib = int(line.split()[1]) / 1024
                self.peak_mib[kind] = max(self.peak_mib[kind], peak_mib)


def undisturbed(package: Path, images: Path, out: Path, workers: int) -> dict[str, Any]:
    """Run a job to its end."""
    command = Command(package, images, out, "--workers", str(workers))
    command.watch(until=lambda: False)
    if command.process.returncode:
        raise SystemExit(f"the command ended with code {command.process.returncode}")
    summary = json.loads((out / "result.json").read_text())
    return {
        "seconds": round(summary["seconds"], 1),
        "images_per_second": round(summary["files_per_second"], 1),
        "peak_mib": {kind: round(peak, 1) for kind, peak in command.peak_mib.items()},
    }


def disturbed(package: Path, images: Path, out: Path, workers: int, count: int) -> dict[str, Any]:
    """Kill a worker, then the command, and continue."""
    start = time.monotonic()
    command = Command(package, images, out, "--workers", str(workers))
    command.watch(until=lambda: command.num_rows() >= KILL_WORKER_AT * count)
    first = command.num_rows()
    os.kill(command.workers()[0], signal.SIGKILL)
    command.watch(until=lambda: command.num_rows() >= KILL_COMMAND_AT * count)
    command.process.kill()
    command.process.wait()
    second = command.num_rows()
    resumed = Command(package, images, out, "--workers", str(workers), "--resume")
    resumed.watch(until=lambda: False)
    return {
        "rows_at_kill_of_worker": first,
        "rows_at_kill_of_command": second,
        "exit_code_resumed": resumed.process.returncode,
        "seconds": round(time.monotonic() - start, 1),
    }


def comparable(out: Path) -> list[dict[str, Any]]:
    """The rows without times, with the digest of the denoised image for its path."""
    rows = []
    for row in bulk.read_rows(out):
        values = row.model_dump(exclude={"latency_ms", "prepare_ms"})
        content = Path(row.denoised or "").read_bytes()
        rows.append({**values, "denoised": hashlib.sha256(content).hexdigest()})
    return rows


def main() -> None:
    """Print the result, and write it where that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_json_option(parser)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        package = place / "network.tapetum"
        write_network(package)
        draw_images(place / "few", asked.images // 10)
        draw_images(place / "many", asked.images)
        result = {
            "images": asked.images,
            "side_px": SIDE_PX,
            "network": NETWORK,
            "workers": asked.workers,
            "tenth": undisturbed(package, place / "few", place / "tenth", asked.workers),
            "undisturbed": undisturbed(package, place / "many", place / "whole", asked.workers),
            "disturbed": disturbed(
                package, place / "many", place / "killed", asked.workers, asked.images
            ),
        }
        one, two = comparable(place / "whole"), comparable(place / "killed")
        result |= {
            "num_rows": len(one),
            "rows_and_images_are_equal": one == two,
            "files_left": sorted(path.name for path in (place / "killed").rglob(".*")),
            "provenance": stamp().model_dump(mode="json"),
        }
    print(as_text(result))
    write_result(result, asked.json)


if __name__ == "__main__":
    main()
