"""What a user of ``tapetum fit`` sees, from a folder and a budget to a package and its page."""

import json
from pathlib import Path

import pytest

from tapetum.jobs.match import MatchedNetwork
from tapetum.latency import LatencyTable
from tapetum.runtime import open_package
from test_cli import photos, run, sentence
from test_latency_table import small_space

__all__ = ["photos"]  # the fixture

SIZE = 32
SHORT = ("--size", SIZE, "--search-epochs", 1, "--epochs", 1, "--batch-size", 2)


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a space and a table of it, measured here."""
    root = tmp_path_factory.mktemp("device")
    small_space(num_slots=2, num_classes=2).write(root / "space.json")
    result = run(
        *("latency", "measure", "--space", root / "space.json", "--size", SIZE),
        *("--networks", 60, "--minutes", 0.3, "--max-rounds", 3, "--out", root / "table.json"),
    )
    assert result.exit_code == 0, result.output
    return root


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds that are not spread in time: what they come to is no law."""
    monkeypatch.setattr("tapetum.latency.timing.PAUSE_S", 0.0)
    monkeypatch.setattr("tapetum.jobs.match.MOST_ATTEMPTS", 2)
    monkeypatch.setattr("tapetum.latency.timing.NUM_ROUNDS", 2)


def command(photos: Path, device: Path, out: Path, *options: object) -> tuple[object, ...]:
    """A budget in the middle of what the space spans."""
    fastest, slowest = LatencyTable.read(device / "table.json").range
    asked = {"--target-ms": (fastest + slowest) / 2, "--space": device / "space.json"}
    asked |= {"--latency": device / "table.json", "--out": out, "--search-recipe": "swift"}
    return ("fit", photos, *(part for pair in asked.items() for part in pair), *SHORT, *options)


def test_a_folder_and_a_budget_become_a_package(photos: Path, device: Path, tmp_path: Path) -> None:
    """With controls, a page, and the latency of the package; nothing is done twice."""
    out = tmp_path / "run"
    small = device / "search.json"
    from tapetum.search.recipe import SWIFT_SEARCH

    SWIFT_SEARCH.model_copy(update={"batch_size": 2, "warmup_epochs": 0, "epochs": 1}).write(small)
    asked = command(photos, device, out, "--search-recipe", small)
    result = run(*asked, "--json")
    assert result.exit_code == 0, result.output
    told = result.stderr
    assert told.index("this space spans") < told.index("search, epoch 1")
    facts = json.loads(result.stdout)
    assert facts["delivered"]["timing"]["median_ms"] > 0
    assert open_package(out / "model.tapetum").manifest.scores is not None
    page = (out / "report.html").read_text()
    shown = ("Was the search worth it?", "random, as slow", "What was chosen", "Alphas of")
    for words in (*shown, "estimated anew"):
        assert words in page
    matched = MatchedNetwork.read(out / "settled.json")
    assert 1 <= len(matched.attempts) <= 2
    assert "holds such a job already" in sentence(run(*asked))
    (out / "delivered.json").unlink()
    before = (out / "network" / "weights.safetensors").stat().st_mtime_ns
    again = run(*asked, "--resume")
    assert again.exit_code == 0, again.output
    assert "the package takes" in again.stdout
    assert (out / "network" / "weights.safetensors").stat().st_mtime_ns == before
    assert "was asked for something else" in sentence(run(*asked, "--seed", 3, "--resume"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--target-ms", 0.001), "no network of small takes 0.001 ms"),
        (("--target-ms", "nan"), "makes no sense"),
        (("--threads", 2), "threads 1, not 2"),
        (("--batch", 0), "batch"),
        (("--space", "e-nas"), "no space 'e-nas'"),
    ],
    ids=str,
)
def test_bad_input_gets_one_sentence(
    photos: Path, device: Path, tmp_path: Path, options: tuple[object, ...], words: str
) -> None:
    """Before anything is computed."""
    assert words in sentence(run(*command(photos, device, tmp_path / "run", *options)))
    assert not (tmp_path / "run").exists()


def test_images_with_boxes_are_refused(tmp_path: Path) -> None:
    """With what to give instead."""
    refused = run("fit", "digits", "--target-ms", 5, "--train-count", 8, "--test-count", 2,
                  "--out", tmp_path / "run")  # fmt: skip
    assert "digit-crops" in sentence(refused)
