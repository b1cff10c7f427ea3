"""What a user of ``tapetum fit`` sees, from a folder and a budget to a package and its page."""

import json
from pathlib import Path
from typing import Any

import pytest

from scripted_runtime import ScriptedRuntime
from tapetum.jobs.fit_result import Delivery
from tapetum.jobs.match import MatchedNetwork
from tapetum.latency import LatencyTable
from tapetum.latency.lock import timing_lock
from tapetum.latency.runtimes import RUNTIMES
from tapetum.runtime import open_package
from tapetum.search.recipe import SWIFT_SEARCH
from test_cli import photos, run, sentence
from test_latency_table import small_space

__all__ = ["photos"]  # the fixture

SIZE = 32
SPACE = small_space(num_slots=2, num_classes=2)
SHORT = ("--size", SIZE, "--search-epochs", 1, "--epochs", 1, "--batch-size", 2)


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a space and a table of it, measured here."""
    root = tmp_path_factory.mktemp("device")
    SPACE.write(root / "space.json")
    with pytest.MonkeyPatch.context() as monkeypatch:
        script(monkeypatch)
        result = run(
            *("latency", "measure", "--space", root / "space.json", "--size", SIZE),
            *("--networks", 60, "--max-rounds", 3, "--out", root / "table.json"),
        )
    assert result.exit_code == 0, result.output
    return root


def script(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ONNX Runtime run on a made-up clock, so that no test depends on this machine."""
    runtime = ScriptedRuntime(SPACE, monkeypatch)
    monkeypatch.setitem(RUNTIMES, "onnxruntime", runtime)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    script(monkeypatch)


def command(photos: Path, device: Path, out: Path, *options: object) -> tuple[object, ...]:
    """A budget in the middle of what the space spans."""
    fastest, slowest = LatencyTable.read(device / "table.json").range
    asked = {
        "--method": "tf-nas",
        "--target-ms": (fastest + slowest) / 2,
        "--space": device / "space.json",
    }
    asked |= {"--latency": device / "table.json", "--out": out, "--search-recipe": "swift"}
    return ("fit", photos, *(part for pair in asked.items() for part in pair), *SHORT, *options)


@pytest.mark.slow
def test_a_folder_and_a_budget_become_a_package(photos: Path, device: Path, tmp_path: Path) -> None:
    """With controls, a page, and the latency of the package; nothing is done twice."""
    out = tmp_path / "run"
    requested = command(photos, device, out, "--search-recipe", quick_search(device))
    result = run(*requested, "--json")
    assert result.exit_code == 0, result.output
    told = result.stderr
    assert told.index("latency range of this space") < told.index("search, epoch 1")
    facts = json.loads(result.stdout)
    assert facts["timing"]["median_ms"] > 0
    assert facts["command"] == ""
    assert open_package(out / "model.tapetum").manifest.scores is not None
    report = (out / "report.html").read_text()
    shown = ("Comparison", "random architecture, same latency")
    for words in (*shown, "Selected blocks", "estimated again"):
        assert words in report
    assert "Probability of the likeliest block" in report
    assert "Probabilities of" not in report
    assert_latencies_are_everywhere(out, facts, result.stderr + report)
    matched = MatchedNetwork.read(out / "matched.json")
    assert 1 <= len(matched.attempts) <= 2
    assert "already contains a fit" in sentence(run(*requested))
    (out / "result.json").unlink()
    (out / "report.html").unlink()
    before = (out / "network" / "weights.safetensors").stat().st_mtime_ns
    again = run(*requested, "--resume")
    assert again.exit_code == 0, again.output
    assert "package, measured" in again.stdout
    assert (out / "report.html").exists()
    assert (out / "network" / "weights.safetensors").stat().st_mtime_ns == before
    assert "started with another request" in sentence(run(*requested, "--seed", 3, "--resume"))


def assert_latencies_are_everywhere(out: Path, facts: dict[str, Any], told: str) -> None:
    """The three latencies with the sizes they hold for; those of ``tapetum benchmark``, exactly."""
    again = run(*("benchmark", out / "model.tapetum", "--seconds", 10, "--json"),
                *("--target-ms", facts["target_ms"], "--pace-ms", 0))  # fmt: skip
    benchmark = json.loads(again.stdout)
    assert benchmark.pop("keeps_target") == facts["keeps_target"]
    assert benchmark == facts["benchmark"]
    assert (benchmark["calls"]["width_px"], benchmark["calls"]["height_px"]) == (36, 40)
    assert again.exit_code == 0
    assert "the package keeps the budget" in told
    card = open_package(out / "model.tapetum").card
    for words in ("one pass of 32 x 32 px", "preparation of an image of 36 x 40 px",
                  "whole call on an image of 36 x 40 px"):  # fmt: skip
        assert words in card
        assert words in told


