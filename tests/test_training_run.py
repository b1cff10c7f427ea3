"""The folder of a run: what is kept, what is refused, what is never removed."""

import csv
import json
from pathlib import Path

import pytest

from tapetum.arch import NetworkFacts
from tapetum.errors import InputError, RunError
from tapetum.training import Request, RunFolder, load_network
from tapetum.training.checkpoint import EpochRow
from tiny_training import TINY_DATA, tiny_architecture, tiny_recipe, tiny_train


def _request(**changes: object) -> Request:
    return Request(architecture=tiny_architecture(), recipe=tiny_recipe(**changes), data=TINY_DATA)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    path = tmp_path_factory.mktemp("finished") / "run"
    tiny_train(path)
    return path


def test_a_run_remembers_what_was_asked(tmp_path: Path) -> None:
    """What is opened later is what was asked."""
    made = RunFolder.create(tmp_path / "deep" / "run", _request())
    opened = RunFolder.open(made.path)
    assert opened.request == _request()
    assert not opened.is_finished
    with pytest.raises(RunError, match="not finished; go on with --resume"):
        opened.result()


def test_a_run_of_a_module_remembers_its_facts(tmp_path: Path) -> None:
    """Facts are told from an architecture by their format, which an architecture has not."""
    facts = NetworkFacts(name="mine", kind="denoiser", image_channels=1)
    request = _request().model_copy(update={"architecture": facts})
    made = RunFolder.create(tmp_path / "run", request)
    assert RunFolder.open(made.path).request == request
    assert "format" not in json.loads(_request().to_json())["architecture"]
    with pytest.raises(RunError, match=r"architecture\.name was 'mine'"):
        made.require_same(_request())


def test_an_older_run_stays_unless_it_may_go(tmp_path: Path) -> None:
    """A second run in the same folder is refused, and takes its place with ``overwrite``."""
    RunFolder.create(tmp_path / "run", _request())
    (tmp_path / "run" / "metrics.csv").write_text("old")
    with pytest.raises(RunError, match=r"holds a run already; .*--overwrite"):
        RunFolder.create(tmp_path / "run", _request(epochs=5))
    run = RunFolder.create(tmp_path / "run", _request(epochs=5), overwrite=True)
    assert run.request.recipe.epochs == 5
    assert not (run.path / "metrics.csv").exists()


def test_all_of_an_older_run_goes(tmp_path: Path) -> None:
    """Nothing of its folder stays, nor beside it; a link to it stays, and leads to the new run."""
    RunFolder.create(tmp_path / "run", _request())
    (tmp_path / "run" / "notes.txt").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "run", target_is_directory=True)
    RunFolder.create(tmp_path / "link", _request(epochs=5), overwrite=True)
    assert RunFolder.open(tmp_path / "run").request.recipe.epochs == 5
    assert sorted(file.name for file in tmp_path.rglob("*")) == [
        "architecture.json",
        "link",
        "request.json",
        "run",
    ]


def test_a_kill_while_an_older_run_goes_leaves_no_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its place is free at once, and the next run there removes what was left of it."""
    path = tmp_path / "run"
    RunFolder.create(path, _request())

    def die(folder: Path) -> None:
        (folder / "request.json").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", die)
        with pytest.raises(KeyboardInterrupt):
            RunFolder.create(path, _request(epochs=5), overwrite=True)
    assert not path.exists()
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".run.")
    RunFolder.create(path, _request(epochs=5))
    assert list(tmp_path.iterdir()) == [path]


def test_a_run_that_cannot_be_put_aside_stays_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system refuses, or where the user stands in it, not one file is removed."""
    run = RunFolder.create(tmp_path / "run", _request())

    def refuse(path: Path, target: Path) -> None:
        del path, target
        raise OSError(16, "Device or resource busy")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", refuse)
        with pytest.raises(RunError, match="cannot be replaced: Device or resource busy"):
            RunFolder.create(run.path, _request(epochs=5), overwrite=True)
    monkeypatch.chdir(run.path)
    with pytest.raises(RunError, match="is where you are"):
        RunFolder.create(Path(), _request(epochs=5), overwrite=True)
    assert RunFolder.open(run.path) == run


