"""What a user of ``tapetum search`` sees, on a small folder and a small space."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tapetum.arch import Architecture
from tapetum.errors import InputError
from tapetum.search import choose_search_recipe
from tapetum.search.recipe import TF_NAS
from tapetum.search.result import SEARCHES
from test_cli import photos, run, sentence
from test_latency_table import small_space, table_of

__all__ = ["photos"]  # the fixture

RECIPE = ("--epochs", 2, "--batch-size", 2, "--noise", "gaussian:0-0.3")


@pytest.fixture(scope="module")
def table_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of the small space, for two names."""
    path = tmp_path_factory.mktemp("tables") / "table.json"
    table_of(small_space(num_classes=2)).write(path)
    return path


@pytest.fixture(scope="module")
def target_ms(table_file: Path) -> float:
    """In the middle of what the space spans."""
    from tapetum.latency import LatencyTable

    fastest, slowest = LatencyTable.read(table_file).range
    return (fastest + slowest) / 2


def test_a_network_is_found_and_can_be_trained(
    photos: Path, table_file: Path, target_ms: float, tmp_path: Path
) -> None:
    """From a folder and a budget to an architecture that ``tapetum train`` takes."""
    out = tmp_path / "search"
    command = ("search", photos, "--latency", table_file, "--target-ms", target_ms, "--out", out)
    result = run(*command, *RECIPE)
    assert result.exit_code == 0, result.output
    assert "predicted" in result.stdout
    assert "probability" in result.stdout
    Architecture.read(out / "architecture.json")
    trained = run(
        *("train", out / "architecture.json", "--data", photos, "--out", tmp_path / "run"),
        *("--epochs", 1, "--batch-size", 4, "--size", 32),
    )
    assert trained.exit_code == 0, trained.output
    assert "already contains a search" in sentence(run(*command, *RECIPE))
    again = run(*command, *RECIPE, "--resume")
    assert again.exit_code == 0, again.output


def test_labels_of_boxes_are_refused(table_file: Path, target_ms: float, tmp_path: Path) -> None:
    """Before there is a folder, with what to give instead."""
    (tmp_path / "boxed").mkdir()
    rows = ["file,label,left,top,right,bottom"]
    for index in range(12):
        Image.new("L", (36, 36), 20 * index).save(tmp_path / "boxed" / f"{index}.png")
        rows.append(f"{index}.png,{'ab'[index % 2]},4,5,30,28")
    (tmp_path / "boxed" / "labels.csv").write_text("\n".join(rows))
    given = ("--latency", table_file, "--target-ms", target_ms, "--out", tmp_path / "search")
    refused = run("search", tmp_path / "boxed", *given, *RECIPE)
    assert refused.exit_code == 2
    assert "the labels of this dataset belong to boxes" in sentence(refused)
    assert not (tmp_path / "search").exists()


def test_a_search_answers_in_json(
    photos: Path, table_file: Path, target_ms: float, tmp_path: Path
) -> None:
    """With all that was logged."""
    result = run(
        *("search", photos, "--latency", table_file, "--target-ms", target_ms),
        *("--out", tmp_path / "search", *RECIPE, "--json"),
    )
    found = json.loads(result.stdout)
    assert found["predicted_ms"] <= found["target_ms"]
    assert len(found["epochs"]) == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--target-ms", "0.01"), "no network of small takes 0.01 ms"),
        (("--recipe", "swfit"), "no search recipe is called 'swfit'"),
        (("--noise", "fog:1"), "fog"),
        (("--latency", "nowhere.json"), "cannot read nowhere.json"),
    ],
    ids=str,
)
def test_bad_input_gets_one_sentence(
    options: tuple[str, ...],
    words: str,
    photos: Path,
    table_file: Path,
    target_ms: float,
    tmp_path: Path,
) -> None:
    """Before anything is computed."""
    asked = {"--latency": table_file, "--target-ms": target_ms, "--out": tmp_path / "search"}
    asked |= dict([options])
    arguments = [part for pair in asked.items() for part in pair]
    assert words in sentence(run("search", photos, *arguments))
    assert not any(tmp_path.iterdir())


def test_a_shorter_search_warms_up_less_cools_faster_and_steps_further() -> None:
    """To the same temperature at its end, and with steps of the alphas at most five times as long.

    A longer one keeps the steps.
    """
    short = choose_search_recipe("tf-nas", changes={"epochs": 18})
    assert short.warmup_epochs == 2
    ends = [one.cooling ** (one.epochs - one.warmup_epochs) for one in (short, TF_NAS)]
    assert ends[0] == pytest.approx(ends[1], rel=0.01)
    for epochs, rate in ((18, 0.05), (45, 0.02), (180, 0.01)):
        found = choose_search_recipe("tf-nas", changes={"epochs": epochs})
        assert found.alpha_learning_rate == pytest.approx(rate)
    with pytest.raises(InputError, match="leave none of 3 for the alphas"):
        choose_search_recipe("swift", changes={"epochs": 3, "warmup_epochs": 3})
    assert choose_search_recipe("swift", loss="both").loss.uses_image
    assert not choose_search_recipe("swift", loss="names").loss.uses_image


def test_a_folder_may_be_named_like_digits(
    photos: Path, table_file: Path, target_ms: float, tmp_path: Path
) -> None:
    """Only the words themselves mean digits: such a folder is read at the size of the table."""
    shutil.copytree(photos, tmp_path / "digits-of-mine")
    command = ("search", tmp_path / "digits-of-mine", "--latency", table_file, *RECIPE)
    result = run(*command, "--target-ms", target_ms, "--out", tmp_path / "search")
    assert result.exit_code == 0, result.output
    request = SEARCHES.open(tmp_path / "search").request
    assert request.data.size_px == 32
