"""Tests of ``tapetum latency`` and ``tapetum benchmark``, most of them on a scripted clock."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from typer.testing import Result

from scripted_runtime import ScriptedRuntime
from tapetum.arch import find_architecture
from tapetum.cli.benchmark import verdict
from tapetum.graph import random_weights, write_graph
from tapetum.latency import Benchmark, Timing
from tapetum.latency.runtimes import RUNTIMES, OnnxRuntime
from tapetum.latency.timing import ForwardPass, Round
from tapetum.runtime.package import Manifest, write_package
from test_cli import run, sentence
from test_latency_table import small_space

NETWORKS, SIZE = 60, 32
MEASURED = ("batch", "threads", "networks", "minutes")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A space as a user may write it, a table of it, and a network of it."""
    root = tmp_path_factory.mktemp("latency")
    space = small_space(num_slots=2)
    space.write(root / "space.json")
    architecture = space.architecture(space.random(np.random.default_rng(0)))
    architecture.write(root / "network.json")
    with pytest.MonkeyPatch.context() as monkeypatch:
        script(monkeypatch)
        result = measure(root, "table.json")
    assert result.exit_code == 0, result.output
    return root


def script(monkeypatch: pytest.MonkeyPatch, *, factor: float = 1) -> None:
    """Let ONNX Runtime run on a made-up clock, so that no test depends on this machine."""
    runtime = ScriptedRuntime(small_space(num_slots=2), monkeypatch, factor=factor)
    monkeypatch.setitem(RUNTIMES, "onnxruntime", runtime)  # type: ignore[arg-type]


def measure(root: Path, out: str, *options: object) -> Result:
    """Measures a small table."""
    return run(
        *("latency", "measure", "--space", root / "space.json", "--size", SIZE),
        *("--networks", NETWORKS, "--out", root / out, *options),
    )


@pytest.mark.parametrize(
    ("space", "option", "value"),
    [
        ("fast", "--max-rounds", 3),
        ("fast", "--operators", 4),
        ("fast", "--python", "python3.9"),  # there is no device with another Python
        ("dc-nas", "--ssh-option", "-oPort=2222"),
        ("dc-nas", "--target-ms", 4),
        ("my.json", "--operators", 4),  # the file has its own
        ("my.json", "--channels", 1),
        ("my.json", "--classes", 5),
        ("my.json", "--decoder", "mbconv"),
    ],
)
def test_an_option_without_an_effect_is_refused(
    tmp_path: Path, space: str, option: str, value: object
) -> None:
    """Nothing is measured."""
    out = tmp_path / "table.json"
    result = run("latency", "measure", "--space", space, option, value, "--out", out)
    assert result.exit_code == 2
    assert f"no {option}" in sentence(result)
    assert not out.exists()


@pytest.mark.parametrize("command", ["measure", "range", "predict", "check"])
def test_help_has_an_example_and_json(command: str) -> None:
    """Whoever asks gets something to type."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", run("latency", command, "--help").stdout)
    assert f"tapetum latency {command}" in text
    assert "--json" in text


def test_the_range_holds_the_prediction(folder: Path) -> None:
    """A network of the space takes what the space spans, under conditions that are told."""
    spans = json.loads(run("latency", "range", folder / "table.json", "--json").stdout)
    found = json.loads(
        run("latency", "predict", folder / "table.json", folder / "network.json", "--json").stdout
    )
    assert spans["fastest_ms"] <= found["median_ms"] <= spans["slowest_ms"]
    assert found["low_ms"] < found["median_ms"] < found["high_ms"]
    assert found["conditions"]["runtime"] == "onnxruntime"
    shown = run("latency", "range", folder / "table.json").stdout
    assert "latencies of this space" in shown
    assert "held-out error" in shown


def test_a_check_sets_three_errors_side_by_side(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Table, multiply-adds and repeating, in words and in JSON."""
    script(monkeypatch)
    result = run("latency", "check", folder / "table.json", "--networks", 4)
    assert result.exit_code == 0, result.output
    for name in ("the table", "multiply-adds alone", "measuring again"):
        assert name in result.stdout
    assert "of the measurements lie within" in result.stderr
    found = json.loads(
        run("latency", "check", folder / "table.json", "--networks", 3, "--json").stdout
    )
    assert len(found["networks"]) == 3
    assert found["summary"]["table"]["mean"] >= 0


def test_a_table_is_not_replaced_unasked(folder: Path) -> None:
    """What was measured in minutes is not lost to a slip."""
    before = (folder / "table.json").read_bytes()
    assert "exists already" in sentence(measure(folder, "table.json"))
    assert (folder / "table.json").read_bytes() == before


