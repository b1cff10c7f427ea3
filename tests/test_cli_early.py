"""Laws of haste: what cannot work is refused before torch is loaded."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tapetum.cli.app import app
from tapetum.formats import WrittenFile
from tapetum.jobs.early import FIT, FRONT, RECIPES, RUN, SEARCH, SEARCH_RECIPES
from tapetum.jobs.fit_result import FIT as FITS
from tapetum.jobs.front import FRONT as FRONTS
from tapetum.latency import LatencyTable
from tapetum.records import FolderKind
from tapetum.search import recipe as searching
from tapetum.search.result import SEARCHES
from tapetum.training import RUNS
from tapetum.training import recipe as training
from test_cli import photos
from tiny_package import tiny_package
from tiny_search import tiny_table

__all__ = ["photos"]  # the fixture

# Answers each command line of standard input with its exit code and its messages.
WITHOUT_TORCH = """
import json, sys
sys.modules.update(dict.fromkeys(("torch", "accelerate", "torchvision"), None))
from typer.testing import CliRunner
from tapetum.cli.app import app
for line in sys.stdin:
    done = CliRunner().invoke(app, json.loads(line))
    print(json.dumps([done.exit_code, done.stderr]))
"""


def train(architecture: str = "unet-s", data: str = "{photos}", out: str = "{new}") -> list[str]:
    """A command line."""
    return ["train", architecture, "--data", data, "--out", out]


FIT_IT = ["fit", "{photos}", "--out", "{new}", "--target-ms"]
SEARCH_IT = ["search", "{photos}", "--out", "{new}", "--latency", "{table}", "--target-ms"]
EXPORT_IT = ["export", "{package}", "--out"]

REFUSED = {
    "there is no folder missing": train(data="missing"),
    "'unet-x' is neither an architecture nor a .json file; did you mean 'unet-s'?": train("unet-x"),
    "has no readable image": train(data="{empty}"),
    "already contains a run": train(out="{run}"),
    "is not the folder of a run, so it is left alone": train(out="{photos}"),
    "noise": [*train(), "--noise", "gauss"],
    "no recipe is called 'publish'; did you mean 'published'?": [*train(), "--recipe", "publish"],
    "no search recipe is called 'tfnas'": [*SEARCH_IT, "1000", "--recipe", "tfnas"],
    "no search recipe is called 'fast'": [*FIT_IT, "3", "--search-recipe", "fast"],
    "cannot read mine.json": [*train(), "--recipe", "mine.json"],
    "must be a number greater than 0 (got 0.0); give milliseconds, such as 8": [*FIT_IT, "0"],
    "{empty} is a folder; give the name": [*EXPORT_IT, "{empty}", "--format", "onnx"],
    "{empty} is not the folder of a run or a fit": ["export", "{empty}", "--out", "{new}.onnx"],
    "no network of": [*SEARCH_IT, "1e-9"],
    "is not finished": ["export", "{run}", "--out", "{new}.tapetum"],
    "the run in {run} is not finished": ["evaluate", "{run}", "--data", "{photos}"],
    "{table} exists already": [*EXPORT_IT, "{table}", "--format", "onnx"],
    "nothing can be written in {table}": train(out="{table}/run"),
    "metrics.csv exists": [
        *("calibrate", "{package}", "{photos}", "--noise", "1e-3", "--out", "{run}/metrics.csv"),
    ],
    "has prices of blocks, which the method tf-nas": [*FIT_IT, "3", "--latency", "{table}"],
    "--total-minutes 0.5 is too short": [*FIT_IT, "3", "--total-minutes", "0.5"],
    "--total-minutes 1.5 is too short": [*FIT_IT, "3,4", "--total-minutes", "1.5"],
    "no architecture is given": ["train", "--data", "{photos}", "--out", "{new}"],
    "the whole call cannot be timed in openvino; give --budget-includes network": [
        *FIT_IT,
        *("3", "--runtime", "openvino", "--budget-includes", "call"),
    ],
    "there is no folder nowhere": [*SEARCH_IT[:1], "nowhere", *SEARCH_IT[2:], "1000"],
    "is not installed": train(),
}


def test_what_cannot_work_is_refused_without_torch(photos: Path, tmp_path: Path) -> None:
    """Folders, names, options and targets have their sentences, and nothing is made."""
    names = ("empty", "run", "new", "table", "package")
    places = {name: str(tmp_path / name) for name in names}
    tiny_package(Path(places["package"]))
    Path(places["empty"]).mkdir()
    Path(places["run"]).mkdir()
    (tmp_path / "run" / "request.json").write_text('{"format": "tapetum-run"}')
    (tmp_path / "run" / "metrics.csv").write_text("")
    table: LatencyTable = tiny_table()
    table.write(Path(places["table"]))
    lines = [[word.format(photos=photos, **places) for word in line] for line in REFUSED.values()]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH],
        input="".join(f"{json.dumps(line)}\n" for line in lines),
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"COLUMNS": "400"},
    )
    for words, answer in zip(REFUSED, done.stdout.splitlines(), strict=True):
        code, said = json.loads(answer)
        assert words.format(photos=photos, **places) in said
        assert code == 2
        assert said.count("error:") == 1
    assert not Path(places["new"]).exists()


def test_a_package_is_exported_without_torch(tmp_path: Path) -> None:
    """Where only the package is at hand, its other formats are, too."""
    package, out = tiny_package(tmp_path / "p.tapetum"), tmp_path / "p.onnx"
    line = ["export", str(package), "--out", str(out), "--fixed", "32x48", "--opset", "16"]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH],
        input=f"{json.dumps(line)}\n",
        capture_output=True,
        text=True,
        check=True,
    )
    code, said = json.loads(done.stdout)
    assert code == 0, said
    assert "on 1 random image(s) of 48 x 32 px: the largest difference is" in said
    assert "not run on validation images: a package does not keep its images" in said
    assert WrittenFile.from_json((tmp_path / "p.onnx.json").read_text(), source="it").snippet in (
        said.replace("    ", "")
    )


@pytest.mark.parametrize(
    ("early", "kind"), [(RUN, RUNS), (SEARCH, SEARCHES), (FIT, FITS), (FRONT, FRONTS)]
)
def test_folders_have_the_same_names_early(
    early: FolderKind[Any, Any], kind: FolderKind[Any, Any]
) -> None:
    """What is refused early is what would be refused late."""
    assert (early.name, early.command) == (kind.name, kind.command)
    formats = [one.request_type.model_fields["format"].default for one in (early, kind)]
    assert formats[0] == formats[1]


def test_recipes_have_the_same_names_early() -> None:
    """No recipe is refused that the job would take."""
    for early, late in ((RECIPES, training.RECIPES), (SEARCH_RECIPES, searching.SEARCH_RECIPES)):
        assert list(early) == [recipe.name for recipe in late]


@pytest.mark.parametrize(
    ("levels", "sentence"),
    [
        (["0", "speckle:0.1"], "there is no run or package missing"),
        (["0", "gauss"], "--noise gauss is not possible"),
    ],
)
def test_the_levels_of_a_scoring_are_read_one_by_one(levels: list[str], sentence: str) -> None:
    """Possible noise levels pass, and an impossible one is named."""
    options = [word for level in levels for word in ("--noise", level)]
    done = CliRunner().invoke(app, ["evaluate", "missing", "--data", "missing", *options])
    assert done.exit_code == 2
    assert sentence in " ".join(done.stderr.split())
