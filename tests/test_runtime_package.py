"""Packages: what is written is read back, and what does not fit is refused with a sentence."""

import ast
import json
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

import tapetum.graph
from packages import named_with_boxes
from tapetum.arch.zoo import find_architecture
from tapetum.errors import InputError, PackageError
from tapetum.formats.targets import TARGETS
from tapetum.graph import random_weights, write_graph
from tapetum.runtime import graphcheck
from tapetum.runtime.package import Manifest, open_package, write_package
from tapetum.scores import ScoreRow, Scores
from tiny_package import CLASS_NAMES, copy_of, members_of, rewrite, with_graph, with_manifest

ARCHITECTURE = find_architecture("dc-net-reduced-integrated", num_classes=3, boxes=True)
ROW = ScoreRow(title="mean", noise=None, num_images=4, psnr_db=33.9)
SCORES = Scores(protocol="benchmark", seed=0, source="four images", rows=(ROW,), mean=ROW)


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    """A real graph; tests that change it copy it first."""
    return write_graph(ARCHITECTURE, random_weights(ARCHITECTURE, seed=0))


@pytest.fixture
def manifest() -> Manifest:
    """A manifest that fits the graph."""
    return Manifest.of(ARCHITECTURE, size_px=96, class_names=CLASS_NAMES, scores=SCORES)


@pytest.fixture
def path(tmp_path: Path, model: onnx.ModelProto, manifest: Manifest) -> Path:
    """A good package."""
    write_package(tmp_path / "good.tapetum", model, manifest, "# A card, naïve\n")
    return tmp_path / "good.tapetum"


def test_what_is_written_is_read_back(path: Path, model: onnx.ModelProto) -> None:
    """Manifest, graph and card survive the file."""
    package = open_package(path)
    assert package.card == "# A card, naïve\n"
    assert onnx.load_model_from_string(package.graph_bytes).graph == model.graph
    assert package.manifest.class_names == CLASS_NAMES
    assert package.manifest.architecture == ARCHITECTURE
    assert package.manifest.scores == SCORES
    assert package.manifest.graph_opset == model.opset_import[0].version


def test_equal_content_gives_equal_bytes(
    path: Path, model: onnx.ModelProto, manifest: Manifest
) -> None:
    """No clock and no name enters the file, so that packages compare by digest."""
    other = path.parent / "folder" / "other.tapetum"
    write_package(other, model, manifest, "# A card, naïve\n")
    assert other.read_bytes() == path.read_bytes()


def test_an_older_package_is_not_overwritten_unasked(
    path: Path, model: onnx.ModelProto, manifest: Manifest
) -> None:
    """An existing file stays as it is, unless overwriting is asked for."""
    before = path.read_bytes()
    with pytest.raises(PackageError, match="exists already; choose another name"):
        write_package(path, model, manifest, "new card")
    assert path.read_bytes() == before
    write_package(path, model, manifest, "new card", overwrite=True)
    assert open_package(path).card == "new card"


@pytest.mark.parametrize("is_new", [True, False])
def test_a_package_that_fails_its_check_gets_no_name(
    is_new: bool, path: Path, model: onnx.ModelProto, manifest: Manifest
) -> None:
    """The check sees the whole file; where it raises, the folder is as it was before."""
    target = path.with_name("new.tapetum") if is_new else path
    before = {entry: entry.read_bytes() for entry in path.parent.iterdir()}
    seen: list[str] = []

    def check(beside: Path) -> None:
        assert not (is_new and target.exists())
        seen.append(open_package(beside).card)
        raise PackageError("it does not work")

    with pytest.raises(PackageError, match="does not work"):
        write_package(target, model, manifest, "new card", check=check, overwrite=True)
    assert seen == ["new card"]
    assert {entry: entry.read_bytes() for entry in path.parent.iterdir()} == before


def test_bytes_and_message_give_the_same_package(
    tmp_path: Path, model: onnx.ModelProto, manifest: Manifest
) -> None:
    """What was measured as bytes is what is shipped, beside metadata that do not compute."""
    for name, given in (("bytes", model.SerializeToString()), ("message", model)):
        write_package(tmp_path / name, given, manifest, "")
    assert (tmp_path / "bytes").read_bytes() == (tmp_path / "message").read_bytes()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["bytes", "message"]


