"""The ``.tapetum`` package: one file that describes a network and runs where it is copied to.

A package is a zip file with three members, stored without compression:

``graph.onnx``
    The network as an ONNX graph: inputs ``noisy`` and, for labels of boxes, ``boxes``;
    outputs ``denoised`` and ``logits``, or one of them.
``manifest.json``
    A :class:`Manifest`: inputs and outputs, origin and scores.
``CARD.md``
    The same for people.

Equal content gives equal bytes (no clock is read), so packages can be compared by their digests.
Faults are found when a package is opened, not when the first image arrives.
"""

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tapetum import __version__
from tapetum.errors import InputError, PackageError
from tapetum.records import write_atomically
from tapetum.runtime.graphcheck import graph_faults, opset_of
from tapetum.runtime.manifest import SCHEMA_VERSION, Manifest

if TYPE_CHECKING:  # imported where it is used, so that this module loads quickly
    import onnx

__all__ = ["SCHEMA_VERSION", "Manifest", "Package", "open_package", "write_package"]

_GRAPH, _MANIFEST, _CARD = "graph.onnx", "manifest.json", "CARD.md"
# protobuf ends at 2 GiB; real manifests and cards are far below 16 MiB.
_LIMITS_BYTES = {_GRAPH: 2**31 - 1, _MANIFEST: 2**24, _CARD: 2**24}
_MAX_EXPANSION = 100  # weights hardly compress: a higher ratio is a zip bomb


@dataclass(frozen=True)
class Package:
    """An opened and checked package: manifest, serialised ONNX graph, and card in Markdown."""

    manifest: Manifest
    graph_bytes: bytes
    card: str


def write_package(
    path: Path,
    model: "onnx.ModelProto | bytes",
    manifest: Manifest,
    card: str,
    *,
    check: Callable[[Path], None] | None = None,
    overwrite: bool = False,
) -> Manifest:
    """Write a package in one step: readers see the old file or the new one.

    Args:
        path: The file; missing folders are made.
        model: The graph; bytes are kept as they are.
        manifest: The description; digest and operator version are filled in.
        card: The text for people, in Markdown.
        check: Called with the complete file before it gets its name; if it raises, an older file
            stays.
        overwrite: Whether a file of that name may be replaced.

    Returns:
        The manifest as written.

    Raises:
        PackageError: The file exists, cannot be written, or graph and manifest disagree.
    """
    if path.exists() and not (overwrite and path.is_file()):
        remedy = "choose another name" if path.is_dir() else "choose another name, or overwrite it"
        raise PackageError(f"{path} exists already", remedy)
    if isinstance(model, bytes):
        graph_bytes, model = model, _parse_graph(model, path)
    else:
        graph_bytes = model.SerializeToString(deterministic=True)
    digest = hashlib.sha256(graph_bytes).hexdigest()
    filled_in = {"graph_sha256": digest, "graph_opset": opset_of(model)}
    complete = manifest.model_copy(update=filled_in)
    _check_graph(complete, model, path)
    text = complete.to_json().encode()
    members = {_GRAPH: graph_bytes, _MANIFEST: text, _CARD: card.encode()}
    try:
        _write_checked(path, _zipped(members), check)
    except OSError as error:
        raise PackageError(
            f"cannot write {path}: {error.strerror or error}", "check the folder and its free space"
        ) from error
    return complete


def open_package(path: str | Path) -> Package:
    """Read a package and check all of it, without running the graph.

    Example:
        >>> import tapetum
        >>> tapetum.open_package("digits.tapetum").manifest.kind
        'integrated'

    Raises:
        PackageError: Something is missing, damaged, of another version, or does not fit.
    """
    path = Path(path)
    members = _read_members(path)
    manifest = _read_manifest(members[_MANIFEST], path)
    graph_bytes = members[_GRAPH]
    digest = hashlib.sha256(graph_bytes).hexdigest()
    if digest != manifest.graph_sha256:
        raise PackageError(
            f"the graph in {path} has digest {digest[:12]}... but its manifest says "
            f"{manifest.graph_sha256[:12] or 'nothing'}...",
            "the file was changed after it was exported: copy or export it again",
        )
    _check_graph(manifest, _parse_graph(graph_bytes, path), path)
    try:
        card = members[_CARD].decode()
    except UnicodeDecodeError as error:
        raise PackageError(f"{_CARD} in {path} is not UTF-8 text", "export it again") from error
    return Package(manifest, graph_bytes, card)