@pytest.mark.parametrize("content", [None, "{}", "no json", '["tapetum-run"]'])
def test_a_folder_that_is_no_run_is_never_removed(content: str | None, tmp_path: Path) -> None:
    """Not even with ``overwrite``, and not for having a request.json of someone else."""
    (tmp_path / "thesis.txt").write_text("years of work")
    if content is not None:
        (tmp_path / "request.json").write_text(content)
    with pytest.raises(RunError, match="is not the folder of a run, so it is left alone"):
        RunFolder.create(tmp_path, _request(), overwrite=True)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_file_is_never_replaced(tmp_path: Path) -> None:
    """A run cannot take the place of a file."""
    (tmp_path / "file").write_text("text")
    with pytest.raises(RunError, match="left alone"):
        RunFolder.create(tmp_path / "file", _request(), overwrite=True)


def test_an_empty_folder_may_become_a_run(tmp_path: Path) -> None:
    """So may one where a killed process left an unfinished file and nothing else."""
    (tmp_path / ".request.json.abc.part").write_text("{")
    run = RunFolder.create(tmp_path, _request())
    run.sweep()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["architecture.json", "request.json"]


def test_what_is_no_run_is_not_opened(tmp_path: Path) -> None:
    """A folder without a request, or with a damaged one, is refused with a sentence."""
    with pytest.raises(RunError, match=r"has no request\.json"):
        RunFolder.open(tmp_path)
    (tmp_path / "request.json").write_text('{"recipe": 1}')
    with pytest.raises(InputError, match="does not describe a Request"):
        RunFolder.open(tmp_path)


def test_another_request_is_refused_by_its_fields(tmp_path: Path) -> None:
    """All differences are named at once: of the data, the recipe, the architecture."""
    run = RunFolder.create(tmp_path / "run", _request())
    run.require_same(_request())
    other = Request(
        architecture=tiny_architecture("unet-s"),
        recipe=tiny_recipe(learning_rate=0.5),
        data=TINY_DATA.model_copy(update={"source": "circles"}),
    )
    with pytest.raises(RunError) as caught:
        run.require_same(other)
    sentence = str(caught.value)
    assert "architecture.name was 'dc-net-reduced-integrated', is 'unet-s'" in sentence
    assert "recipe.learning_rate was 0.003, is 0.5" in sentence
    assert "data.source was 'squares', is 'circles'" in sentence
    assert "recipe.epochs" not in sentence


def test_the_table_has_a_row_for_each_epoch(tmp_path: Path) -> None:
    """Writing it again with fewer rows forgets the others."""
    run = RunFolder.create(tmp_path / "run", _request())
    rows = [
        EpochRow(
            epoch=epoch,
            step=10 * epoch,
            learning_rate=0.1,
            train={"loss": 1.0},
            validation={"loss": 2.0, "accuracy": 0.5},
            seconds=3.0,
        )
        for epoch in (1, 2)
    ]
    run.write_metrics(rows)
    run.write_metrics(rows[:1])
    with (run.path / "metrics.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["epoch"], row["train_loss"], row["validation_accuracy"]) == ("1", "1.0", "0.5")


def test_a_finished_run_has_every_file(finished: Path) -> None:
    """What was asked, checkpoints, table, events, weights, and a result with provenance."""
    for name in (
        "request.json",
        "architecture.json",
        "checkpoints/last.safetensors",
        "checkpoints/best.safetensors",
        "metrics.csv",
        "weights.safetensors",
        "result.json",
    ):
        assert (finished / name).stat().st_size > 0
    assert list((finished / "events").glob("events.out.tfevents.*"))
    result = RunFolder.open(finished).result()
    assert result.provenance.seed == 0
    assert result.steps == 8
    assert result.last.epoch == result.kept_epoch == 2


def test_a_trained_network_is_loaded(finished: Path) -> None:
    """It is the run's architecture, in evaluation mode, with the run's weights."""
    network = load_network(finished)
    assert network.architecture == tiny_architecture()
    assert not network.training
    last = load_network(finished, weights="last")
    for name, value in network.state_dict().items():
        assert last.state_dict()[name].equal(value)