def test_the_digest_covers_names_and_preparation(path: Path) -> None:
    """The graph repeats them in JSON, so that packages of one digest do the same."""
    package = open_package(path)
    metadata = onnx.load_model_from_string(package.graph_bytes).metadata_props
    facts = {entry.key: json.loads(entry.value) for entry in metadata}
    assert facts == {
        "tapetum.class_names": list(CLASS_NAMES),
        "tapetum.preparation": package.manifest.preparation.model_dump(mode="json"),
    }


@pytest.mark.parametrize(
    "change", [{"class_names": ["dog", "cat", "owl"]}, {"preparation": {"background": 0.25}}]
)
def test_other_names_under_the_same_digest_are_refused(path: Path, change: dict[str, Any]) -> None:
    """A manifest whose classes were swapped contradicts its graph."""
    before = json.loads(members_of(path)["manifest.json"])
    (field, value), *_ = change.items()
    value = before[field] | value if isinstance(value, dict) else value
    rewrite(path, with_manifest(members_of(path), **{field: value}))
    with pytest.raises(PackageError, match=f"tapetum.{field} in the graph.*but the manifest says"):
        open_package(path)


def test_a_folder_is_never_overwritten(
    tmp_path: Path, model: onnx.ModelProto, manifest: Manifest
) -> None:
    """A folder in the way is refused even where overwriting is asked for."""
    with pytest.raises(PackageError, match="is a folder; give the name of a file"):
        write_package(tmp_path, model, manifest, "", overwrite=True)


def test_a_graph_that_does_not_fit_is_not_written(tmp_path: Path, model: onnx.ModelProto) -> None:
    """What could not be opened is not written in the first place."""
    colour = Manifest.of(
        find_architecture("dc-net-reduced-integrated", channels=3, num_classes=3),
        size_px=96,
        class_names=CLASS_NAMES,
    )
    with pytest.raises(PackageError, match=r"'noisy' is float \(any, 1, any, any\) instead of"):
        write_package(tmp_path / "bad.tapetum", model, colour, "")
    assert list(tmp_path.iterdir()) == []


def test_class_names_must_fit_the_architecture() -> None:
    """Too few names, and two of the same, are faults of the manifest."""
    with pytest.raises(InputError, match="2 class names for 3 classes"):
        Manifest.of(ARCHITECTURE, size_px=96, class_names=("a", "b"))
    with pytest.raises(InputError, match="two classes have the same name"):
        Manifest.of(ARCHITECTURE, size_px=96, class_names=("a", "b", "a"))


@pytest.mark.parametrize(("channels", "colour"), [(1, "grey"), (3, "rgb"), (4, "other")], ids=str)
def test_colour_follows_the_channels(channels: int, colour: str) -> None:
    """One channel is grey, three are RGB, and nothing is guessed for other numbers."""
    manifest = Manifest.of(find_architecture("unet-s", channels=channels), size_px=64)
    assert (manifest.colour, manifest.labels, manifest.kind) == (colour, "none", "denoiser")
    assert manifest.denoises
    assert not manifest.classifies


@pytest.mark.parametrize("name", ["graph.onnx", "manifest.json", "CARD.md"])
def test_a_missing_member_is_named(path: Path, name: str) -> None:
    """The sentence says which member is missing."""
    members = members_of(path)
    del members[name]
    rewrite(path, members)
    with pytest.raises(PackageError, match=f"has no {name}; export the network again"):
        open_package(path)


def test_a_newer_schema_asks_for_an_update(path: Path) -> None:
    """A package of the future is told apart from a wrong one, even with unknown fields."""
    rewrite(path, with_manifest(members_of(path), schema_version=4, unheard_of=1))
    with pytest.raises(PackageError, match=r"schema version 4.*update Tapetum"):
        open_package(path)


