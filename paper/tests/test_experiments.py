"""The paper's experiments: they are data, they run, they go on, and they are told truly."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from skimage.metrics import structural_similarity

from tapetum.data import open_dataset
from tapetum.errors import InputError, RunError
from tapetum.noise import Gaussian
from tapetum.training import RUNS, evaluation_batches, load_network, network_predict
from tapetum_paper import (
    ALL,
    CellResult,
    Experiment,
    Reproduced,
    Scale,
    comparison,
    find,
    gather,
    reproduce,
)
from tapetum_paper.compare import NOT_RUN
from tapetum_paper.controlled import FIGURE_9, figure_3, figure_9, table_1, table_7, table_8
from tapetum_paper.drawing import fingerprint_of
from tapetum_paper.example import decoded
from tapetum_paper.figures import drawing
from tapetum_paper.plan import Cell, Measure, Spread, spread
from tapetum_paper.results import result_path
from tapetum_paper.run import run_path

CONTROLLED = (table_1, table_7, table_8, figure_3, figure_9)
ONE = "mb1-s_*"  # the cheapest cell there is


def run_one(out: Path, experiment: Experiment | None = None, **options: object) -> Reproduced:
    """Runs a cell, by default the cheapest, at the scale smoke."""
    asked = experiment or table_7(Scale.smoke)
    return reproduce(asked, **{"out": out, "results": out / "results", "only": ONE, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "experiment",
    [
        *(table_1, table_7, table_8, figure_3),
        pytest.param(figure_9, marks=pytest.mark.slow),  # twenty networks
    ],
)
def test_an_experiment_runs_at_the_scale_smoke(
    experiment: Callable[[Scale], Experiment], tmp_path: Path
) -> None:
    """Every table and figure is run whole, every cell has scores, every figure is drawn."""
    asked = experiment(Scale.smoke)
    made = reproduce(asked, out=tmp_path, results=tmp_path / "results")
    assert len(made.results) == len(asked.cells)
    for done in made.results:
        assert done.result.scores is not None
        assert len(done.result.scores.rows) == 11
    if made.table is not None:
        assert not any("not run" in cell for row in made.table.rows for cell in row)
    assert len(made.files) == asked.name.startswith("figure")
    for path in made.files:
        with Image.open(path) as image:
            assert image.width > 500


@pytest.mark.parametrize("scale", Scale)
def test_one_name_is_one_training(scale: Scale) -> None:
    """Cells of different tables that have one name are the same, so that they share their files."""
    known: dict[str, Cell] = {}
    for experiment in ALL:
        for cell in experiment(scale).cells:
            assert known.setdefault(cell.slug, cell) == cell


def test_the_scale_paper_is_the_published_one() -> None:
    """30,000 images, 100 epochs, Adam at 1e-3 on a plateau, eleven sigmas, equation 1."""
    for experiment in CONTROLLED:
        for cell in experiment(Scale.paper).cells:
            recipe = cell.recipe
            assert (cell.train_count, recipe.epochs, recipe.optimizer) == (30_000, 100, "adam")
            assert (recipe.learning_rate, recipe.schedule) == (1e-3, "plateau")
            assert recipe.noise.levels == tuple(step / 10 for step in range(11))
            assert (recipe.loss.cross_entropy, recipe.loss.charbonnier) == (0.1, 0.9)


def test_the_reduced_rows_have_three_seeds() -> None:
    """At the small scale, and nothing but the seed differs."""
    rows = {row.title: row for row in table_1(Scale.small).rows}
    for title in ("Integrated, reduced", "Sequential, reduced"):
        cells = rows[title].cells
        assert [cell.recipe.seed for cell in cells] == [0, 1, 2]
        unseeded = [c.recipe.model_copy(update={"seed": 0}) for c in cells]
        assert unseeded == unseeded[:1] * 3


def test_figure_9_changes_one_number_at_a_time() -> None:
    """Along a line of a panel only one number of the denoiser differs."""
    for panel in FIGURE_9:
        for line in panel.lines.values():
            differing = [
                name for name in line[0]._fields if len({getattr(n, name) for n in line}) > 1
            ]
            assert len(differing) == 1
            assert len({panel.point(numbers) for numbers in line}) == len(line)


def test_figure_3_shows_the_networks_of_table_1() -> None:
    """With the same cells, so that nothing is trained twice."""
    assert set(figure_3(Scale.small).cells) <= set(table_1(Scale.small).cells)
    assert len(figure_3(Scale.small).rows) == 4


def test_what_was_run_is_not_run_again(tmp_path: Path) -> None:
    """The second time nothing is written, and the same comes out."""
    first = run_one(tmp_path)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert run_one(tmp_path).results == first.results
    assert files == {
        path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()
    }


class _PlugPulled(Exception):  # noqa: N818  (it stands for a kill, not for an error)
    pass


def test_a_table_that_was_killed_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """Finished cells stay, the unfinished one ends with the weights of an unbroken run."""
    both = "mb[14]-s_*"

    def pull_the_plug(done: int, total: int, message: str) -> None:
        if message.startswith("mb4-s") and (done, total) == (2, 4):
            raise _PlugPulled

    with pytest.raises(_PlugPulled):
        run_one(tmp_path / "broken", only=both, progress=pull_the_plug)
    experiment = table_7(Scale.smoke)
    first, second = (next(c for c in experiment.cells if n in c.slug) for n in ("mb1-s", "mb4-s"))
    kept = result_path(tmp_path / "broken" / "results", Scale.smoke, first)
    before = kept.stat().st_mtime_ns
    broken = run_one(tmp_path / "broken", only=both)
    unbroken = run_one(tmp_path / "whole", only=both)
    assert kept.stat().st_mtime_ns == before
    assert [one.result.scores for one in broken.results] == [
        one.result.scores for one in unbroken.results
    ]
    weights = [
        run_path(tmp_path / name, Scale.smoke, second) / "weights.safetensors"
        for name in ("broken", "whole")
    ]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_a_run_goes_on_in_the_precision_of_its_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine where another one is quicker, too."""

    def pull_the_plug(done: int, total: int, message: str) -> None:
        if message.startswith("mb1-s") and (done, total) == (2, 4):
            raise _PlugPulled

    monkeypatch.setattr("tapetum.training.recipe.bf16_pays", lambda: True)
    with pytest.raises(_PlugPulled):
        run_one(tmp_path, progress=pull_the_plug)
    monkeypatch.setattr("tapetum.training.recipe.bf16_pays", lambda: False)
    done = run_one(tmp_path).results[0]
    folder = run_path(tmp_path, Scale.smoke, done.cell)
    assert RUNS.open(folder).request.recipe.precision == "bf16"
    afresh = run_one(tmp_path / "afresh").results[0]
    folder = run_path(tmp_path / "afresh", Scale.smoke, afresh.cell)
    assert RUNS.open(folder).request.recipe.precision == "fp32"


