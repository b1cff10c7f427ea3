"""Laws of the one table of scores."""

import math
import re

import pytest

from tapetum.noise import Gaussian, PoissonGaussian, Speckle
from tapetum.records import Weight
from tapetum.scores import Calibration, ScoreRow, Scores, show_number


def test_a_table_has_a_row_for_each_level_and_one_for_the_mean() -> None:
    """As many texts as headings; scores that no level has get no column."""
    row = ScoreRow(title="gaussian 0.2", noise=Gaussian(sigma=0.2), num_images=7, accuracy=0.5)
    mean = row.model_copy(update={"title": "mean", "noise": None})
    scores = Scores(protocol="camera", seed=3, source="seven", rows=(row,), mean=mean)
    cells = scores.cells()
    assert [line[0] for line in cells] == ["gaussian 0.2", "mean"]
    assert all(len(line) == len(scores.header) for line in cells)
    assert cells[0][scores.header.index("accuracy %")] == "50.0"
    assert scores.header == ("noise", "accuracy %")
    assert scores.note == "7 images at each noise level, protocol camera, noise seed 3"


def test_an_infinite_score_is_none() -> None:
    """A perfect image has no PSNR that JSON could hold."""
    row = ScoreRow(title="mean", noise=None, num_images=1, psnr_db=math.inf)
    assert ScoreRow.from_json(row.to_json(), source="memory").psnr_db is None


def test_a_share_is_shown_in_percent() -> None:
    """Scaled, with the wanted digits."""
    assert show_number(0.8761, 1, scale=100) == "87.6"
    assert show_number(None, 1) == "-"


def test_a_level_is_found_by_its_sigma() -> None:
    """Only Gaussian noise has one that counts, and a level that was not scored has no row."""
    rows = tuple(
        ScoreRow(title=str(noise), noise=noise, num_images=7)
        for noise in (Speckle(sigma=0.4), Gaussian(sigma=0.4), Gaussian(sigma=0.2))
    )
    mean = ScoreRow(title="mean", noise=None, num_images=7)
    scores = Scores(protocol="camera", seed=0, source="seven", rows=rows, mean=mean)
    assert scores.at_sigma(0.4) is rows[1]
    assert scores.at_sigma(0.3) is None


def scores_of(*rows: ScoreRow) -> Scores:
    """Scores of some levels."""
    mean = ScoreRow(title="mean", noise=None, num_images=7)
    return Scores(protocol="camera", seed=0, source="seven", rows=rows, mean=mean)


def row_at(sigma: float, psnr_db: float, noisy_psnr_db: float | None, **filters: float) -> ScoreRow:
    """The scores of a denoiser at one level."""
    noise = Gaussian(sigma=sigma)
    return ScoreRow(
        title=noise.describe(),
        noise=noise,
        num_images=7,
        psnr_db=psnr_db,
        noisy_psnr_db=noisy_psnr_db,
        filters_db=filters,
    )


def test_a_denoiser_that_harms_is_named_with_its_levels() -> None:
    """By how much; a level without one of the two numbers is not compared."""
    scores = scores_of(row_at(0.0, 50.0, None), row_at(0.1, 19.0, 20.0), row_at(0.2, 18.0, 14.0))
    expected = "at noise gaussian 0.1 the network's image is worse than the noisy image by 1.0 dB"
    assert scores.remarks == (expected, "a clean image comes back with 50.0 dB")
    assert scores.remarks[0].weight is Weight.RESULT


def test_a_filter_that_is_better_is_named() -> None:
    """In the remarks, and in columns that only such scores have."""
    scores = scores_of(row_at(0.1, 25.0, 20.0, wavelet=26.5), row_at(0.2, 24.0, 14.0, wavelet=23.0))
    (remark,) = scores.remarks
    expected = "at noise gaussian 0.1 the network's image is worse than wavelet denoising by 1.5 dB"
    assert remark == expected
    column = scores.header.index("wavelet dB")
    assert [line[column] for line in scores.cells()] == ["26.50", "23.00", "-"]
    assert "wavelet dB" not in scores_of(row_at(0.1, 25.0, 20.0)).header


