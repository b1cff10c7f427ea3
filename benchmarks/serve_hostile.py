"""Sends a server 2,000 damaged files, and lets schemathesis test it by its OpenAPI.

The files are of many formats, and bytes of them were changed, cut out, repeated or cut off, all
drawn from a seed. Each is answered, or refused with a status below 500. Schemathesis sends what the
OpenAPI allows and what it forbids; a query or an image that fits it may still not fit the network,
so the check ``positive_data_acceptance`` is left out.

    python benchmarks/serve_hostile.py --json benchmarks/results/serve_hostile.json
"""

import argparse
import io
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
from PIL import Image

from result_file import add_json_option, as_text, write_result
from serve_load import Server, running, write_network
from tapetum.provenance import stamp

SEED = 20_261_129
MUTATED = 2_000
EXAMPLES = 150  # of schemathesis, for each operation and phase
NETWORK, SIDE_PX = "dc-net-reduced-integrated", 24
KINDS = (
    *(("PNG", "L"), ("PNG", "I;16"), ("PNG", "RGBA"), ("JPEG", "RGB"), ("TIFF", "F")),
    *(("TIFF", "RGB"), ("GIF", "L"), ("WEBP", "RGB"), ("BMP", "RGB"), ("PPM", "L")),
    *(("JPEG2000", "L"), ("TIFF", "I;16"), ("AVIF", "RGB")),
)


def image_bytes(kind: str = "PNG", mode: str = "L", *, side_px: int = 20, **options: Any) -> bytes:
    """Return a file with a drawn image: 8 bits, 16 bits (``I;16``) or floats (``F``)."""
    channels = {"RGB": 3, "RGBA": 4}.get(mode)
    shape = (side_px, side_px + 3) + (() if channels is None else (channels,))
    values = np.random.default_rng(0).random(shape)
    kinds = {"F": (1, np.float32), "I;16": (65535, np.uint16)}
    scale, dtype = kinds.get(mode, (255, np.uint8))
    stream = io.BytesIO()
    Image.fromarray((values * scale).astype(dtype)).save(stream, kind, **options)
    return stream.getvalue()


def mutated(count: int) -> Iterator[bytes]:
    """Yield damaged files: bytes that are changed, cut out, repeated or cut off."""
    files = [image_bytes(kind, mode) for kind, mode in KINDS]
    draw = np.random.default_rng(SEED)
    for number in range(count):
        content = bytearray(files[number % len(files)])
        for _ in range(draw.integers(1, 5)):
            # Headers are short, so half of the damage is done there.
            most = min(64, len(content)) if draw.random() < 0.5 else len(content)
            place, length = int(draw.integers(most)), int(draw.integers(1, 9))
            damage = draw.integers(4)
            if damage == 0:
                content[place : place + length] = draw.bytes(length)
            elif damage == 1:
                del content[place : place + length]
            elif damage == 2:
                content[place:place] = content[place : place + length] * int(draw.integers(1, 9))
            elif place > 8:
                del content[place:]
        yield bytes(content)


def statuses_of_damaged(server: Server, count: int) -> dict[str, int]:
    """Send damaged files, and count the statuses of the responses."""
    seen: Counter[int] = Counter()
    with httpx2.Client(base_url=server.url, timeout=60) as client:
        for content in mutated(count):
            answer = ("json", "png", "tiff")[len(content) % 3]
            seen[client.post(f"/v1/predict?answer={answer}", content=content).status_code] += 1
    return {str(status): seen[status] for status in sorted(seen)}


def schemathesis(server: Server, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Let schemathesis test a server; it keeps in a folder what it has found."""
    return subprocess.run(  # noqa: S603 - the arguments are ours
        [
            *(sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"),
            *("run", f"{server.url}/openapi.json", "--no-color", "--continue-on-failure"),
            *("--exclude-checks", "positive_data_acceptance"),
            *("--seed", str(SEED), "--max-examples", str(EXAMPLES), "--request-timeout", "60"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )


def what_schemathesis_said(output: str) -> dict[str, int]:
    """Return the operations that it tested, the test cases, and its failures."""
    tested, cases = re.search(r"Tested: (\d+)", output), re.search(r"(\d+) generated", output)
    if tested is None or cases is None:
        raise SystemExit(f"schemathesis did not say what it has tested: {output[-2000:]}")
    failures = re.search(r"found (\d+) unique failure", output)
    return {
        "operations": int(tested[1]),
        "test_cases": int(cases[1]),
        "unique_failures": 0 if failures is None else int(failures[1]),
    }


def main() -> None:
    """Print the result, and write it where that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_json_option(parser)
    asked = parser.parse_args()
    result: dict[str, Any] = {"network": NETWORK, "damaged_files": MUTATED, "seed": SEED}
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "photos.tapetum"
        write_network(package, NETWORK, SIDE_PX)
        with running(package) as server:
            result["statuses_of_damaged_files"] = statuses_of_damaged(server, MUTATED)
            done = schemathesis(server, Path(folder))
            result["schemathesis"] = {
                "version": version("schemathesis"),
                "exit_code": done.returncode,
                **what_schemathesis_said(done.stdout),
            }
            result["is_alive_at_the_end"] = httpx2.get(f"{server.url}/healthz").is_success
    result["provenance"] = stamp().model_dump(mode="json")
    print(as_text(result))
    write_result(result, asked.json)


if __name__ == "__main__":
    main()