def test_a_result_of_other_settings_is_not_taken(tmp_path: Path) -> None:
    """A recipe that has changed since is noticed, and nothing is overwritten."""
    path = _result_of_one(tmp_path)
    changed = json.loads(path.read_text())
    changed["cell"]["recipe"]["epochs"] = 7
    path.write_text(json.dumps(changed))
    with pytest.raises(RunError, match="other settings than mb1-s_smoke_seed0"):
        run_one(tmp_path)
    assert json.loads(path.read_text()) == changed


def test_a_result_of_other_digits_is_not_taken(tmp_path: Path) -> None:
    """The table would mix two data sets."""
    path = _result_of_one(tmp_path)
    changed = json.loads(path.read_text()) | {"source": "other digits"}
    path.write_text(json.dumps(changed))
    with pytest.raises(RunError, match="was made with other digits"):
        run_one(tmp_path)


def _result_of_one(out: Path) -> Path:
    return result_path(out / "results", Scale.smoke, run_one(out).results[0].cell)


def test_a_pattern_without_a_match_names_the_cells(tmp_path: Path) -> None:
    """Nothing is begun."""
    with pytest.raises(InputError, match=r"matches 'mb9'.*mb1-s_smoke_seed0"):
        run_one(tmp_path, only="mb9")
    assert not any(tmp_path.iterdir())


def test_an_unknown_experiment_is_refused_with_the_nearest() -> None:
    """A slip of the hand is not a search through the documents."""
    with pytest.raises(InputError, match=r"no experiment is called 'table_11'.*table_1"):
        find("table_11")


def test_the_comparison_subtracts_the_paper(tmp_path: Path) -> None:
    """Ours less the paper's, to the digit that is shown; what is missing is said to be not run."""
    done = run_one(tmp_path).results[0]
    assert done.result.scores is not None
    table = comparison(gather(table_7(Scale.smoke), tmp_path / "results"))
    assert table is not None
    rows = [row for row in table.rows if row[1] == "here"]
    assert [row[2] == "not run" for row in rows] == [True, *[False], *[True] * 6]
    place = [row[0] for row in table.rows].index("MB1-S")
    printed, ours, difference = table.rows[place : place + 3]
    percent = 100 * (done.result.scores.mean.accuracy or 0)
    assert (printed[2], ours[2]) == ("56.2", f"{percent:.1f}")
    assert difference[1:3] == ("difference", f"{percent - 56.2:+.1f}")


def test_two_scales_never_share_a_result(tmp_path: Path) -> None:
    """A cell that was run at one scale is not run at another."""
    run_one(tmp_path)
    table = comparison(gather(table_7(Scale.small), tmp_path / "results"))
    assert table is not None
    assert all(row[2] == "not run" for row in table.rows if row[1] == "here")