def test_an_older_schema_asks_for_an_export(path: Path) -> None:
    """One sentence says what to do, not a list of fields that have other names today."""
    rewrite(path, with_manifest(members_of(path), schema_version=2, names=["a"]))
    with pytest.raises(PackageError, match=r"schema version 2.*; export its run again") as caught:
        open_package(path)
    assert "names" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"graph_sha256": "0" * 64}, "has digest .* but its manifest says 000000000000"),
        ({"colour": "rgb"}, "colour is 'rgb' but the architecture says 'grey'"),
        ({"labels": "whole"}, "labels is 'whole' but the architecture says 'boxes'"),
        ({"class_names": ["a"]}, "1 class names for 3 classes"),
        ({"value_range": [0, 255]}, r"images must be in \[0, 1\]"),
        ({"tile_halo_px": 13}, "not a multiple of the stride"),
        ({"bytes_per_pixel": 0}, "greater than 0"),
        ({"architecture": None}, "architecture"),
        ({"graph_opset": 7}, "but the manifest says 7"),
        ({"unheard_of": 1}, "unheard_of: Extra inputs"),
        ({"class_names": ["a", "b\nc", "\x1b[31m"]}, "cannot be printed.*cannot be printed"),
        ({"class_names": ["a", "b", "c" * 300]}, "too long"),
        ({"size_px": 2**20}, "less than or equal to 16384"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_manifest_that_does_not_fit_is_refused(
    path: Path, changes: dict[str, object], fault: str
) -> None:
    """Each field that contradicts the architecture or the graph is named."""
    rewrite(path, with_manifest(members_of(path), **changes))
    with pytest.raises(PackageError, match=fault):
        open_package(path)


@pytest.mark.parametrize("text", [b"{", b"\xff\xfe", b"[1, 2]", b"[" * 100_000, b"null", b"{}"])
def test_a_manifest_that_is_no_manifest_is_refused(path: Path, text: bytes) -> None:
    """Whatever stands in the manifest, the answer is a sentence."""
    rewrite(path, {**members_of(path), "manifest.json": text})
    with pytest.raises(PackageError, match=r"manifest\.json in .*; export the network again"):
        open_package(path)


def _newer_operators(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 9999


def _foreign_operators(model: onnx.ModelProto) -> None:
    model.opset_import.add(domain="acme.secret", version=1)


def _another_input(model: onnx.ModelProto) -> None:
    model.graph.input.add().CopyFrom(
        onnx.helper.make_tensor_value_info("strength", TensorProto.FLOAT, [1])
    )


def _fewer_classes(model: onnx.ModelProto) -> None:
    next(v for v in model.graph.output if v.name == "logits").type.tensor_type.shape.dim[
        -1
    ].dim_value = 2


def _whole_numbers(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64


def _unknown_type(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.elem_type = 57


def _outside_weights(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")


def _unknown_operator(model: onnx.ModelProto) -> None:
    model.graph.node[0].op_type = "Teleport"


def _from_file(tensor: onnx.TensorProto) -> None:
    tensor.data_type = TensorProto.FLOAT
    tensor.dims.append(1)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="notes.txt")


def _reader() -> onnx.NodeProto:
    node = onnx.helper.make_node("Constant", [], ["text"])
    attribute = node.attribute.add(name="value", type=onnx.AttributeProto.TENSOR)
    _from_file(attribute.t)
    return node


def _add_function(model: onnx.ModelProto, name: str, nodes: list[onnx.NodeProto]) -> None:
    imports = [onnx.helper.make_opsetid("", 18), onnx.helper.make_opsetid("mine", 1)]
    function = onnx.helper.make_function("mine", name, ["x"], ["y"], nodes, imports)
    model.functions.append(function)


def _call(model: onnx.ModelProto, name: str) -> None:
    model.opset_import.add(domain="mine", version=1)
    node = onnx.helper.make_node(name, ["noisy"], ["of_function"], domain="mine")
    model.graph.node.append(node)


def _file_reader_in_a_function(model: onnx.ModelProto) -> None:
    nodes = [_reader(), onnx.helper.make_node("Add", ["x", "text"], ["y"])]
    _add_function(model, "Read", nodes)
    _call(model, "Read")


def _nested_functions(model: onnx.ModelProto) -> None:
    make = partial(onnx.helper.make_node, domain="mine")
    for depth in range(25):  # 2^25 calls of the last one
        called = f"F{depth + 1}"
        _add_function(model, f"F{depth}", [make(called, ["x"], ["z"]), make(called, ["z"], ["y"])])
    _add_function(model, "F25", [onnx.helper.make_node("Relu", ["x"], ["y"])])
    _call(model, "F0")


def _unused_function(model: onnx.ModelProto) -> None:
    _add_function(model, "Idle", [onnx.helper.make_node("Relu", ["x"], ["y"])])


def _loop(model: onnx.ModelProto) -> None:
    flag = onnx.helper.make_tensor_value_info("go_on", TensorProto.BOOL, [])
    count = onnx.helper.make_tensor_value_info("count", TensorProto.INT64, [])
    body = onnx.helper.make_graph([], "endless", [count, flag], [flag])
    model.graph.node.append(onnx.helper.make_node("Loop", ["", ""], [], body=body))


def _inner_graph(model: onnx.ModelProto) -> None:
    inner = onnx.helper.make_graph([], "inner", [], [])
    model.graph.node[0].attribute.append(onnx.helper.make_attribute("body", inner))


def _outside_attribute(model: onnx.ModelProto) -> None:
    _from_file(model.graph.node[0].attribute.add(name="value", type=onnx.AttributeProto.TENSOR).t)


def _outside_sparse_weights(model: onnx.ModelProto) -> None:
    _from_file(model.graph.sparse_initializer.add(dims=[1]).values)


def _training_graph(model: onnx.ModelProto) -> None:
    model.training_info.add().algorithm.name = "training"


def _many_operators(model: onnx.ModelProto) -> None:
    for index in range(7):
        model.graph.node[index].op_type = f"Odd{index}"


@pytest.mark.parametrize(
    ("corrupt", "fault"),
    [
        (_newer_operators, "operator set 9999 is unknown here.*--upgrade onnx onnxruntime"),
        (_foreign_operators, "operators of 'acme.secret', which are unknown"),
        (_another_input, "inputs are boxes, noisy, strength instead of boxes, noisy"),
        (_fewer_classes, r"'logits' is float \(any, any, 2\) instead of float \(any, any, 3\)"),
        (_whole_numbers, "is int64"),
        (_unknown_type, "is of unknown type 57"),
        (_outside_weights, "weights point to a file outside"),
        (_unknown_operator, r"operators that no package uses \(1: 'Teleport'\)"),
        (_loop, r"operators that no package uses \(1: 'Loop'\); a node of it holds a graph"),
        (_file_reader_in_a_function, "'mine.Read'.*functions of its own"),
        (_nested_functions, "'mine.F0'.*functions of its own"),
        (_unused_function, "it holds functions of its own"),
        (_inner_graph, "a node of it holds a graph or a tensor"),
        (_outside_attribute, "a node of it holds a graph or a tensor"),
        (_outside_sparse_weights, "sparse weights"),
        (_training_graph, "graphs for training"),
        (_many_operators, r"\(7: 'Odd0', 'Odd1', 'Odd2', 'Odd3', 'Odd4'\); export"),
    ],
)
def test_a_graph_that_does_not_fit_is_refused(
    path: Path, model: onnx.ModelProto, corrupt: Callable[[onnx.ModelProto], None], fault: str
) -> None:
    """Each way in which a graph can disagree with its manifest is named, digest or not."""
    corrupted = copy_of(model)
    corrupt(corrupted)
    opset = corrupted.opset_import[0].version
    rewrite(path, with_graph(members_of(path), corrupted.SerializeToString(), graph_opset=opset))
    with pytest.raises(PackageError, match=rf"(?s)does not fit: .*{fault}"):
        open_package(path)


@pytest.mark.parametrize(("name", "boxes"), named_with_boxes())
def test_every_named_architecture_opens(name: str, boxes: bool, tmp_path: Path) -> None:
    """What is refused in the graphs of others is in none of ours."""
    architecture = find_architecture(name, num_classes=3, boxes=boxes)
    class_names = CLASS_NAMES if architecture.classifier else ()
    graph = write_graph(architecture, random_weights(architecture, seed=0))
    manifest = Manifest.of(architecture, size_px=96, class_names=class_names)
    write_package(tmp_path / "named.tapetum", graph, manifest, "")
    assert open_package(tmp_path / "named.tapetum").manifest.architecture == architecture


def test_the_allowed_operators_are_those_of_our_writer() -> None:
    """Every operator named in the source of the writer is allowed; beyond these, only QDQ."""
    written = {
        node.value
        for path in Path(tapetum.graph.__file__).parent.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and onnx.defs.has(node.value)
    }
    assert written | {"QuantizeLinear", "DequantizeLinear"} == graphcheck._OPERATORS


def test_a_graph_that_is_no_graph_is_refused(path: Path) -> None:
    """Bytes that only have the right digest are no graph."""
    rewrite(path, with_graph(members_of(path), b"no graph at all"))
    with pytest.raises(PackageError, match=r"graph\.onnx in .* is not an ONNX graph"):
        open_package(path)


def test_names_that_are_no_text_are_refused(path: Path, model: onnx.ModelProto) -> None:
    """A byte changed inside the name of a value, under a fitting digest, is still refused."""
    content = model.SerializeToString()
    for name in (b"denoised", b"Conv", b"height"):
        corrupted = content.replace(name, b"\xbb" + name[1:])
        rewrite(path, with_graph(members_of(path), corrupted))
        with pytest.raises(PackageError, match="does not fit"):
            open_package(path)


def test_a_compressed_member_is_refused_unread(path: Path) -> None:
    """Ours are stored: what might unpack to a thousand times its size is never unpacked."""
    members = {**members_of(path), "CARD.md": bytes(10_000_000)}
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2):
        rewrite(path, members, method)
        with pytest.raises(PackageError, match=r"is compressed.*zip -0"):
            open_package(path)


def test_a_member_above_its_limit_is_refused(path: Path) -> None:
    """A manifest of 17 MiB, and a graph of far more weights than the architecture has."""
    members = members_of(path)
    larger = members["graph.onnx"] + bytes(20 * 2**20)
    for name, content in (("manifest.json", bytes(17 * 2**20)), ("graph.onnx", larger)):
        rewrite(path, {**members, name: content})
        with pytest.raises(PackageError, match=rf"{name} in .* no real package has more than"):
            open_package(path)


def test_a_package_zipped_anew_still_opens(path: Path) -> None:
    """Someone may unpack a package and store it again."""
    before = open_package(path)
    rewrite(path, dict(reversed(members_of(path).items())))
    assert open_package(path) == before


def test_a_member_that_no_package_has_is_refused(path: Path) -> None:
    """What we do not read may not travel in a package either."""
    rewrite(path, {**members_of(path), "notes\x1b.txt": b"mine"})
    with pytest.raises(PackageError, match=r"has a member 'notes\\x1b\.txt'"):
        open_package(path)


def test_estimates_of_a_file_are_not_believed(path: Path) -> None:
    """A halo of 0 would give wrong pixels, and a memory of a byte would fill that of the device."""
    before = open_package(path)
    rewrite(path, with_manifest(members_of(path), tile_halo_px=0, bytes_per_pixel=1e-9))
    assert open_package(path) == before


def test_two_members_of_one_name_are_refused(path: Path) -> None:
    """Which of two graphs is meant cannot be known."""
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("graph.onnx", b"another")
    with pytest.raises(PackageError, match=r"two members graph\.onnx"):
        open_package(path)


def test_a_card_that_is_no_text_is_refused(path: Path) -> None:
    """The card is UTF-8, or the package is not whole."""
    rewrite(path, {**members_of(path), "CARD.md": b"\xff\xff"})
    with pytest.raises(PackageError, match=r"CARD\.md in .* is not UTF-8"):
        open_package(path)


def test_a_file_that_is_no_zip_is_refused(tmp_path: Path) -> None:
    """Nothing, a folder, an empty file and a text each get their sentence."""
    with pytest.raises(PackageError, match=r"there is no package .*none\.tapetum; give a"):
        open_package(tmp_path / "none.tapetum")
    with pytest.raises(PackageError, match="is a folder; give a"):
        open_package(tmp_path)
    for content in (b"", b"just a text"):
        (tmp_path / "text.tapetum").write_bytes(content)
        with pytest.raises(PackageError, match="is not a package, or it is damaged; copy"):
            open_package(tmp_path / "text.tapetum")
    with pytest.raises(PackageError, match=r"is a folder; give .*text\.tapetum"):
        open_package(tmp_path)


def test_an_exported_file_is_told_from_a_damaged_package(tmp_path: Path) -> None:
    """By the ending of each format that other programs run; the message says what runs it."""
    for ending in (target.endings[0] for target in TARGETS if target.name != "html"):
        path = tmp_path / f"a{ending.upper()}"
        path.write_bytes(b"no zip")
        with pytest.raises(PackageError, match="is an exported file") as caught:
            open_package(path)
        assert f"use the lines in {path.name}.json" in caught.value.remedy


def test_damage_never_goes_through(path: Path) -> None:
    """With a byte changed or the end cut off, a package is refused or reads as before."""
    good, whole = open_package(path), path.read_bytes()
    generator = np.random.default_rng(0)
    # Most of the file is weights; half of the changes go to what surrounds them.
    frame = np.r_[0:200, len(whole) - 9000 : len(whole)]
    places = np.r_[generator.integers(len(whole), size=60), generator.choice(frame, 60)]
    for place in places.tolist():
        damaged = bytearray(whole)
        damaged[place] ^= int(generator.integers(1, 256))
        cut = whole[:place]
        for content in (bytes(damaged), cut):
            path.write_bytes(content)
            try:
                package = open_package(path)
            except PackageError:
                continue
            assert package == good
