"""``tapetum benchmark`` of several files: how each ran, the scores of the same files, limits."""

import csv
import json
import shutil
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from folders import draw_tree
from packages import CLASSIFIER, DENOISER, JOINT, real
from tapetum.errors import InputError
from tapetum.formats import Settings, write_target
from tapetum.formats.target_onnx import OnnxTarget
from tapetum.jobs import benchmark, evaluate
from tapetum.jobs.benchmarking import BenchmarkRow, _joined, _Limits, _scores
from tapetum.jobs.network_file import NetworkFile, peak_memory_mb
from tapetum.progress import silent
from tapetum.runtime import Package, write_package
from test_cli import run, sentence

MODULE = "tapetum.jobs.benchmarking"
QUICKLY: dict[str, Any] = {"seconds": 0.001, "pace_ms": 0}


def package_at(path: Path, name: str = JOINT, **options: Any) -> Package:
    """A package of random weights for grey images of 32 px, written to a file."""
    boxes = {} if name == DENOISER else {"boxes": False}
    package = real(name, channels=1, size_px=32, **boxes, **options)
    write_package(path, package.graph_bytes, package.manifest, "")
    return package


def write_as(package: Package, path: Path, settings: Settings | None = None) -> Path:
    """A plain graph under any name, as if another format had written it."""
    written = path.with_suffix(".onnx")
    write_target(package, written, OnnxTarget(), settings or Settings(), overwrite=True)
    if path != written:
        shutil.move(written, path)
        shutil.move(f"{written}.json", f"{path}.json")
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a package and a graph of it; one round is timed, and no process starts."""
    monkeypatch.setattr("tapetum.latency.benchmark.NUM_ROUNDS", 1)
    monkeypatch.setattr(f"{MODULE}.peak_memory_mb", lambda files, _: 100.0 * len(files))
    write_as(package_at(tmp_path / "a.tapetum"), tmp_path / "a.onnx")
    return tmp_path


def row(**fields: Any) -> BenchmarkRow:
    """A row of a file."""
    return BenchmarkRow(**{"file": "a", "threads": 1, "size_mb": 1.0, **fields})


def test_scores_are_those_of_evaluate(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the package to 1e-6, and of the exported file to the rounding of its runtime."""
    module = sys.modules["tapetum.evaluation.score"]  # the room offers a function of its name
    monkeypatch.setattr(module, "has_filters", lambda: False)
    data = draw_tree(folder / "images", {str(number): 2 for number in range(10)})
    names = [str(folder / "a.tapetum"), str(folder / "a.onnx")]
    table = benchmark(names, data=data, **QUICKLY)
    wanted = evaluate(names[0], data, threads=1).headline
    for found, tolerance in zip(table.rows, (1e-6, 1e-4), strict=True):
        for field in ("accuracy", "macro_accuracy", "psnr_db", "ssim"):
            assert getattr(found, field) == pytest.approx(getattr(wanted, field), abs=tolerance)
        assert found.num_images == wanted.num_images


def test_a_row_says_how_the_file_ran(folder: Path) -> None:
    """Size on disk, size of the images, precision, runtime, provider, peak and clock."""
    names = [str(folder / "a.tapetum"), str(folder / "a.onnx")]
    for name, found in zip(names, benchmark(names, **QUICKLY).rows, strict=True):
        assert found.file == name
        assert found.size_mb == Path(name).stat().st_size / 1e6
        assert (found.width_px, found.precision, found.provider) == (32, "fp32", "cpu")
        assert found.runtime.startswith("onnxruntime ")
        assert found.images_per_second == pytest.approx(1000 / found.p50_ms)
        assert found.p95_ms >= 0.9 * found.p50_ms
        assert found.peak_share > 0
        assert found.throttling


