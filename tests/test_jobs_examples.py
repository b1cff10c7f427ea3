"""The images of a report are those that were scored."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tapetum.data import Dataset, open_dataset
from tapetum.evaluation import score
from tapetum.jobs.examples import MOST_PX, example_groups, mistake_images, shown_levels
from tapetum.noise import Gaussian
from tapetum.scores import Mistake, ScoreRow, Scores
from test_evaluation_score import Fake

HEIGHT_PX, WIDTH_PX = 288, 432
SHOWN = (1, round(HEIGHT_PX * MOST_PX / WIDTH_PX), MOST_PX)
LEVELS = [Gaussian(sigma=sigma) for sigma in (0.0, 0.1, 0.3)]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Eight wide images in four classes, of each of which one validates."""
    root = tmp_path_factory.mktemp("photos")
    for number, name in enumerate(2 * ["ant", "bee", "cat", "dog"]):
        (root / name / "film").mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (HEIGHT_PX, WIDTH_PX), np.uint8)
        Image.fromarray(pixels).save(root / name / "film" / f"{number}.png")
    return open_dataset(str(root), seed=0)


@pytest.fixture(scope="module")
def scores(photos: Dataset) -> Scores:
    """The scores of a network that leaves images as they are, with one mistake."""
    found = score(Fake(), photos, LEVELS)
    wrong = Mistake(image=0, level=1, true_name="ant", name="bee", probability=0.8)
    return found.model_copy(update={"mistakes": (wrong,)})


def test_examples_have_the_psnr_of_the_scores_and_keep_their_proportions(
    photos: Dataset, scores: Scores
) -> None:
    """The noise is the same, at full resolution; the page shows it smaller, never squeezed."""
    groups = example_groups(scores, photos, Fake())
    assert [group.title for group in groups] == ["gaussian 0.1", "gaussian 0.3"]
    for group, row in zip(groups, scores.rows[1:], strict=True):
        assert len(group.examples) == len(photos.validation)
        mean_db = np.mean([example.psnr_db for example in group.examples])
        assert mean_db == pytest.approx(row.psnr_db)
        example = group.examples[0]
        for pixels in (example.noisy, example.denoised, example.truth):
            assert pixels.shape == SHOWN
        assert example.caption.endswith(f".png, noise: {row.title}")


def test_a_mistake_is_shown_as_the_network_saw_it(photos: Dataset, scores: Scores) -> None:
    """With the noise and the class of its score, and its file below the folder."""
    (shown,) = mistake_images(scores, photos, Fake())
    assert shown.noisy.shape == SHOWN
    assert (shown.true_name, shown.name, shown.probability) == ("ant", "bee", 0.8)
    name = shown.caption.removesuffix(", noise: gaussian 0.1")
    assert list(Path(photos.info.source).rglob(name.rpartition("/")[2]))
    assert mistake_images(scores, photos, Fake(denoises=False))[0].denoised is None
    assert example_groups(scores, photos, Fake(denoises=False)) == ()


def test_pages_show_the_strongest_noise_and_some_weaker() -> None:
    """Three levels, evenly spread; images without noise show nothing."""
    levels = [Gaussian(sigma=step / 10) for step in range(11)]
    rows = [ScoreRow(title=one.describe(), noise=one, num_images=1) for one in levels]
    assert [row.noise for row in shown_levels(rows)] == [levels[4], levels[7], levels[10]]
    assert shown_levels(rows[:1]) == rows[:1]