def test_no_rival_is_better_on_a_clean_image() -> None:
    """A filter that is told that there is no noise returns the image as it is."""
    scores = scores_of(row_at(0.0, 40.0, None, wavelet=70.0), row_at(0.1, 25.0, 20.0, wavelet=24.0))
    assert scores.remarks == ("a clean image comes back with 40.0 dB",)


def test_levels_at_which_a_network_harms_share_a_sentence() -> None:
    """One for each rival, with the most that is lost: a reader looks at it for seconds."""
    rows = [row_at(0.1, 19.0, 20.0, wavelet=25.0), row_at(0.2, 12.0, 14.0, wavelet=10.0)]
    assert scores_of(*rows).remarks == (
        "at noise gaussian 0.1, gaussian 0.2 the network's image is worse than the noisy image by "
        "up to 2.0 dB",
        "at noise gaussian 0.1 the network's image is worse than wavelet denoising by 6.0 dB",
    )


def test_a_loss_at_all_levels_is_said_without_a_list() -> None:
    """A list of three levels or more says no more."""
    rows = [row_at(sigma, 19.0, None, wavelet=20 + sigma) for sigma in (0.1, 0.2, 0.3)]
    expected = (
        "at every noise level the network's image is worse than wavelet denoising by up to 1.3 dB"
    )
    assert scores_of(*rows).remarks == (expected,)


def test_a_headline_has_the_images_of_noisy_levels_alone() -> None:
    """The clean image, which would lift the mean, is told apart; labels count at all levels."""
    rows = [row_at(sigma, db, noisy) for sigma, db, noisy in ((0, 52, None), (0.1, 30, 20))]
    rows.append(row_at(0.2, 26, 14))
    rows = [row.model_copy(update={"accuracy": 0.9 - row.noise.sigma}) for row in rows]
    scores = scores_of(*rows).model_copy(update={"mean": ScoreRow.mean_of(rows)})
    assert scores.mean.psnr_db == pytest.approx(36)
    assert scores.mean.noisy_psnr_db is None
    assert (scores.headline.psnr_db, scores.headline.noisy_psnr_db) == (28, 17)
    assert scores.headline.accuracy == scores.mean.accuracy == pytest.approx(0.8)
    column = scores.header.index("PSNR dB")
    assert [line[column] for line in scores.cells()] == ["52.00", "30.00", "26.00", "28.00"]
    assert scores.note.endswith("; PSNR and SSIM: mean of the noisy images")
    assert scores.remarks == ("a clean image comes back with 52.0 dB",)
    assert scores_of(rows[0]).headline.psnr_db is None
    photons = PoissonGaussian(gain=0.01, sigma=0)
    assert not rows[0].model_copy(update={"noise": photons}).is_clean


def test_faded_images_are_told_with_their_levels() -> None:
    """Only where a fifth of the colour, or most of the local contrast, is lost."""
    rows = [row_at(sigma, 30, 20) for sigma in (0.1, 0.5, 1.0)]
    shares = ((0.97, 0.6), (0.8, 0.24), (0.41, 0.1))
    rows = [
        row.model_copy(update={"colour_kept": colour, "contrast_kept": contrast})
        for row, (colour, contrast) in zip(rows, shares, strict=True)
    ]
    assert scores_of(*rows).remarks == (
        "at noise gaussian 1 the denoised images have 41% of the colour of the clean ones: judge "
        "colours at weaker noise",
        "at noise gaussian 0.5, gaussian 1 the denoised images have as little as 10% of the local "
        "contrast of the clean ones: faint details are missing there",
    )


def test_useless_labels_come_first() -> None:
    """Before what is said of the denoised images."""
    scores = labels_of({"Free": {"Free": 695}, "Crack": {"Free": 305}})
    changed = scores.model_copy(update={"rows": (row_at(0.0, 31.27, None),)})
    assert changed.remarks[0].startswith("the network classifies every image as 'Free'")
    assert changed.remarks[1].startswith("a clean image comes back with")


def labels_of(confusion: dict[str, dict[str, int]]) -> Scores:
    """The scores of such predictions."""
    total = sum(sum(row.values()) for row in confusion.values())
    right = sum(row.get(name, 0) for name, row in confusion.items())
    recalls = {name: row.get(name, 0) / sum(row.values()) for name, row in confusion.items()}
    labels = {"recalls": recalls, "macro_accuracy": sum(recalls.values()) / len(recalls)}
    facts = {"num_images": total, "accuracy": right / total, **labels}
    mean = ScoreRow(title="mean", noise=None, **facts)
    fields = {"protocol": "camera", "seed": 0, "source": "counts", "rows": (mean,), "mean": mean}
    return Scores(**fields, confusion=confusion)


