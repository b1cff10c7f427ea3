"""A small package for tests, and packages that say something else than what was written."""

import hashlib
import json
import zipfile
from pathlib import Path

import onnx

from tapetum.arch import find_architecture
from tapetum.graph import random_weights, write_graph
from tapetum.runtime import Manifest, write_package

CLASS_NAMES = ("cat", "dog", "owl")
Members = dict[str, bytes]


def tiny_package(
    path: Path, name: str = "dc-net-reduced-integrated", *, boxes: bool = False, size_px: int = 32
) -> Path:
    """A package of random weights, for three classes where the network classifies."""
    architecture = find_architecture(name, num_classes=len(CLASS_NAMES), boxes=boxes)
    class_names = CLASS_NAMES if architecture.classifies else ()
    manifest = Manifest.of(architecture, size_px=size_px, class_names=class_names)
    write_package(
        path, write_graph(architecture, random_weights(architecture, seed=0)), manifest, ""
    )
    return path


def copy_of(model: onnx.ModelProto) -> onnx.ModelProto:
    """A model that may be corrupted."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def members_of(path: Path) -> Members:
    """Name and content of every member."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewrite(path: Path, members: Members, compression: int = zipfile.ZIP_STORED) -> None:
    """Zips other content under the same name."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def with_manifest(members: Members, **changes: object) -> Members:
    """The members with other fields in the manifest."""
    fields = {**json.loads(members["manifest.json"]), **changes}
    return {**members, "manifest.json": json.dumps(fields).encode()}


def with_graph(members: Members, graph: bytes, **changes: object) -> Members:
    """The members with another graph, whose digest the manifest has."""
    digest = hashlib.sha256(graph).hexdigest()
    return with_manifest({**members, "graph.onnx": graph}, graph_sha256=digest, **changes)
