"""Damaged files of every kind: each is read, or refused in one sentence, in bounded time.

The damage is drawn from a seed.  The default suite tries some of it, ``-m slow`` ten times more.
"""

import copy
import io
import json
import resource
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from tapetum.arch import Architecture, Space, find_architecture
from tapetum.data.labels_file import read_labels
from tapetum.errors import TapetumError
from tapetum.images import inspect_image, read_frames
from tapetum.images.reading import looks_like_image
from tapetum.latency import LatencyTable
from tapetum.nn import build
from tapetum.records import read_json
from tapetum.runtime import Preparation, bulk, open_package
from tapetum.training import RUNS, Recipe, Request, load_network
from tapetum.training.checkpoint import (
    EpochRow,
    Position,
    read_checkpoint,
    write_checkpoint,
    write_tensors,
)
from tiny_package import members_of, rewrite, tiny_package
from tiny_search import tiny_table
from tiny_training import TINY_DATA, tiny_architecture, tiny_recipe

FEW, MANY = 10, 100  # damaged files of each of the 22 subjects
ODD = (None, True, 0, -1, 0.5, 1e308, 2**63, "", "a\x1b[31m\n", [], {}, [[]], ["x"] * 99, {"a": 1})
MOST_SECONDS = 5.0  # of the processor, for one file
MOST_BYTES = 2**31  # of memory, beyond what the process has


class Subject(NamedTuple):
    """A good file, and how it is read."""

    name: str
    content: bytes
    read: Callable[[Path], object]


def _image(kind: str, mode: str, **options: object) -> bytes:
    generator = np.random.default_rng(0)
    shape = (24, 30, 3) if mode == "RGB" else (24, 30)
    values = generator.random(shape) * (1 if mode == "F" else 60_000 if "16" in mode else 255)
    kinds = {"F": np.float32, "I;16": np.uint16}
    image = Image.fromarray(values.astype(kinds.get(mode, np.uint8)))
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _read_image(path: Path) -> None:
    looks_like_image(path)
    facts = inspect_image(path)
    preparation = Preparation(size_px=16, channels=1)
    for frame in read_frames(path):
        assert frame.pixels.shape[1:] == (facts.height_px, facts.width_px)
        assert np.isfinite(frame.pixels).all()
        preparation.resized(preparation.colours(frame))
        return


def images() -> Iterator[Subject]:
    """One of each format that Pillow writes everywhere."""
    more = [Image.new("L", (30, 24), value) for value in (50, 90)]
    forms = {
        "grey.png": ("PNG", "L", {}),
        "deep.png": ("PNG", "I;16", {}),
        "colour.jpg": ("JPEG", "RGB", {"dpi": (300, 300)}),
        "deep.tif": ("TIFF", "I;16", {}),
        "float.tif": ("TIFF", "F", {"compression": "tiff_lzw"}),
        "stack.tif": ("TIFF", "L", {"save_all": True, "append_images": more}),
        "movie.gif": ("GIF", "L", {"save_all": True, "append_images": more}),
        "colour.webp": ("WEBP", "RGB", {"lossless": True}),
        "colour.bmp": ("BMP", "RGB", {}),
        "grey.pgm": ("PPM", "L", {}),
    }
    for name, (kind, mode, options) in forms.items():
        yield Subject(name, _image(kind, mode, **options), _read_image)


def records() -> Iterator[Subject]:
    """JSON of every kind that a command reads."""
    table = tiny_table()
    request = Request(architecture=tiny_architecture(), recipe=tiny_recipe(), data=TINY_DATA)
    boxes = json.dumps({"a.png": [[1, 2, 3, 4.5]], "b/c.png": [[0, 0, 9, 9]] * 3})

    def read_table(path: Path) -> None:
        read = LatencyTable.read(path)
        assert read.range.slowest_ms >= read.range.fastest_ms

    def read_run(path: Path) -> None:
        path.rename(path.with_name("request.json"))
        RUNS.open(path.parent)

    yield Subject("table.json", table.to_json().encode(), read_table)
    yield Subject("space.json", table.space.to_json().encode(), Space.read)
    unet = find_architecture("unet-s").to_json().encode()
    yield Subject("architecture.json", unet, Architecture.read)
    yield Subject("recipe.json", tiny_recipe().to_json().encode(), Recipe.read)
    yield Subject("run.json", request.to_json().encode(), read_run)
    yield Subject("boxes.json", boxes.encode(), bulk.read_boxes)
    yield Subject("any.json", boxes.encode(), read_json)
    csv = "file,label,split,box\n" + "".join(f"{i}.png,cat,train,1 2 3 4\n" for i in range(9))
    yield Subject("labels.csv", csv.encode(), _read_labels)


def _read_labels(path: Path) -> None:
    files = [path.with_name(f"{index}.png") for index in range(9)]
    read_labels(path, files, path.parent)