def test_what_cannot_run_here_has_its_reason(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A runtime that is missing, or a browser; an error only where nothing can be timed."""
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    package = package_at(folder / "b.tapetum", CLASSIFIER)
    lite = str(write_as(package, folder / "b.tflite"))
    page = str(write_as(package, folder / "b.html"))
    table = benchmark([str(folder / "a.tapetum"), lite, page], target_ms=1e9, **QUICKLY)
    assert [bool(one.p50_ms) for one in table.rows] == [True, False, False]
    assert "LiteRT" in table.rows[1].reason
    assert "the page shows its own milliseconds" in table.rows[2].reason
    assert len(table.missed) == 2  # what was not measured keeps no limit
    with pytest.raises(
        InputError, match=r"no file can be timed here: .*b.tflite: .*b.html: a page runs"
    ):
        benchmark([lite, page], **QUICKLY)


def test_a_graph_without_its_description_says_what_scores_need(folder: Path) -> None:
    """The file that the export wrote beside it; an architecture never had one."""
    alone = folder / "alone.onnx"
    alone.write_bytes((folder / "a.onnx").read_bytes())
    files = [NetworkFile(name) for name in (str(alone), "unet-s")]
    found, remarks = _scores(files, folder, silent)
    assert not found
    assert remarks[0].endswith(
        f"not known; if 'tapetum export' wrote it, keep {alone}.json beside it"
    )
    assert remarks[1].endswith("not known")


def test_a_file_belongs_to_its_description(tmp_path: Path) -> None:
    """A changed file, a missing description and a missing file are refused by name."""
    path = write_as(package_at(tmp_path / "a.tapetum"), tmp_path / "a.xml")
    path.write_bytes(path.read_bytes() + b" ")
    path.with_suffix(".bin").write_bytes(b"")
    for words, remove in (
        ("describes another file than", tmp_path / "a.xml.json"),
        ("there is no .*a.xml.json", path),
        ("there is no .*a.xml; check the path", path.with_suffix(".bin")),
    ):
        with pytest.raises(InputError, match=words):
            benchmark([str(path)], **QUICKLY)
        remove.unlink()


def test_parts_are_summed(tmp_path: Path) -> None:
    """Sizes and latencies; the label is of the first that classifies, the image of a denoiser."""
    first = row(file="c", accuracy=0.5, p50_ms=1.0, p95_ms=2.0, images_per_second=1000.0)
    second = row(file="d", psnr_db=30.0, ssim=0.9, p50_ms=3.0, p95_ms=4.0, images_per_second=250.0)
    package_at(tmp_path / "a.tapetum")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{MODULE}.peak_memory_mb", lambda *_: 7.0)
        found = _joined([first, second], [], 1)
    assert (found.file, found.size_mb, found.accuracy, found.psnr_db) == ("c + d", 2.0, 0.5, 30.0)
    assert (found.p50_ms, found.p95_ms, found.images_per_second) == (4.0, 6.0, 200.0)
    failed = _joined([first, row(file="d", reason="no runtime")], [], 1)
    assert (failed.reason, failed.p50_ms) == ("d: no runtime", None)


@pytest.mark.parametrize(
    ("fields", "limits", "missed"),
    [
        ({"p50_ms": 8.16}, (8.0, None, None), ""),
        ({"p50_ms": 8.17}, (8.0, None, None), "the latency is 8.17 ms, not at most 8 ms"),
        ({"psnr_db": 28.0}, (None, 28.0, None), ""),
        ({"psnr_db": 27.99}, (None, 28.0, None), "the PSNR is 27.99 dB, not at least 28 dB"),
        ({"accuracy": 0.8, "macro_accuracy": 0.9}, (None, None, 90.0), ""),
        (
            {"accuracy": 0.95, "macro_accuracy": 0.89},
            (None, None, 90.0),
            "the macro accuracy is 89 %, not at least 90 %",
        ),
        ({}, (None, None, 90.0), "the macro accuracy was not measured, and a limit was given"),
        ({}, (None, None, None), ""),
    ],
)
def test_limits(fields: dict[str, float], limits: Any, missed: str) -> None:
    """What is at a limit is kept, a latency up to 2 % above it; what is not known is missed."""
    told = list(_Limits(*limits).missed(row(**fields)))
    assert told == ([f"a with 1 thread(s): {missed}"] if missed else [])


def test_every_form_has_the_same_rows(folder: Path) -> None:
    """CSV and JSON have all fields; a missed limit sets the exit code and is said."""
    package_at(folder / "c.tapetum", CLASSIFIER), package_at(folder / "d.tapetum", DENOISER)
    parts = ("--against", folder / "c.tapetum", folder / "d.tapetum")
    command = ("benchmark", folder / "a.tapetum", "--seconds", 0.001, "--pace-ms", 0, *parts)
    names = [str(folder / "a.tapetum"), f"{folder / 'c.tapetum'} + {folder / 'd.tapetum'}"]
    answered = run(*command, "--max-ms", 1e-6, "--json")
    assert answered.exit_code == 1
    assert "not at most 1e-06 ms" in answered.stderr
    found = json.loads(answered.stdout)
    assert [one["file"] for one in found["rows"]] == names
    assert len(found["missed"]) == 1  # limits are for the files, not for what they replace
    rows = list(csv.DictReader(StringIO(run(*command, "--csv").stdout)))
    assert [one["file"] for one in rows] == names
    assert set(rows[0]) == set(found["rows"][0])
    marked = run(*command, "--markdown").stdout.splitlines()
    assert [len(line.split(" | ")) for line in marked] == [len(marked[0].split(" | "))] * 4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--csv", "--markdown"), "two forms of output"),
        (("--csv", "--image", "9x9"), "for one network alone"),
        (("--min-psnr", 20), "a lowest score needs images"),
        (("--min-accuracy", 0.9), "above 1 and at most 100"),
    ],
)
def test_what_has_no_effect_is_refused(
    options: tuple[object, ...], words: str, tmp_path: Path
) -> None:
    """In one sentence, before anything is timed."""
    package_at(tmp_path / "a.tapetum")
    assert words in sentence(run("benchmark", tmp_path / "a.tapetum", *options))


@pytest.mark.slow
def test_memory_is_that_of_a_process_of_its_own(tmp_path: Path) -> None:
    """What this process holds is not counted; two files take no less than the larger one."""
    held = np.ones(60_000_000)  # 480 MB
    package_at(tmp_path / "a.tapetum")
    one = NetworkFile(str(tmp_path / "a.tapetum"))
    large = NetworkFile("unet-s", size_px=512)
    small_mb, large_mb = (peak_memory_mb([file], 1) or 0.0 for file in (one, large))
    assert 20 < small_mb < 400 < held.nbytes / 1e6
    assert large_mb > small_mb + 20
    assert (peak_memory_mb([one, large], 1) or 0.0) > small_mb