def _write_checked(path: Path, content: bytes, check: Callable[[Path], None] | None) -> None:
    """Write in a hidden folder next to ``path``, check, and only then move the file to ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        temporary = Path(folder) / path.name
        write_atomically(temporary, content)
        if check is not None:
            check(temporary)
        os.replace(temporary, path)


def _zipped(members: dict[str, bytes]) -> bytes:
    """Return a zip file that depends on its members alone: no clock, no platform."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # Unix, wherever it was written
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


def _read_members(path: Path) -> dict[str, bytes]:
    """Return the content of the three members."""
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(archive.infolist(), path)
            return {name: archive.read(name) for name in _LIMITS_BYTES}
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        problem = f"{path} is not a whole package: {error}"
        raise PackageError(problem, "copy the file or export it again") from error
    except (OSError, RuntimeError) as error:  # a password is a RuntimeError to zipfile
        reason = getattr(error, "strerror", None) or error
        raise PackageError(f"cannot read {path}: {reason}", "check the path") from error


def _check_members(entries: list[zipfile.ZipInfo], path: Path) -> None:
    """Refuse missing, doubled or too large members before anything is unpacked."""
    names = [entry.filename for entry in entries]
    missing = [name for name in _LIMITS_BYTES if name not in names]
    if missing:
        raise PackageError(f"{path} has no {' and no '.join(missing)}", "export the network again")
    for entry in entries:
        limit_bytes = _LIMITS_BYTES.get(entry.filename)
        if limit_bytes is None:
            continue
        if names.count(entry.filename) > 1:
            raise PackageError(f"{path} has two members {entry.filename}", "export it again")
        limit_bytes = min(limit_bytes, _MAX_EXPANSION * max(entry.compress_size, 1))
        if entry.file_size > limit_bytes:
            raise PackageError(
                f"{entry.filename} in {path} would unpack from {entry.compress_size:,} to "
                f"{entry.file_size:,} bytes, which no real package does",
                "do not trust the file; export the network again",
            )


def _read_manifest(text: bytes, path: Path) -> Manifest:
    """Return the manifest; other schema versions get a sentence of their own."""
    source = f"{_MANIFEST} in {path}"
    try:
        version = dict(json.loads(text)).get("schema_version")
    except (ValueError, TypeError, RecursionError) as error:
        raise PackageError(f"{source} is not a JSON object", "export the network again") from error
    if isinstance(version, int) and version < SCHEMA_VERSION:
        raise PackageError(
            f"{path} has schema version {version}, of an earlier Tapetum, and this one reads "
            f"version {SCHEMA_VERSION}",
            "export its run again with this version",
        )
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise PackageError(
            f"{path} has schema version {version}, and Tapetum {__version__} reads up to "
            f"{SCHEMA_VERSION}",
            "update Tapetum: git pull in its clone, then pip install .",
        )
    try:
        return Manifest.from_json(text, source=source)
    except InputError as error:
        raise PackageError(error.problem, "export the network again") from error


def _parse_graph(graph_bytes: bytes, path: Path) -> "onnx.ModelProto":
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        return onnx.load_model_from_string(graph_bytes)
    except DecodeError as error:
        problem = f"{_GRAPH} in {path} is not an ONNX graph"
        raise PackageError(problem, "export the network again") from error


def _check_graph(manifest: Manifest, model: "onnx.ModelProto", path: Path) -> None:
    """Refuse a graph that does not do what the manifest says, all faults at once."""
    faults = graph_faults(manifest, model)
    if faults:
        problem = f"the graph of {path} does not fit: {'; '.join(faults)}"
        raise PackageError(problem, "export the network again")
