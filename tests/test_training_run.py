"""The folder of a run: what is kept, what is refused, what is never removed."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tapetum.arch import NetworkFacts
from tapetum.errors import InputError, RunError
from tapetum.training import RUNS, Request, load_network
from tapetum.training.checkpoint import read_weights
from tapetum.training.run import LAST, Result
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
    made = RUNS.start(tmp_path / "deep" / "run", _request())
    opened = RUNS.open(made.path)
    assert opened.request == _request()
    assert not opened.is_finished
    with pytest.raises(RunError, match="not finished; continue it with --resume"):
        opened.result()


def test_a_run_of_a_module_remembers_its_facts(tmp_path: Path) -> None:
    """Facts are told from an architecture by their format, which an architecture has not."""
    facts = NetworkFacts(name="mine", kind="denoiser", image_channels=1)
    request = _request().model_copy(update={"architecture": facts})
    made = RUNS.start(tmp_path / "run", request)
    assert RUNS.open(made.path).request == request
    assert "format" not in json.loads(_request().to_json())["architecture"]
    with pytest.raises(RunError, match=r"architecture\.name was 'mine'"):
        made.require_same(_request())


def test_what_is_no_run_is_not_opened(tmp_path: Path) -> None:
    """A folder without a request, or with a damaged one, is refused with a sentence."""
    with pytest.raises(RunError, match=r"has no request\.json"):
        RUNS.open(tmp_path)
    (tmp_path / "request.json").write_text('{"recipe": 1}')
    with pytest.raises(InputError, match="does not describe a Request"):
        RUNS.open(tmp_path)


def test_another_request_is_refused_by_its_fields(tmp_path: Path) -> None:
    """All differences are named at once: of the data, the recipe, the architecture."""
    run = RUNS.start(tmp_path / "run", _request())
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
    result = RUNS.open(finished).result()
    assert result.provenance.seed == 0
    assert result.steps == 8
    assert result.last.epoch == result.kept_epoch == 2


def test_a_trained_network_is_loaded(finished: Path) -> None:
    """It is the run's architecture, in evaluation mode, with the run's weights."""
    network = load_network(finished)
    assert network.architecture == tiny_architecture()
    assert not network.training
    last = read_weights(finished / LAST)
    for name, value in network.state_dict().items():
        assert last[name].equal(value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"steps": 50}, "it took 50 steps, .* at least 1,000; give it about 20 times as many"),
        ({"steps": 1_000}, ""),
        ({"steps": 50, "start": "weights of another run"}, ""),
        ({"steps": 50, "early_end": "flat for a minute"}, ""),
    ],
)
def test_a_training_that_is_far_too_short_says_what_is_needed(
    changes: dict[str, Any], said: str
) -> None:
    """The fewest steps of a default; no seconds, since scores do not depend on the machine."""
    result = Result.model_construct(**changes)
    assert re.search(said, result.few_steps) if said else result.few_steps == ""