def test_a_missed_budget_is_said_and_ends_with_code_1(
    photos: Path, device: Path, tmp_path: Path
) -> None:
    """Also a tenth or more below it is said, which is no failure."""
    out = tmp_path / "run"
    requested = command(photos, device, out, "--search-recipe", quick_search(device))
    requested = (*requested, "--no-controls", "--resume")
    assert run(*requested).exit_code == 0
    result = Delivery.read(out / "result.json")
    measured, pass_ms = result.benchmark, result.timing.median_ms
    rows = ((0.8, 1, "misses the budget of"), (0.99, 0, "keeps the budget of"))
    for share, code, words in (*rows, (2, 1, "stays 50% below the budget of")):
        target = {"target_ms": share * pass_ms}
        changed = measured.model_copy(update=target)
        result.model_copy(update={**target, "benchmark": changed}).write(out / "result.json")
        told = run(*requested)
        assert told.exit_code == code, told.output
        assert words in told.stderr
        assert run(*requested, "--json").exit_code == code
        is_exceeded = share != 0.8
        assert ("the whole call takes" in told.stderr) == is_exceeded
        assert ("--budget-includes call" in told.stderr) == is_exceeded


def test_a_refused_timing_leaves_no_folder(
    photos: Path, device: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same command works, as it is, as soon as the other measurement has ended."""
    requested = command(photos, device, tmp_path / "run")
    monkeypatch.setattr("tapetum.latency.lock.LONGEST_WAIT_S", 0.0)
    with timing_lock():
        assert "another latency measurement is running" in sentence(run(*requested))
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("device_name", ["another processor"])
def test_the_table_of_another_device_is_believed(
    photos: Path, device: Path, tmp_path: Path, device_name: str
) -> None:
    """Nothing is timed here; the command to type there is in answer, report and JSON."""
    table = LatencyTable.read(device / "table.json")
    conditions = table.conditions.model_copy(update={"device": device_name, "threads": 2})
    path = tmp_path / "there.json"
    table.model_copy(update={"conditions": conditions}).write(path)
    out = tmp_path / "run"
    target = f"{sum(table.range) / 2:.3f}"
    requested = (
        *(
            "fit",
            photos,
            "--method",
            "tf-nas",
            "--latency",
            path,
            "--target-ms",
            target,
            "--no-controls",
        ),
        *("--search-recipe", quick_search(tmp_path), "--epochs", 1, "--batch-size", 2),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tapetum.latency.timing.time.perf_counter_ns", refuse_to_time)
        result = run(*requested, "--out", out, "--json")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert facts["timing"] is None
    assert facts["predicted_ms"] <= float(target)
    command = f"tapetum benchmark model.tapetum --target-ms {float(target):g} --threads 2"
    assert facts["command"] == command
    assert command in (out / "report.html").read_text()
    assert command in open_package(out / "model.tapetum").card
    told = run(*requested, "--out", out, "--resume")
    assert f"copy the package to the device and type there: {command}" in told.stderr
    refused = sentence(run(*requested, "--out", tmp_path / "o", "--budget-includes", "call"))
    assert "can only be timed on the device itself" in refused
    refused = sentence(run(*requested, "--out", tmp_path / "other", "--threads", 1))
    assert "--threads is 1, but the latency table was measured with 2" in refused


def quick_search(folder: Path) -> Path:
    """The file of a search recipe of one epoch."""
    path = folder / "search.json"
    SWIFT_SEARCH.model_copy(update={"batch_size": 2, "warmup_epochs": 0, "epochs": 1}).write(path)
    return path


def refuse_to_time() -> int:
    """Stands for the clock where nothing may be timed."""
    raise AssertionError("something was timed")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--target-ms", 0.001), "no network of small takes 0.001 ms"),
        (("--target-ms", "nan"), "must be a number greater than 0"),
        (("--threads", 2), "--threads is 2, but the latency table was measured with 1"),
        (("--batch", 0), "batch"),
        (("--space", "e-nas"), "no space 'e-nas'"),
        (("--latency", "{of_three}"), "it is for 3 classes, not 2"),
    ],
    ids=str,
)
def test_bad_input_gets_one_sentence(
    photos: Path, device: Path, tmp_path: Path, options: tuple[object, ...], words: str
) -> None:
    """Before anything is computed."""
    table = LatencyTable.read(device / "table.json")
    space = small_space(num_slots=2, num_classes=3)
    table.model_copy(update={"space": space}).write(tmp_path / "three.json")
    given = [str(option).format(of_three=tmp_path / "three.json") for option in options]
    assert words in sentence(run(*command(photos, device, tmp_path / "run", *given)))
    assert not (tmp_path / "run").exists()


def test_the_published_search_refuses_boxes(tmp_path: Path) -> None:
    """With what to give instead."""
    refused = run("fit", "digits", "--method", "tf-nas", "--target-ms", 5, "--train-count", 8,
                  "--test-count", 2, "--out", tmp_path / "run")  # fmt: skip
    assert "digit-crops" in sentence(refused)
