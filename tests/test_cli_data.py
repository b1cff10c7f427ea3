"""``tapetum data``, and what other commands say of a folder."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from folders import draw, draw_tree
from tapetum.cli.app import app


def run(*words: str | Path) -> Result:
    """The result of a command."""
    return CliRunner().invoke(app, [str(word) for word in words])


def test_a_folder_is_described(tmp_path: Path) -> None:
    """The command prints layout, parts, classes, sizes, and what is left out."""
    draw_tree(tmp_path, {"Training/a": 3, "Training/b": 3, "Testing/a": 1, "Testing/b": 1})
    (tmp_path / "Training" / "a" / "notes.txt").write_text("notes")
    result = run("data", tmp_path)
    assert result.exit_code == 0
    for text in ("2 classes", "6 training and 2 validation", "a 3 + 1", "32 x 32 px", "notes.txt"):
        assert text in result.stdout


def test_the_description_is_json(tmp_path: Path) -> None:
    """With --json everything is in one record, the reasons of all that is left out too."""
    draw_tree(tmp_path, {"a": 3, "b": 3})
    for index in range(9):
        (tmp_path / f"{index}.txt").write_text("notes")
    found = json.loads(run("data", tmp_path, "--json").stdout)
    assert found["train"]["classes"].keys() == {"a", "b"}
    assert len(found["left_out"]) == 9


@pytest.mark.parametrize("layout", ["classes", "flat"])
def test_doubt_is_one_sentence(tmp_path: Path, layout: str) -> None:
    """A folder with two readings ends with exit code 2, and with none once a reading is chosen."""
    draw_tree(tmp_path, {"batch_1": 3, "batch_2": 3})
    refused = run("data", tmp_path)
    assert refused.exit_code == 2
    assert refused.stderr.count("\n") == 1
    assert f"--layout {layout}" in refused.stderr
    assert run("data", tmp_path, "--layout", layout).exit_code == 0


@pytest.mark.parametrize("is_json", [False, True])
def test_what_cannot_be_trained_on_has_a_row_and_the_exit_code_of_bad_input(
    tmp_path: Path, is_json: bool
) -> None:
    """Classes of one group each are described whole, with a problem, and with exit code 2."""
    draw_tree(tmp_path, {"a": 6, "b": 6})
    result = run("data", tmp_path, "--group-by", "^(.)/", *["--json"] * is_json)
    assert result.exit_code == 2
    if is_json:
        found = json.loads(result.stdout)
        assert not found["is_trainable"]
        (problem,) = found["problems"]
    else:
        (problem,) = [line for line in result.stdout.splitlines() if line.startswith("problems")]
        assert "6 + 0" in result.stdout
    assert "no image for validation: of 12 readable image(s) no class has two groups" in problem
    assert "change --group-by" in problem


@pytest.mark.slow
def test_a_run_keeps_and_uses_its_split(tmp_path: Path) -> None:
    """A run keeps its lists; after images were added, evaluate scores the same and names them."""
    data, out = draw_tree(tmp_path / "data", {"a": 8, "b": 8}), tmp_path / "run"
    architecture = "dc-net-reduced-integrated"
    options = ["--data", data, "--size", 16, "--epochs", 1, "--batch-size", 4, "--noise"]
    trained = run("train", architecture, *options, "gaussian:0-0.1", "--out", out)
    assert trained.exit_code == 0, trained.output
    assert "note: classes: a " in trained.stderr
    assert "Dataset" in (out / "report.html").read_text()
    listed = json.loads((out / "split.json").read_text())
    assert json.loads((out / "data.json").read_text())["format"] == "tapetum-data"
    for index in range(4):
        draw(data / "a" / f"new{index}.png")
    scored = run("evaluate", out, "--data", data, "--noise", "0", "--json")
    assert scored.exit_code == 0, scored.output
    assert "4 file(s) were added since the training and are not scored" in scored.stderr
    assert json.loads(scored.stdout)["mean"]["num_images"] == len(listed["validation"])
    refused = run("evaluate", out, "--data", data, "--seed", 3)
    assert refused.exit_code == 2
    assert "keeps the split of its training" in refused.stderr