def test_a_network_of_another_space_is_refused(folder: Path) -> None:
    """In one sentence."""
    other = small_space(num_slots=3)
    other.architecture(other.random(np.random.default_rng(1))).write(folder / "other.json")
    refused = sentence(run("latency", "predict", folder / "table.json", folder / "other.json"))
    assert "is not a network of the space small" in refused


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--space", "cnas"), "no space 'cnas'"),
        (("--space", "nowhere.json"), "cannot read nowhere.json"),
    ],
)
def test_bad_input_gets_one_sentence(options: tuple[str, ...], words: str, tmp_path: Path) -> None:
    """And nothing is written."""
    for command in ("measure", "bundle"):
        result = run("latency", command, "--out", tmp_path / "t.json", *options)
        assert words in sentence(result)
    assert not any(tmp_path.iterdir())


def test_a_bundle_of_a_published_space_says_what_it_is_for(folder: Path, tmp_path: Path) -> None:
    """Its networks, and the method of the fit; what is for a race is refused."""
    given = ("latency", "bundle", "--space", folder / "space.json", "--out", tmp_path / "pi.zip")
    assert "takes no --target-ms" in sentence(run(*given, "--target-ms", 1))
    assert "takes no --precision" in sentence(run(*given, "--precision", "fp32"))
    assert "with 7 networks" in sentence(run(*given, "--networks", 7))
    assert not any(tmp_path.iterdir())
    told = run(*given, "--networks", 60).stderr
    assert "wrote" in told
    assert "60 networks" in told
    assert "--method tf-nas --latency pi.json" in told.replace("\n", " ")


@pytest.mark.parametrize(
    ("command", "option", "value"),
    [
        *(("measure", option, "0") for option in (*MEASURED, "max-rounds")),
        *(("measure", option, "-1") for option in MEASURED),
        ("measure", "threads", "100000000"),
        ("measure", "minutes", "nan"),
        ("measure", "minutes", "inf"),
        ("check", "networks", "0"),
        *(("benchmark", option, "0") for option in ("batch", "threads", "size", "seconds")),
        ("benchmark", "seconds", "nan"),
        *(("benchmark", "target-ms", value) for value in ("0", "-1", "nan", "inf")),
        *(("benchmark", "pace-ms", value) for value in ("-1", "nan", "inf")),
        *(("benchmark", "image", value) for value in ("320", "0x4", "big", "4x4")),
    ],
)
def test_a_number_without_sense_gets_one_sentence(
    folder: Path, tmp_path: Path, command: str, option: str, value: str
) -> None:
    """With the number or its name in it, before anything is timed or written."""
    given: dict[str, tuple[object, ...]] = {
        "measure": ("latency", "measure", "--space", folder / "space.json", "--size", SIZE,
                    "--out", tmp_path / "table.json"),
        "check": ("latency", "check", folder / "table.json"),
        "benchmark": ("benchmark", folder / "network.json"),
    }  # fmt: skip
    said = sentence(run(*given[command], f"--{option}", value))
    assert option in said or value in said
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("option", ["--size", "--channels", "--classes"])
def test_a_named_space_of_no_images_gets_one_sentence(option: str, tmp_path: Path) -> None:
    """Whatever number of its frame makes no sense."""
    out = tmp_path / "table.json"
    sentence(run("latency", "measure", "--space", "c-nas", option, "0", "--out", out))
    assert not out.exists()


def test_an_older_table_stays_until_there_is_a_new_one(folder: Path, tmp_path: Path) -> None:
    """Also where it may be replaced, and measuring the new one comes to nothing."""
    out = tmp_path / "table.json"
    out.write_bytes((folder / "table.json").read_bytes())
    again = ("latency", "measure", "--space", folder / "space.json", "--size", SIZE, "--out", out)
    sentence(run(*again, "--overwrite", "--minutes", "0.0001", "--networks", NETWORKS))
    assert out.read_bytes() == (folder / "table.json").read_bytes()


def test_a_table_that_was_changed_by_hand_is_refused(folder: Path) -> None:
    """A price that falls with the width would mislead a search."""
    data = json.loads((folder / "table.json").read_text())
    prices = data["entries"][0]["prices_ms"]
    prices[max(prices, key=int)] = 0.0
    prices[min(prices, key=int)] = 1.0
    (folder / "changed.json").write_text(json.dumps(data))
    assert "a wider block costs less" in sentence(run("latency", "range", folder / "changed.json"))


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_network_is_timed_under_each_runtime(folder: Path, runtime: str) -> None:
    """By the same command, with the runtime, its version and its precision beside the number."""
    options = ("--size", SIZE, "--seconds", 0.2, "--pace-ms", 0, "--runtime", runtime, "--json")
    result = run("benchmark", folder / "network.json", *options)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["conditions"]["runtime"] == runtime
    assert found["conditions"]["precision"] == "fp32"
    assert found["timing"]["median_ms"] > 0


