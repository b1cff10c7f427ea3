"""What a user of ``tapetum fit`` sees of a race: the plan, the result, and what is refused."""

import json
from pathlib import Path

import pytest

from shape_runtime import ShapeRuntime, race_in_this_process
from tapetum.latency.runtimes import RUNTIMES
from tapetum.runtime import open_package
from test_cli import photos, run, sentence

__all__ = ["photos"]  # the fixture

SHORT = ("--size", 32, "--epochs", 1, "--batch-size", 4, "--precision", "fp32")


@pytest.fixture(autouse=True)
def _scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime runs on a made-up clock, and races compute in this process."""
    monkeypatch.setitem(RUNTIMES, "onnxruntime", ShapeRuntime(monkeypatch))  # type: ignore[arg-type]
    race_in_this_process(monkeypatch)


def test_a_folder_and_a_budget_become_a_package(photos: Path, tmp_path: Path) -> None:
    """After a plan, with the race in the report; the exit code says that the budget is kept."""
    out = tmp_path / "run"
    requested = ("fit", photos, "--target-ms", 0.1, "--search-minutes", 1, "--out", out, *SHORT)
    result = run(*requested, "--json")
    assert result.exit_code == 0, result.output
    told = result.stderr
    assert told.index("possible here: ") < told.index("plan: 4 candidates, timing")
    assert told.index("plan: 4 candidates, timing") < told.index("epoch 1 of 1")
    assert "not planned: trainings to compare with (--controls)" in told
    facts = json.loads(result.stdout)
    assert facts["keeps_target"]
    assert facts["timing"]["median_ms"] <= 1.02 * facts["target_ms"]
    assert "the package keeps the budget of 0.1 ms" in told
    assert open_package(out / "model.tapetum").manifest.scores is not None
    again = run(*requested, "--resume")
    assert again.exit_code == 0
    assert "budget, includes network" in again.stdout


def test_several_budgets_get_a_package_each(photos: Path, tmp_path: Path) -> None:
    """And one table, of which JSON has all."""
    out = tmp_path / "run"
    requested = ("fit", photos, "--target-ms", "0.2,0.1", "--search", "none", "--out", out, *SHORT)
    result = run(*requested)
    assert result.exit_code == 0, result.output
    assert "budget, ms" in result.stdout
    assert result.stdout.count("delivered") == 2
    assert (out / "0.1ms" / "model.tapetum").exists()
    assert (out / "report.html").exists()
    again = run(*requested, "--resume", "--json")
    assert [one["target_ms"] for one in json.loads(again.stdout)["fits"]] == [0.1, 0.2]
    assert "already contains a fit of several budgets" in sentence(run(*requested))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--target-ms", "1,x"), "is not a list of milliseconds"),
        (("--target-ms", "1,1"), "names a budget twice"),
        (("--target-ms", "1,0"), "makes no sense"),
        (("--latency", "table.json"), "--latency is an option of the method tf-nas"),
        (("--space", "dc-nas"), "--space is an option of the method tf-nas"),
        (("--method", "tf-nas", "--workers", 2), "--workers is an option of the method race"),
        (("--method", "none", "--search-minutes", 2), "is an option of the method race"),
        (("--workers", 999), "999 workers were requested"),
        (("--beside", "nowhere"), "is not the folder of a fit"),
        (("--precision", "int8", "--runtime", "openvino"), "runs in onnxruntime, not in openvino"),
    ],
    ids=str,
)
def test_bad_options_are_refused_at_once(
    photos: Path, tmp_path: Path, options: tuple[object, ...], words: str
) -> None:
    """In one sentence, before torch is loaded and before there is a folder."""
    result = run("fit", photos, "--target-ms", 1, "--out", tmp_path / "run", *options)
    assert words in sentence(result)
    assert "loading torch" not in result.stderr
    assert not (tmp_path / "run").exists()
