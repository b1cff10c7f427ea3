"""What a user of ``tapetum fit`` sees of a race: the plan, the result, and what is refused."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import Result

from shape_runtime import ShapeRuntime, formula_ms, race_in_this_process
from tapetum.formats import target_html
from tapetum.formats.webruntime import WebRuntime
from tapetum.jobs.fit_result import Delivery
from tapetum.latency import Budget
from tapetum.latency.runtimes import RUNTIMES
from tapetum.runtime import open_package
from tapetum.search import RACES
from test_cli import photos, run, sentence

__all__ = ["photos"]  # the fixture

SHORT = ("--size", 32, "--epochs", 1, "--batch-size", 4, "--precision", "fp32")


@pytest.fixture(autouse=True)
def _scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    script(monkeypatch)


def script(patch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime runs on a made-up clock, and races compute in this process."""
    patch.setitem(RUNTIMES, "onnxruntime", ShapeRuntime(patch))  # type: ignore[arg-type]
    race_in_this_process(patch)


@pytest.fixture(scope="module")
def fitted(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """The folder of a fit by a race, and what the command said."""
    out = tmp_path_factory.mktemp("fitted") / "run"
    with pytest.MonkeyPatch.context() as patch:
        script(patch)
        return out, run(*command(photos, out), "--json")


def command(photos: Path, out: Path) -> tuple[object, ...]:
    """A fit to a tenth of a millisecond."""
    return ("fit", photos, "--target-ms", 0.1, "--search-minutes", 1, "--out", out, *SHORT)


def test_a_folder_and_a_budget_become_a_package(fitted: tuple[Path, Result], photos: Path) -> None:
    """After a plan, with the race in the report; the exit code says that the budget is kept."""
    out, result = fitted
    assert result.exit_code == 0, result.output
    told = result.stderr
    assert told.index("possible: ") < told.index("plan: 4 candidates, timing")
    assert told.index("plan: 4 candidates, timing") < told.index("epoch 1 of 1")
    assert "not planned: trainings to compare with (--controls)" in told
    assert re.search(r"; the final training makes [0-9,]+ steps\n", told)
    facts = json.loads(result.stdout)
    assert facts["steps"]["made"] == facts["steps"]["planned"] > 0
    assert facts["keeps_target"]
    assert facts["timing"]["median_ms"] <= 1.02 * facts["target_ms"]
    assert "the package keeps the budget of 0.1 ms" in told
    assert open_package(out / "model.tapetum").manifest.scores is not None
    again = run(*command(photos, out), "--resume")
    assert again.exit_code == 0
    assert "budget, includes network" in again.stdout


def test_a_fit_is_exported_with_its_budget(
    fitted: tuple[Path, Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page of the folder of a fit contains the network that ships, and says the budget."""
    monkeypatch.setattr(target_html, "find_chromium", lambda: None)
    monkeypatch.setattr(
        target_html, "find_web_runtime", lambda _: WebRuntime("1.2.3", b"module", b"wasm")
    )
    done = run("export", fitted[0], "--out", tmp_path / "fit.html", "--max-psnr-drop", 0.1)
    assert done.exit_code == 0, done.output
    page = (tmp_path / "fit.html").read_text()
    assert '"target_ms": 0.1' in page
    assert "bright, dark</title>" in page
    assert "the budget of 0.1 ms was kept by the fp32 package" in done.stderr
    stored = json.loads((tmp_path / "fit.html.json").read_text())["budget"]
    assert (stored["target_ms"], stored["precision"]) == (0.1, "fp32")


def test_the_winner_of_a_race_is_delivered(fitted: tuple[Path, Result]) -> None:
    """Every file is there, the budget is kept by the formula, and the report shows the race."""
    out, _ = fitted
    raced = RACES.open(out / "race").result()
    assert len(raced.order) == 4
    pass_ms = formula_ms(open_package(out / "model.tapetum").manifest.architecture, 32)
    assert 1 - Budget.BELOW <= pass_ms / 0.1 <= 1 + Budget.TOLERANCE
    names = {path.name for path in out.iterdir()}
    assert names >= {"plan.json", "timings_fp32.json", "candidates.json", "race", "matched.json"}
    candidates = json.loads((out / "candidates.json").read_text())["candidates"]
    shape = next(one["shape"] for one in candidates if one["name"] == raced.winner)
    matched = json.loads((out / "matched.json").read_text())
    assert matched["attempts"][matched["chosen"]]["shape"] == shape
    report = (out / "report.html").read_text()
    for words in ("Race", "default network", "plain DC-Net", "Race, round by round"):
        assert words in report
    for command in ("predict", "export", "benchmark"):
        assert f"tapetum {command} {out / 'model.tapetum'} " in report
    delivery = Delivery.read(out / "result.json")
    (said,), (short,) = delivery.remarks, delivery.scores.warnings
    assert "the default is at least 1,000" in short
    assert report.index(short[1:]) < report.index("package keeps the budget")
    assert 'class="doubtful"' in report
    assert "<div><dt>" not in report
    reached = r"after equal minutes, the plain DC-Net .* reached [0-9.]+ % and [0-9.]+ dB, the wi"
    assert said == "the plain DC-Net won the race" or re.search(reached, said)
    assert f"{said[0].upper()}{said[1:]}" in report
    assert "this adds them, and repeats nothing: the same command --resume --controls" in report


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--target-ms", "1,x"), "is not a list of milliseconds"),
        (("--target-ms", "1,1"), "names a budget twice"),
        (("--target-ms", "1,0"), "must be a number greater than 0"),
        (("--latency", "missing.json"), "missing.json"),
        (("--space", "dc-nas"), "--space is an option of the method tf-nas"),
        (("--method", "tf-nas", "--workers", 2), "--workers is an option of the method race"),
        (("--method", "none", "--search-minutes", 2), "is an option of the method race"),
        (("--workers", 999), "999 workers were requested"),
        (("--beside", "nowhere"), "is not the folder of a fit"),
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


def test_a_fit_stands_for_the_run_that_ships(fitted: tuple[Path, Result], tmp_path: Path) -> None:
    """The commands that take a run take the folder of a fit too."""
    out, _ = fitted
    graph = tmp_path / "photos.onnx"
    assert run("export", out, "--out", graph).exit_code == 0
    assert graph.stat().st_size > 0
    assert json.loads(run("info", out, "--json").stdout)["run"] == str(out / "network")