@pytest.mark.parametrize(
    ("target_ms", "code", "words"),
    [(1.0, 0, "is kept"), (0.985, 0, "is kept"), (0.5, 1, "is missed"), (2.0, 0, "50.0% below")],
)
def test_a_target_is_compared_with_the_median(
    folder: Path, target_ms: float, code: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1 if it is missed, and a sentence that says by how much."""
    clock = [0]
    monkeypatch.setattr("tapetum.latency.timing.time.perf_counter_ns", lambda: clock[0])

    def one_millisecond(*_: object) -> ForwardPass:
        return lambda: clock.__setitem__(0, clock[0] + 1_000_000)

    monkeypatch.setattr(OnnxRuntime, "prepare", one_millisecond)
    command = ("benchmark", folder / "network.json", "--size", SIZE, "--pace-ms", 0)
    command = (*command, "--target-ms", target_ms)
    result = run(*command)
    assert result.exit_code == code, result.output
    assert f"the budget of {target_ms:g} ms" in result.stderr
    assert words in result.stderr
    answered = run(*command, "--json")
    assert answered.exit_code == code
    assert json.loads(answered.stdout)["keeps_target"] == (code == 0)


@pytest.mark.parametrize(("median_ms", "is_close"), [(1.03, True), (1.5, False), (0.9, False)])
def test_a_miss_within_the_spread_of_the_rounds_is_no_verdict(
    median_ms: float, is_close: bool
) -> None:
    """The user is told to measure again; a larger miss is one, and a kept budget is kept."""
    timing = Timing.of([Round([median_ms * by] * 9) for by in (0.9, 0.95, 1.0, 1.05, 1.1)])
    result = SimpleNamespace(
        ratio=median_ms,
        keeps_target=median_ms <= 1.02,
        target_ms=1.0,
        includes="network",
        compared=timing,
        exceeding_call=None,
    )
    said = " ".join(verdict(cast("Benchmark", result)))
    assert ("measure again when the machine is quiet" in said) == is_close


@pytest.mark.parametrize(("dense_ms", "is_busy"), [(1, False), (10_000, True)])
def test_a_share_above_the_peak_has_its_reason(
    folder: Path, dense_ms: int, is_busy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No network exceeds the peak of the machine, so the peak was measured while it was busy."""
    clock = [0]
    monkeypatch.setattr("tapetum.latency.timing.time.perf_counter_ns", lambda: clock[0])

    def scripted(*given: Any) -> ForwardPass:
        step_ms = 1 if given[-1].width_px == SIZE else dense_ms
        return lambda: clock.__setitem__(0, clock[0] + 1_000_000 * step_ms)

    monkeypatch.setattr(OnnxRuntime, "prepare", scripted)
    result = run("benchmark", folder / "network.json", "--size", SIZE, "--pace-ms", 0)
    assert result.exit_code == 0, result.output
    (line,) = (line for line in result.stdout.splitlines() if "share of the machine's peak" in line)
    percent = int(re.findall(r"(\d+)%", line)[0])
    assert (percent > 100) == is_busy
    assert ("the peak was measured while the machine was busy" in line) == is_busy


def test_a_package_is_timed_at_its_own_size(tmp_path: Path) -> None:
    """And an ONNX file of a fixed size at that; an explicit option decides."""
    architecture = find_architecture("unet-s", channels=1)
    weights = random_weights(architecture, seed=0)
    package = tmp_path / "small.tapetum"
    manifest = Manifest.of(architecture, size_px=40)
    write_package(package, write_graph(architecture, weights), manifest, "A card.")
    for options, size in (((), 40), (("--size", 24), 24)):
        result = run("benchmark", package, "--seconds", 0.1, "--pace-ms", 0, "--json", *options)
        assert result.exit_code == 0, result.output
        conditions = json.loads(result.stdout)["conditions"]
        assert (conditions["channels"], conditions["width_px"]) == (1, size)


def test_more_threads_than_cores_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A latency that no deployment would have is not measured."""
    monkeypatch.setattr("tapetum.provenance.usable_cores", lambda: 1)
    options = ("--size", SIZE, "--seconds", 0.1, "--pace-ms", 0, "--threads", 2)
    result = run("benchmark", folder / "network.json", *options)
    assert result.exit_code == 2
    assert "2 threads were requested, but this process may use 1 core; use 1" in " ".join(
        result.stderr.split()
    )
