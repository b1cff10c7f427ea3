"""Baselines are trained, resumed, evaluated and reported like every other network."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tapetum.arch import NetworkFacts, find_architecture
from tapetum.data import Dataset, open_dataset
from tapetum.errors import ArchitectureError, RunError
from tapetum.evaluation import score
from tapetum.images import DecodedImage, write_image
from tapetum.jobs import export, train_network
from tapetum.jobs.choose import require_fit
from tapetum.jobs.run_report import write_run_report
from tapetum.jobs.training import choose_recipe
from tapetum.training import RUNS, NetworkSubject, Recipe, Result, load_network
from tapetum_paper.baselines import build_any, find_baseline

SMALL = "lpienet-0.25x"
NAMES = [SMALL, pytest.param("mobilenet-v3-small", marks=pytest.mark.slow)]


class _StoppedError(Exception):
    pass


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A folder of two classes: bright and dark noise, in colour."""
    root, generator = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for index in range(16):
        pixels = generator.random((3, 32, 32), dtype=np.float32)
        path = root / ("bright", "dark")[index % 2] / f"{index}.png"
        write_image(path, DecodedImage(pixels / (1 + index % 2), None, 8, "rgb"))
    return open_dataset(str(root), seed=0)


@pytest.fixture(scope="module")
def trained(photos: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a denoiser."""
    out = tmp_path_factory.mktemp("runs") / "lpienet"
    _train(facts_for(SMALL, photos), photos, out)
    return out


def facts_for(name: str, dataset: Dataset) -> NetworkFacts:
    """The baseline for the images of a dataset."""
    classes = len(dataset.info.class_names)
    return find_baseline(name, channels=dataset.info.channels, num_classes=classes)


def recipe() -> Recipe:
    """One epoch of a few steps."""
    changes = {"epochs": 1, "batch_size": 4, "checkpoint_every_steps": 2}
    return choose_recipe(None, "photos", noise="gaussian:0.2", changes=changes)


def _train(facts: NetworkFacts, dataset: Dataset, out: Path, **options: object) -> Result:
    return train_network(build_any(facts, seed=0), recipe(), dataset, out, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMES)
def test_a_baseline_is_trained_and_resumed_like_our_own(
    name: str, photos: Dataset, tmp_path: Path
) -> None:
    """After an interruption it ends with the same weights, dropout and all."""
    facts = facts_for(name, photos)
    _train(facts, photos, tmp_path / "unbroken")

    def stop(done: int, total: int, message: str) -> None:
        del total, message
        if done == 3:
            raise _StoppedError

    with pytest.raises(_StoppedError):
        _train(facts, photos, tmp_path / "run", progress=stop)
    result = _train(facts, photos, tmp_path / "run", resume=True)
    assert result.scores is not None
    assert (result.scores.mean.accuracy is None) == facts.denoises
    one, two = (
        load_network(tmp_path / run, network=build_any(facts, seed=1)).state_dict()
        for run in ("unbroken", "run")
    )
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_a_run_of_a_baseline_is_a_run(trained: Path, photos: Dataset) -> None:
    """It has a report, says what it is, and gets the same scores again."""
    network = build_any(facts_for(SMALL, photos), seed=1)
    write_run_report(trained, photos, network=network)
    assert (trained / "report.html").is_file()
    run = RUNS.open(trained)
    assert (run.request.architecture.name, run.request.architecture.kind) == (SMALL, "denoiser")
    noise, scores = run.request.recipe.noise, run.result().scores
    assert scores is not None
    loaded = load_network(trained, network=network)
    subject = NetworkSubject(loaded, photos.info.preparation)
    again = score(subject, photos, noise.spread(), protocol=noise.protocol, filters=True)
    assert again.mean == scores.mean


def test_the_description_of_a_run_can_be_trained_again(
    trained: Path, photos: Dataset, tmp_path: Path
) -> None:
    """architecture.json says which baseline was trained."""
    facts = NetworkFacts.read(trained / "architecture.json")
    assert facts == facts_for(SMALL, photos)
    steps = _train(facts, photos, tmp_path / "run").steps
    assert steps == photos.train.num_batches(recipe().batch_size)


def test_a_baseline_cannot_be_packed(trained: Path, tmp_path: Path) -> None:
    """A package needs an architecture, and nothing is written."""
    with pytest.raises(RunError, match=SMALL):
        export(trained, tmp_path / "p.tapetum")
    assert not list(tmp_path.iterdir())


def test_a_baseline_that_does_not_fit_the_images_is_refused(photos: Dataset) -> None:
    """It takes whole images, of its own channels and classes."""
    digits = open_dataset("digits", seed=0, train_count=4, test_count=2)
    for name, dataset, said in (
        ("resnet-18", digits, "it takes no boxes, the dataset has some"),
        ("resnet-18", photos, r"it takes 1 channel\(s\), the images have 3"),
    ):
        with pytest.raises(ArchitectureError, match=said):
            require_fit(find_baseline(name), dataset)


def test_architectures_are_built_by_the_same_function() -> None:
    """An experiment does not ask which kind of network it has."""
    architecture = find_architecture("unet-s")
    assert build_any(architecture, seed=0).architecture == architecture