def test_the_spread_of_seeds() -> None:
    """One seed has no deviation, and none has no mean."""
    assert spread([1.0, 3.0]) == Spread(2.0, pytest.approx(2**0.5))
    assert spread([1.0, None]) == Spread(1.0, None)
    assert spread([None]) is None


def test_an_example_is_kept_with_the_result_of_a_denoiser(tmp_path: Path) -> None:
    """Truth, noisy and denoised are images of 96 px; a classifier has none."""
    made = run_one(tmp_path, table_8(Scale.smoke), only="unet-s_*")
    example = made.results[0].examples[0]
    assert example is not None
    shapes = {decoded(png).shape for png in (example.truth, example.noisy, example.denoised)}
    assert shapes == {(96, 96)}
    assert example.truth != example.noisy
    assert run_one(tmp_path).results[0].examples == ()


def test_a_drawing_tells_whether_it_is_of_these_results(tmp_path: Path) -> None:
    """Its fingerprint is that of the results it shows, and changes with them."""
    asked = figure_9(Scale.smoke)
    results, path = tmp_path / "results", tmp_path / "figure.png"
    assert drawing(gather(asked, results)) is None
    assert fingerprint_of(path) is None
    made = run_one(tmp_path, asked, only="unet-s_*")
    drawn = drawing(gather(asked, results))
    assert drawn is not None
    drawn.write(path)
    assert fingerprint_of(path) == drawn.fingerprint
    _worsen(made.results[0], results)
    worse = drawing(gather(asked, results))
    assert worse is not None
    assert fingerprint_of(path) != worse.fingerprint


def test_a_figure_without_a_whole_point_is_not_drawn(tmp_path: Path) -> None:
    """Accuracy over latency, where no latency was taken."""
    asked = figure_9(Scale.smoke)
    run_one(tmp_path, asked, only="unet-s_*")
    without = Measure("ms", 2, lambda _done: None)
    results = tmp_path / "results"
    assert drawing(gather(replace(asked, measures=(*asked.measures, without)), results)) is None


def test_a_panel_of_which_nothing_was_run_says_so(tmp_path: Path) -> None:
    """UNet-S is a point of the multiplier's panel alone; the others have no axes, but words."""
    asked = figure_9(Scale.smoke)
    run_one(tmp_path, asked, only="unet-s_*")
    drawn = drawing(gather(asked, tmp_path / "results"))
    assert drawn is not None
    *others, multiplier = drawn.draw().axes
    assert [text.get_text() for axes in others for text in axes.texts] == [NOT_RUN] * 3
    assert not any(axes.axison for axes in others)
    assert len(multiplier.lines) == 1
    assert NOT_RUN not in [text.get_text() for text in multiplier.texts]


def test_truth_and_noise_are_shown_whichever_network_was_run(tmp_path: Path) -> None:
    """Figure 3 of which the last network alone was run: two images, three gaps, its own."""
    asked = figure_3(Scale.smoke)
    run_one(tmp_path, asked, only=asked.cells[-1].slug)
    drawn = drawing(gather(asked, tmp_path / "results"))
    assert drawn is not None
    above = [axes for axes in drawn.draw().axes if axes.get_title()]
    assert [axes.get_title() for axes in above[:2]] == ["truth", "noisy, sigma 0.8"]
    assert [bool(axes.images) for axes in above] == [True, True, False, False, False, True]


def _worsen(done: CellResult, results: Path) -> None:
    """Changes the PSNR in a result file."""
    path = result_path(results, Scale.smoke, done.cell)
    changed = json.loads(path.read_text())
    for row in changed["result"]["scores"]["rows"]:
        row["psnr_db"] = (row["psnr_db"] or 0) - 1
    path.write_text(json.dumps(changed))


def test_ssim_as_printed_is_ssim_on_a_range_of_two(tmp_path: Path) -> None:
    """Equal to scikit-image with the range that its older versions assume for floats."""
    made = run_one(tmp_path, table_8(Scale.smoke), only="unet-s_*").results[0]
    images = open_dataset("digits", seed=0, train_count=4, test_count=2).validation
    predict = network_predict(load_network(run_path(tmp_path, Scale.smoke, made.cell)))
    noisy = next(
        evaluation_batches(images, Gaussian(sigma=0.4), protocol="benchmark", batch_size=2, seed=0)
    )
    denoised, _ = predict(noisy.noisy.numpy(), None)
    assert denoised is not None
    assert made.ssim_as_printed is not None
    expected = [
        structural_similarity(
            truth,
            shown,
            data_range=2,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        for truth, shown in zip(noisy.clean.numpy()[:, 0], denoised.clip(0, 1)[:, 0], strict=True)
    ]
    # scikit-image averages over all but a margin of its window, which is as wide as ours.
    assert made.ssim_as_printed[0.4] == pytest.approx(sum(expected) / 2, abs=1e-4)