@pytest.mark.parametrize(
    ("confusion", "expected"),
    [
        (
            {"Free": {"Free": 695}, "Crack": {"Free": 305}},
            [
                "the network classifies every image as 'Free': no better than the majority class "
                "(69.5 %)"
            ],
        ),
        (
            {"Free": {"Free": 695}, "Crack": {"Free": 304, "Crack": 1}},
            [
                "the network classifies 99.9 % of all images as 'Free': hardly better (69.6 %) "
                "than the majority class (69.5 %)"
            ],
        ),
        (
            {"Free": {"Crack": 695}, "Crack": {"Crack": 305}},
            [
                "the network classifies every image as 'Crack': no better than the majority class "
                "(69.5 %)"
            ],
        ),
        (
            {"Free": {"Free": 500, "Crack": 195}, "Crack": {"Free": 215, "Crack": 90}},
            ["the labels are no better than 'Free' for every image (69.5 %)"],
        ),
        (
            {"Free": {"Free": 500, "Crack": 195}, "Crack": {"Free": 155, "Crack": 150}},
            [
                "the accuracy (65.0 %) is not above that of 'Free' for every image (69.5 %); the "
                "macro accuracy is 60.6 %, where that would have 50.0 %",
                "recognised less often than by chance: 'Crack' (49.2 %)",
            ],
        ),
        (
            {"Free": {"Free": 690, "Crack": 5}, "Crack": {"Free": 200, "Crack": 105}},
            ["recognised less often than by chance: 'Crack' (34.4 %)"],
        ),
        ({"Free": {"Free": 690, "Crack": 5}, "Crack": {"Free": 100, "Crack": 205}}, []),
        ({"Free": {"Free": 7}}, []),
    ],
)
def test_one_class_for_all_images_is_said_where_it_is_so(
    confusion: dict[str, dict[str, int]], expected: list[str]
) -> None:
    """And only there: with its name, and the share of the majority class."""
    assert labels_of(confusion).remarks == tuple(expected)


def test_classes_that_are_never_recognised_are_named() -> None:
    """A class with one right label is not among them."""
    counts = {"ok": {"ok": 90, "pits": 10}, "pits": {"pits": 50}, "a": {"ok": 30}, "b": {"a": 9}}
    (remark,) = labels_of(counts | {"c": {"c": 1, "ok": 9}}).remarks
    assert remark == (
        "no image of 'a', 'b' is recognised, at any noise level; recognised less often than by "
        "chance: 'c' (10.0 %)"
    )


@pytest.mark.parametrize("temperature", [1.0, 1.7])
def test_the_table_alone_names_the_calibration_error(temperature: float) -> None:
    """A remark says what a temperature changes, of which a second error would be another number."""
    before, after = 0.31, 0.27
    done = {"num_images": 80, "error_before": before, "error_after": after}
    calibration = Calibration(temperature=temperature, **done)
    (said,) = scores_of().model_copy(update={"calibration": calibration}).remarks
    assert "calibration error" in said
    changes = [] if temperature == 1 else [f"{temperature:.2f}", f"{before - after:.3f}"]
    assert re.findall(r"[0-9]+\.[0-9]+", said) == changes


@pytest.mark.parametrize("num_trained", [0, 3])
@pytest.mark.parametrize("short", ["", "it has learned for 46 steps"])
def test_what_makes_scores_no_measure_is_a_warning(num_trained: int, short: str) -> None:
    """A training that was too short, and images of the training, which the note counts too."""
    update = {"num_trained": num_trained, "short_training": short}
    scores = scores_of(row_at(0.1, 25.0, 20.0)).model_copy(update=update)
    trained = [f"the 7 images include {num_trained} of the training: scores of these are too good"]
    assert scores.warnings == (*filter(None, [short]), *(trained if num_trained else []))
    assert (" (3 of the training)" in scores.note) == bool(num_trained)
    assert not set(scores.warnings) & set(scores.remarks)