def binaries(folder: Path) -> Iterator[Subject]:
    """A package, a checkpoint, and the weights of a network."""
    package = tiny_package(folder / "good.tapetum", "mb1-s")
    yield Subject("model.tapetum", package.read_bytes(), open_package)
    members = members_of(package)

    def read_manifest(path: Path) -> None:
        rewrite(package, {**members, "manifest.json": path.read_bytes()})
        open_package(package)

    yield Subject("manifest.json", members["manifest.json"], read_manifest)
    small = torch.nn.Linear(3, 2)
    tensors = {f"network.{name}": value for name, value in small.state_dict().items()}
    write_checkpoint(folder / "state", tensors, Position[EpochRow](num_images=16))
    read = partial(read_checkpoint, kind=Position[EpochRow])
    yield Subject("last.safetensors", (folder / "state").read_bytes(), read)
    run = folder / "run"
    request = Request(
        architecture=find_architecture("mb1-s", channels=1, num_classes=4),
        recipe=tiny_recipe(),
        data=TINY_DATA,
    )
    RUNS.start(run, request)
    assert isinstance(request.architecture, Architecture)
    weights = build(request.architecture, seed=0).state_dict()
    write_tensors(run / "weights.safetensors", weights)

    def read_weights(path: Path) -> None:
        (run / "weights.safetensors").write_bytes(path.read_bytes())
        load_network(run)

    whole = (run / "weights.safetensors").read_bytes()
    yield Subject("weights.safetensors", whole, read_weights)


def changed_inside(content: bytes, generator: np.random.Generator) -> bytes:
    """Return JSON in which some values of the tree are others, of whatever type, or are missing."""
    values = json.loads(content)
    for _ in range(int(generator.integers(1, 4))):
        place = values
        while place:
            keys = list(place) if isinstance(place, dict) else range(len(place))
            key = keys[generator.integers(len(keys))]
            if isinstance(place[key], dict | list) and generator.random() < 0.8:
                place = place[key]
                continue
            if generator.random() < 0.2:
                del place[key]
            else:
                place[key] = copy.deepcopy(ODD[generator.integers(len(ODD))])
            break
    return json.dumps(values).encode()


def damaged(content: bytes, generator: np.random.Generator) -> bytes:
    """Return the content with some damage: bytes, pieces, numbers or structure."""
    if content[:1] == b"{" and generator.random() < 0.7:
        return changed_inside(content, generator)
    size = max(1, len(content))
    begin, end = sorted(int(place) for place in generator.integers(0, size + 1, 2))
    # Most of a file is values; half of the damage goes to what surrounds them.
    if generator.random() < 0.5:
        begin = min(begin, int(generator.integers(0, min(size, 400))))
    piece = content[begin:end]
    match int(generator.integers(0, 9)):
        case 0:
            return content[:begin]
        case 1:
            return content[:begin] + content[end:]
        case 2:
            return content[:end] + piece[:5_000] * 3 + content[end:]
        case 3:
            return content[:begin] + bytes(min(64, len(piece))) + content[begin + 64 :]
        case 4:
            digits = b"9" * int(generator.choice([1, 10, 30, 5_000]))
            places = [place for place, byte in enumerate(content) if byte in b"123456789"] or [0]
            place = int(generator.choice(places))
            return content[:place] + digits + content[place + 1 :]
        case 5:
            words = [b"NaN", b"-1", b"null", b"[]", b"{}", b'"\\ud800"', b"1e999", b"[" * 100_000]
            return content[:begin] + words[generator.integers(len(words))] + content[begin + 1 :]
        case _:
            bytes_ = bytearray(content)
            for place in generator.integers(0, size, int(generator.integers(1, 8))):
                place = place if generator.random() < 0.5 else place % min(size, 400)
                bytes_[place : place + 1] = bytes([int(generator.integers(256))])
            return bytes(bytes_)


@pytest.fixture
def bounded_memory() -> Iterator[None]:
    """Lets this process take so much more memory and no more."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + MOST_BYTES, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def try_all(subject: Subject, count: int, folder: Path) -> None:
    """Reads damaged copies of a file; an error that is not ours, or a warning, fails the test."""
    for seed in range(count):
        content = damaged(subject.content, np.random.default_rng(seed))
        path = folder / str(seed) / subject.name
        path.parent.mkdir()
        path.write_bytes(content)
        begun = time.process_time()
        try:
            with warnings.catch_warnings(action="error"):
                subject.read(path)
        except TapetumError as error:
            message = str(error)
            assert 0 < len(message) < 3_200
            assert message.isprintable()
        except BaseException as error:
            raise AssertionError(f"{subject.name}, seed {seed}") from error
        assert time.process_time() - begun < MOST_SECONDS


SUBJECTS = {subject.name: subject for subject in (*images(), *records())}


@pytest.mark.usefixtures("bounded_memory")
@pytest.mark.parametrize("count", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", SUBJECTS)
def test_a_damaged_file_is_read_or_refused(name: str, count: int, tmp_path: Path) -> None:
    """Images, tables, requests and labels: success, or one error of ours."""
    subject = SUBJECTS[name]
    (tmp_path / subject.name).write_bytes(subject.content)
    subject.read(tmp_path / subject.name)
    try_all(subject, count, tmp_path)


@pytest.mark.usefixtures("bounded_memory")
@pytest.mark.parametrize("count", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
def test_a_damaged_package_or_checkpoint_is_read_or_refused(count: int, tmp_path: Path) -> None:
    """Packages, checkpoints and weights: success, or one error of ours."""
    for subject in binaries(tmp_path):
        (tmp_path / subject.name).mkdir()
        try_all(subject, count, tmp_path / subject.name)
