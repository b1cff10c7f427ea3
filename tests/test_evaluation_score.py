"""Scores: what each number says, which images count, and what is said beside them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tapetum.data import Dataset, Samples
from tapetum.errors import InputError
from tapetum.evaluation import Answer, score
from tapetum.evaluation.tally import measure
from tapetum.images import DecodedImage
from tapetum.noise import Gaussian, Noise, Speckle, add_noise, generator_for_image
from tapetum.runtime import Preparation
from tapetum.scores import Scores
from tiny_training import SIZE_PX, TINY_DATA, Squares

LEVELS = [Gaussian(sigma=0.05), Gaussian(sigma=0.2)]


class Fake:
    """A network that leaves images as they are and gives labels in turn."""

    preparation = Preparation(size_px=SIZE_PX, channels=1)
    threads = 1  # it answers in turn

    def __init__(self, labels: Sequence[int] = (0,), *, denoises: bool = True) -> None:
        self.labels = tuple(labels)
        self.denoises = denoises
        self.given: list[DecodedImage] = []
        self.with_image: list[bool] = []

    def predict(
        self, image: DecodedImage, boxes: NDArray[np.float32] | None, *, with_image: bool = True
    ) -> Answer:
        """The image itself, and the next label with a probability of 0.7."""
        rows = 1 if boxes is None else len(boxes)
        label = self.labels[len(self.given) % len(self.labels)]
        probabilities = np.full((rows, 4), 0.1, np.float32)
        probabilities[:, label] = 0.7
        self.given.append(image)
        self.with_image.append(with_image)
        pixels = image.pixels if self.denoises and with_image else None
        return Answer(pixels, probabilities)


def scored(
    subject: Fake, images: Squares, levels: Sequence[Noise] = LEVELS, **more: object
) -> Scores:
    """The scores of a network on images as a dataset."""
    info = TINY_DATA.model_copy(update=more.pop("info", {}))  # type: ignore[arg-type]
    return score(subject, Dataset(images, images, info), levels, **more)  # type: ignore[arg-type]


def test_leaving_the_image_scores_the_noise() -> None:
    """A network that does nothing has the scores of the noisy image, at each level."""
    for row in scored(Fake(), Squares(10)).rows:
        assert row.psnr_db == row.noisy_psnr_db
        assert row.ssim == row.noisy_ssim
    first, second = scored(Fake(), Squares(10)).rows
    assert first.psnr_db == pytest.approx(26.0, abs=0.5)
    assert first.psnr_db > second.psnr_db


def test_a_level_that_is_named_twice_is_scored_once() -> None:
    """Equal noises give one row, in the order of the first of each."""
    rows = scored(Fake(), Squares(2), [*LEVELS, *LEVELS]).rows
    assert [row.noise for row in rows] == LEVELS


def test_the_noise_is_that_of_predict() -> None:
    """Noise depends on seed and image alone and is added to the image as it is decoded."""
    subject = Fake()
    scored(subject, Squares(3), LEVELS, seed=5, protocol="camera")
    for place, given in enumerate(subject.given):
        index, level = divmod(place, 2)
        clean = Squares(3).sample(index).image.pixels
        generator = generator_for_image(clean, 5)
        noisy = add_noise(clean, LEVELS[level], generator, protocol="camera")
        np.testing.assert_array_equal(given.pixels, noisy)


def test_right_labels_are_counted() -> None:
    """Accuracy, recall of each class and counts of mistakes, over all levels."""
    subject = Fake([0, 0, 1, 2, 2, 2, 3, 1])  # of images 0 to 3, each at two levels
    scores = scored(subject, Squares(4))
    assert [row.accuracy for row in scores.rows] == [1, 0.5]
    assert scores.mean.accuracy == 0.75
    assert scores.rows[1].recalls == {
        "north-west": 1, "north-east": 0, "south-west": 1, "south-east": 0,
    }  # fmt: skip
    assert scores.confusion["north-east"] == {"north-east": 1, "south-west": 1}
    assert scores.class_cells()[1] == ("north-east", "1", "50.0", "south-west (50.0%)")


def test_a_class_without_images_is_named() -> None:
    """The macro accuracy is over the classes that occur, and the others are named."""
    scores = scored(Fake([0, 0, 1, 1]), Squares(2))
    assert scores.missing_classes == ("south-west", "south-east")
    assert scores.mean.macro_accuracy == 1
    assert "no image of 'south-west', 'south-east'" in " ".join(scores.remarks)


def test_an_answer_that_is_always_the_same_is_said() -> None:
    """An accuracy that the most common class alone would give is no achievement."""
    (remark,) = scored(Fake([0]), Squares(6)).remarks
    assert remark == (
        "the network classifies every image as 'north-west': no better than the majority class "
        "(33.3 %)"
    )


class Sure(Fake):
    """Knows the quarter half of the time, and is always sure of its answer."""

    def predict(
        self, image: DecodedImage, boxes: NDArray[np.float32] | None, *, with_image: bool = True
    ) -> Answer:
        """The quarter of the square in every other answer, another one else; 0.97 for both."""
        place = len(self.given)
        answer = super().predict(image, boxes, with_image=with_image)
        probabilities = np.full((1, 4), 0.01, np.float32)
        probabilities[0, (place // 2 + place % 3) % 4] = 0.97
        return answer._replace(probabilities=probabilities)


def test_probabilities_are_calibrated_where_that_is_wanted() -> None:
    """Rows have the error after scaling; labels and their order are the same."""
    plain = scored(Sure(), Squares(60))
    scaled = scored(Sure(), Squares(60), calibrates=True)
    assert plain.calibration is None
    assert plain.temperature == 1 < scaled.temperature
    assert scaled.calibration is not None
    assert scaled.calibration.error_before == pytest.approx(0.97 - plain.mean.accuracy, abs=1e-4)
    assert scaled.mean.calibration_error < 0.1 < plain.mean.calibration_error
    assert scaled.confusion == plain.confusion
    assert scaled.calibration.text in scaled.remarks


def test_the_most_certain_mistakes_are_listed_once_an_image() -> None:
    """With image, level, both classes and the probability; right answers are no mistakes."""
    subject = Fake([0, 1, 1, 3, 0, 2, 3, 3])  # of images 0 to 3, each at two levels
    found = scored(subject, Squares(4), num_mistakes=2).mistakes
    assert [(one.image, one.level, one.true_name, one.name) for one in found] == [
        (2, 0, "south-west", "north-west"),
        (0, 1, "north-west", "north-east"),
    ]
    assert found[0].probability == pytest.approx(0.7)
    assert scored(Fake([0, 1, 1, 3, 0, 2, 3, 3]), Squares(4)).mistakes == ()


def test_boxes_are_scored_together() -> None:
    """Each box of each image has a label."""
    scores = scored(Fake(), Squares(8, with_boxes=True))
    assert scores.mean.accuracy == 0.25


def test_a_classifier_has_no_image_scores() -> None:
    """What does not apply is not there."""
    mean = scored(Fake(denoises=False), Squares(4)).mean
    assert (mean.psnr_db, mean.ssim) == (None, None)
    assert mean.noisy_psnr_db is not None


def test_above_the_limit_some_images_are_compared_and_all_are_classified() -> None:
    """The choice depends on the seed, the label pass costs no denoised image, and it is said."""
    limit = 5 * 2 * SIZE_PX**2 / 1e6
    subject = Fake()
    scores = scored(subject, Squares(20), max_megapixels=limit)
    assert (scores.mean.num_images, scores.mean.num_compared) == (20, 5)
    assert sum(subject.with_image) == 10
    assert any("only 5 of 20 images were denoised" in remark for remark in scores.remarks)
    again, other = (Fake(), Fake())
    assert scored(again, Squares(20), max_megapixels=limit) == scores
    scored(other, Squares(20), max_megapixels=limit, seed=1)
    assert again.with_image != other.with_image
    assert scored(Fake(), Squares(20), max_megapixels=None).mean.num_compared is None


def test_the_size_of_the_files_counts_for_the_limit() -> None:
    """Images are compared at their own resolution, not at that of the training."""
    scores = scored(Fake(), Squares(4), max_megapixels=10.0, info={"typical_px": (2000, 2000)})
    assert scores.mean.num_compared == 1


class Pairs(Squares):
    """Squares with a noisy twin each."""

    def take(self, indices: Sequence[int], *, epoch: int, seed: int, train: bool) -> Samples:
        """The twin is brighter by 0.1."""
        taken = super().take(indices, epoch=epoch, seed=seed, train=train)
        return taken._replace(noisy=taken.images + np.float32(0.1))


def test_pairs_bring_their_own_noise() -> None:
    """The noisy twin goes in, the clean one is the truth, and there is one level."""
    scores = scored(Fake(), Pairs(3), LEVELS, info={"is_paired": True})
    (row,) = scores.rows
    assert (row.title, row.noise) == ("as given", None)
    assert row.psnr_db == pytest.approx(20, abs=1e-4)


class Small(Squares):
    """Images that are smaller than the window of SSIM."""

    def take(self, indices: Sequence[int], *, epoch: int, seed: int, train: bool) -> Samples:
        """The corner of each image."""
        taken = super().take(indices, epoch=epoch, seed=seed, train=train)
        return taken._replace(images=taken.images[:, :, :8, :10])


def test_small_images_have_no_ssim() -> None:
    """The PSNR and the label are scored all the same."""
    mean = scored(Fake(), Small(4)).mean
    assert mean.ssim is None
    assert mean.psnr_db is not None
    assert mean.accuracy is not None


def test_a_perfect_image_has_no_mean_psnr() -> None:
    """Where one level has no finite score, the mean has none."""
    scores = scored(Fake(), Squares(2), [Gaussian(sigma=0.0), Speckle(sigma=0.2)])
    assert scores.rows[0].psnr_db is None
    assert scores.rows[0].ssim == pytest.approx(1)
    assert scores.mean.psnr_db is None


def test_scores_survive_an_image_that_is_restored_exactly() -> None:
    """With its level nothing is compared, neither the network nor the filters."""
    pytest.importorskip("skimage")
    scores = scored(Restoring(), Squares(3), [Gaussian(sigma=0.1)], filters=True)
    assert scores.rows[0].psnr_db is None
    assert scores.rows[0].filters_db == {}
    assert Scores.model_validate_json(scores.model_dump_json()) == scores


class Restoring(Fake):
    """Gives the first of some images as it was, and leaves the others."""

    def predict(
        self, image: DecodedImage, boxes: NDArray[np.float32] | None, *, with_image: bool = True
    ) -> Answer:
        """The clean image for the first, and the noisy one for the others."""
        is_first = not self.given
        answer = super().predict(image, boxes, with_image=with_image)
        clean = Squares(3).sample(0).image.pixels
        return answer._replace(pixels=clean) if is_first else answer


def test_nothing_to_score_is_an_error() -> None:
    """Without levels, or without images."""
    with pytest.raises(InputError, match="0 noise levels"):
        scored(Fake(), Squares(2), [])
    with pytest.raises(InputError, match="0 images"):
        scored(Fake(), Squares(0))


def test_progress_counts_the_images() -> None:
    """Each image counts once, with all of its levels."""
    told: list[tuple[int, int]] = []
    scored(
        Fake(),
        Squares(5),
        progress=lambda done, total, message: told.append((done, total)),  # noqa: ARG005
    )
    assert told == [(done, 5) for done in range(1, 6)]


def test_an_image_with_alpha_is_compared_over_the_background() -> None:
    """The truth is what the network sees: colours over the background of the preparation."""

    class Clear(Squares):
        def sample(self, index: int) -> object:
            sample = super().sample(index)
            clear = replace(sample.image, alpha=np.zeros((SIZE_PX, SIZE_PX), np.float32))
            return sample._replace(image=clear)

    class Grey(Fake):
        def predict(self, image: DecodedImage, boxes: object, *, with_image: bool = True) -> Answer:
            del boxes, with_image
            return Answer(self.preparation.colours(image), None)

    mean = scored(Grey(), Clear(2), [Gaussian(sigma=0.3)]).mean
    assert mean.psnr_db is None  # infinite: all pixels are hidden, before and after


def test_lost_colour_and_contrast_are_shares_of_the_clean_image() -> None:
    """A network that returns half of each has one half, whatever noise it leaves; grey has none."""
    generator = np.random.default_rng(0)
    clean = generator.random((3, 64, 64), np.float32)
    noise = generator.normal(0, 0.3, clean.shape).astype(np.float32)
    half = 0.5 + 0.5 * (clean - 0.5)
    for denoised, share in ((clean, 1.0), (half, 0.5), (half + noise, 0.5), (0 * clean, 0.0)):
        scores = measure(Answer(denoised, None), labels=None, noisy=clean, clean=clean).scores
        assert scores["colour_kept"] == pytest.approx(share, abs=0.02)
        assert scores["contrast_kept"] == pytest.approx(share, abs=0.02)
    flat = np.full((1, 64, 64), 0.5, np.float32)
    kept = measure(Answer(flat, None), labels=None, noisy=flat, clean=flat).scores
    assert not {"colour_kept", "contrast_kept"} & kept.keys()
