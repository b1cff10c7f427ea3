"""The ``.tapetum`` package: one file that describes a network and runs where it is copied to.

A package is a zip file with these three members and no other, stored without compression:

``graph.onnx``
    The network as an ONNX graph: inputs ``noisy`` and, for labels of boxes, ``boxes``;
    outputs ``denoised`` and ``logits``, or one of them.  Its metadata repeat as JSON the class
    names (``tapetum.class_names``) and the preparation (``tapetum.preparation``), which the digest
    of the graph covers thereby.
``manifest.json``
    A :class:`Manifest`: inputs and outputs, origin and scores.
``CARD.md``
    The same for people.

Equal content gives equal bytes (no clock is read), so packages can be compared by their digests.
Faults are found when a package is opened, not when the first image arrives.
"""

import hashlib
import json
import struct
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from tapetum import __version__
from tapetum.arch import cost
from tapetum.errors import InputError, PackageError
from tapetum.records import as_path, open_regular, parse_json, require_free_name, write_atomically
from tapetum.runtime.graphcheck import graph_faults, opset_of
from tapetum.runtime.manifest import SCHEMA_VERSION, Manifest
from tapetum.runtime.session import keep_outputs

if TYPE_CHECKING:  # imported where it is used, so that this module loads quickly
    import onnx

__all__ = [
    *("SCHEMA_VERSION", "Manifest", "Package", "open_package", "require_package", "write_package"),
]

_GRAPH, _MANIFEST, _CARD = "graph.onnx", "manifest.json", "CARD.md"
# protobuf ends at 2 GiB; real manifests and cards are far below 4 MiB.
_LIMITS_BYTES = {_GRAPH: 2**31 - 1, _MANIFEST: 2**22, _CARD: 2**22}
_EXPORTED = (".onnx", ".xml", ".param", ".tflite", ".pte")  # for programs other than ours
_METADATA = "tapetum."  # begins the keys of ours in the metadata of a graph
_FAULTS = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, RuntimeError, EOFError),
    *(ArithmeticError, LookupError, ValueError, struct.error),
)


@dataclass(frozen=True)
class Package:
    """An opened and checked package: manifest, serialised ONNX graph, and card in Markdown."""

    manifest: Manifest
    graph_bytes: bytes
    card: str

    def graph_for(self, outputs: Sequence[str]) -> bytes:
        """Return the graph, reduced to the nodes and weights behind some of its outputs."""
        if len(outputs) == self.manifest.denoises + self.manifest.classifies:
            return self.graph_bytes
        import onnx

        smaller = keep_outputs(onnx.load_model_from_string(self.graph_bytes), outputs)
        return bytes(smaller.SerializeToString())


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
        model: The graph, as a message or as bytes; it gets the metadata of a package.
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
    require_free_name(path, overwrite=overwrite, kind=PackageError)
    model = _with_metadata(
        _parse_graph(model, path) if isinstance(model, bytes) else model, manifest
    )
    graph_bytes = model.SerializeToString(deterministic=True)
    digest = hashlib.sha256(graph_bytes).hexdigest()
    filled_in = {"graph_sha256": digest, "graph_opset": opset_of(model)}
    complete = manifest.model_copy(update=filled_in)
    _check_graph(complete, model, path)
    text = complete.to_json().encode()
    members = {_GRAPH: graph_bytes, _MANIFEST: text, _CARD: card.encode()}
    try:
        write_atomically(path, _zipped(members), check=check)
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
    path = as_path(path, "a package")
    require_package(path)
    with _opened(path) as archive:
        manifest = _read_manifest(archive.read(_MANIFEST), path).with_own_estimates()
        _require_size(archive.getinfo(_GRAPH), _most_bytes_of_graph(manifest), path)
        graph_bytes, card_bytes = archive.read(_GRAPH), archive.read(_CARD)
    digest = hashlib.sha256(graph_bytes).hexdigest()
    if digest != manifest.graph_sha256:
        raise PackageError(
            f"the graph in {path} has digest {digest[:12]}... but its manifest says "
            f"{manifest.graph_sha256[:12] or 'nothing'}...",
            "the file was changed after it was exported: copy or export it again",
        )
    model = _parse_graph(graph_bytes, path)
    _check_graph(manifest, model, path)
    _require_metadata(manifest, model, path)
    try:
        card = card_bytes.decode()
    except UnicodeDecodeError as error:
        raise PackageError(f"{_CARD} in {path} is not UTF-8 text", "export it again") from error
    return Package(manifest, graph_bytes, card)


