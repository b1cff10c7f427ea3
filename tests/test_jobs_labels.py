"""Labels from the folder to the report: few images, uneven classes, mistakes."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tapetum.data import open_dataset
from tapetum.jobs import evaluate, export, train
from tapetum.jobs.run_report import MOST_CLASSES, label_matrices
from tapetum.scores import ScoreRow, Scores
from tiny_training import SIZE_PX


def folder_of(root: Path, counts: dict[str, int]) -> Path:
    """A folder of classes with so many images each."""
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for index in range(count):
            values = np.random.default_rng(index).integers(0, 256, (SIZE_PX, SIZE_PX), np.uint8)
            Image.fromarray(values).save(root / name / f"{index}.png")
    return root


def scores_of(confusion: dict[str, dict[str, int]]) -> Scores:
    """The scores of such predictions, at one level."""
    recalls = {name: row.get(name, 0) / sum(row.values()) for name, row in confusion.items()}
    row = ScoreRow(title="none", noise=None, num_images=9, recalls=recalls)
    fields = {"protocol": "camera", "seed": 0, "source": "", "rows": (row,), "mean": row}
    return Scores(**fields, confusion=confusion)


def test_five_images_of_three_classes_train(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a fault; that so few are not calibrated stands in result and report."""
    data = folder_of(tmp_path / "data", {"ant": 5, "bee": 5, "fly": 5})
    result = train(data, tmp_path / "run", architecture="dc-net-reduced-integrated", epochs=1)
    assert result.scores is not None
    assert result.scores.temperature == 1
    report = (tmp_path / "run" / "report.html").read_text()
    assert "too few: 50 are needed" in report
    assert "Confusion matrix" in report
    assert report.count("true label:") >= len(result.scores.mistakes) > 0
    assert "classes are uneven" not in caplog.text
    caplog.clear()
    package = export(tmp_path / "run", tmp_path / "few.tapetum").path
    evaluate(package, data, noise=0)
    assert "--part all" not in caplog.text  # these are the images that were held out
    others = folder_of(tmp_path / "others", {"ant": 6, "bee": 5, "fly": 5})
    evaluate(package, others, noise=0)
    assert re.search("scored: [1-9] of 16 images, .* --part all", caplog.text)


def test_all_images_of_a_folder_may_be_scored(tmp_path: Path) -> None:
    """Then no class is said to be missing, since none trains."""
    data = str(folder_of(tmp_path, {"ant": 3, "bee": 2}))
    opened = open_dataset(data, seed=0, score_all=True)
    assert opened.summary is not None
    assert "missing classes" not in opened.summary.facts()


def test_a_class_that_a_part_lacks_is_named(tmp_path: Path) -> None:
    """One image alone trains, so that validation has none."""
    opened = open_dataset(str(folder_of(tmp_path, {"ant": 9, "bee": 1})), seed=0)
    assert opened.summary is not None
    assert opened.summary.facts()["missing classes"] == "no validation image of 'bee'"


def test_a_matrix_has_the_shares_of_each_true_class() -> None:
    """Rows sum to one, and a class that never occurs has no row."""
    (matrix,) = label_matrices(scores_of({"ant": {"ant": 3, "bee": 1}, "bee": {"bee": 2}}))
    assert matrix.names == ("ant", "bee")
    assert matrix.shares == ((0.75, 0.25), (0.0, 1.0))


def test_of_many_classes_the_worst_are_shown() -> None:
    """As many as can be read, in the order of their names."""
    confusion = {f"{n:03}": {f"{n:03}": n + 1, "000": 100} for n in range(1, 50)}
    (matrix,) = label_matrices(scores_of(confusion))
    assert matrix.names == tuple(f"{n:03}" for n in range(1, MOST_CLASSES + 1))
    assert "30 classes of 49" in matrix.note


def test_images_without_labels_have_no_matrix() -> None:
    """Nor any mistakes."""
    assert label_matrices(scores_of({})) == ()