def require_package(path: Path) -> None:
    """Refuse a path at which there is no file, and say what makes a package."""
    if not path.exists() or path.is_dir():
        found = f"{path} is a folder" if path.is_dir() else f"there is no package {path}"
        remedy = "give a .tapetum file; 'tapetum export RUN --out FILE.tapetum' writes one"
        for inside in sorted(path.glob("*.tapetum"))[:1]:  # a fit keeps its package in its folder
            remedy = f"give {inside}"
        raise PackageError(found, remedy)


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


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a package whose members are checked; what is wrong in the file is an error of ours."""
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            _check_members(archive.infolist(), path)
            yield archive
    except _FAULTS as error:
        if path.suffix.lower() in _EXPORTED:
            raise PackageError(
                f"{path} is an exported file, not a .tapetum package",
                "give the package that it was exported from; to run this file itself, use the "
                f"lines in {path.name}.json, which 'tapetum export' printed, too",
            ) from error
        raise PackageError(
            f"{path} is not a package, or it is damaged", "copy the file or export it again"
        ) from error
    except OSError as error:
        reason = error.strerror or error
        raise PackageError(f"cannot read {path}: {reason}", "check the path") from error
    except InputError as error:
        raise PackageError(error.problem, error.remedy) from error


def _check_members(entries: list[zipfile.ZipInfo], path: Path) -> None:
    """Refuse what no package has before anything is read."""
    names = [entry.filename for entry in entries]
    missing = [name for name in _LIMITS_BYTES if name not in names]
    if missing:
        raise PackageError(f"{path} has no {' and no '.join(missing)}", "export the network again")
    for entry in entries:
        if entry.filename not in _LIMITS_BYTES:
            problem = f"{path} has a member {entry.filename[:60]!r}, which no package has"
            raise PackageError(problem, "export the network again")
        if names.count(entry.filename) > 1:
            raise PackageError(f"{path} has two members {entry.filename}", "export it again")
        if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
            raise PackageError(
                f"{entry.filename} in {path} is compressed, and members of a package are stored",
                "pack it with 'zip -0', or export the network again",
            )
        _require_size(entry, _LIMITS_BYTES[entry.filename], path)


def _require_size(entry: zipfile.ZipInfo, most_bytes: int, path: Path) -> None:
    if entry.file_size > most_bytes:
        raise PackageError(
            f"{entry.filename} in {path} has {entry.file_size:,} bytes, and no real package has "
            f"more than {most_bytes:,} here",
            "do not trust the file; export the network again",
        )


def _most_bytes_of_graph(manifest: Manifest) -> int:
    """Return a generous limit: twice the weights of the architecture, and all that is around."""
    return min(_LIMITS_BYTES[_GRAPH], 2**24 + 8 * cost.parameters(manifest.architecture))


def _metadata_of(manifest: Manifest) -> dict[str, str]:
    """Return the facts that the digest of the graph must cover, as JSON by their key."""
    facts = manifest.model_dump(mode="json", include={"class_names", "preparation"})
    return {
        f"{_METADATA}{name}": json.dumps(value, ensure_ascii=False) for name, value in facts.items()
    }


def _with_metadata(model: "onnx.ModelProto", manifest: Manifest) -> "onnx.ModelProto":
    """Return a copy of a graph with the facts of its manifest."""
    import onnx

    facts = {entry.key: entry.value for entry in model.metadata_props}
    others = {key: value for key, value in facts.items() if not key.startswith(_METADATA)}
    labelled = onnx.ModelProto()
    labelled.CopyFrom(model)
    onnx.helper.set_model_props(labelled, others | _metadata_of(manifest))
    return labelled


def _require_metadata(manifest: Manifest, model: "onnx.ModelProto", path: Path) -> None:
    """Refuse a manifest that says something else than its graph."""
    found = {entry.key: entry.value for entry in model.metadata_props}
    for key, text in _metadata_of(manifest).items():
        source = f"{key} in the graph of {path}"
        try:
            is_same = parse_json(found.get(key, ""), source=source) == json.loads(text)
        except InputError:
            is_same = False
        if not is_same:
            raise PackageError(
                f"{source} is {found.get(key, 'missing')[:200]}, but the manifest says "
                f"{text[:200]}",
                "the file was changed after it was exported: copy or export it again",
            )


def _read_manifest(text: bytes, path: Path) -> Manifest:
    """Return the manifest; other schema versions get a sentence of their own."""
    source = f"{_MANIFEST} in {path}"
    try:
        version = dict(parse_json(text, source=source)).get("schema_version")
    except (ValueError, TypeError, InputError) as error:
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
