"""Laws of prices, tables and budgets, on a device that is made up and so can be known."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from tapetum.arch.space import Candidate, Choice, Choices, Slot, Space, SpaceClassifier
from tapetum.arch.spec import Conv, Whole
from tapetum.errors import InputError
from tapetum.latency.budget import Budget, best_network
from tapetum.latency.campaign import Measurements
from tapetum.latency.conditions import Conditions
from tapetum.latency.pricing import Sample, keys_of
from tapetum.latency.table import NINE_IN_TEN, LatencyTable, make_table
from tapetum.provenance import stamp

CONDITIONS = Conditions(
    device="a made-up one",
    runtime="onnxruntime",
    runtime_version="1",
    precision="fp32",
    threads=1,
    batch=1,
    channels=1,
    height_px=32,
    width_px=32,
)
CANDIDATES = tuple(
    Candidate(kernel_px=k, expansion=e, squeezes=s)
    for k, e, s in ((3, 3, False), (5, 3, False), (3, 6, False), (3, 3, True))
)


def small_space(*, num_slots: int = 4, learns_depth: bool = True, num_classes: int = 3) -> Space:
    """A strided slot and equal ones behind it."""
    first = Slot(in_channels=8, out_channels=16, stride_px=2, candidates=CANDIDATES)
    rest = Slot(
        in_channels=16, out_channels=16, candidates=CANDIDATES, may_be_left_out=learns_depth
    )
    return Space(
        name="small",
        image_channels=1,
        classifier=SpaceClassifier(
            source="noisy",
            region=Whole(),
            blocks=(Conv(in_channels=1, out_channels=8), first, *[rest] * (num_slots - 1)),
            pooling="mean",
            features=16,
            num_classes=num_classes,
        ),
    )


def true_ms(space: Space, choices: Choices) -> float:
    """What the device takes: a sum, with a whim for one kernel and stairs of 16."""
    total = 0.5
    for path, choice in choices.items():
        if choice is not None:
            slot = space.slots[path]
            candidate = slot.candidate(choice.candidate)
            stairs = -(-choice.hidden_channels // 16) * 16
            per_channel = 0.01 * candidate.kernel_px * (3 if candidate.kernel_px == 5 else 1)
            total += 0.1 + per_channel * stairs / slot.stride_px + 0.3 * candidate.squeezes
    return total


def measured(space: Space, count: int, *, noise: float = 0.0, seed: int = 0) -> list[Sample]:
    """Random networks, timed on the device."""
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        choices = space.random(generator)
        disturbed = 1 + noise * generator.standard_normal()
        found.append(Sample(choices, true_ms(space, choices) * disturbed))
    return found


def table_of(space: Space, *, noise: float = 0.0) -> LatencyTable:
    """The table of 200 networks."""
    found = Measurements(measured(space, 200, noise=noise), num_rounds=1, noise=None)
    return make_table(space, CONDITIONS, found, stamp(seed=0))


@pytest.fixture(scope="module")
def table() -> LatencyTable:
    """A table of the small space."""
    return table_of(small_space())


def test_equal_slots_share_their_prices() -> None:
    """Same channels, stride and size: one group; the size of the image decides too."""
    keys = keys_of(small_space(), 32, 32)
    groups = {path: next(iter(names.values())).group for path, names in keys.items()}
    assert list(groups.values()) == [
        "classifier.blocks.1",
        *["classifier.blocks.2"] * 3,
    ]
    assert {key.operator for names in keys.values() for key in names.values()} == {
        "k3",
        "k5",
        "k3-se",
    }


def test_prices_explain_networks_that_they_were_not_fitted_to() -> None:
    """On a device without noise within 1 %, with 3 % of noise within about that."""
    space = small_space()
    fresh = measured(space, 50, seed=1)
    for noise, worst in ((0.0, 0.01), (0.03, 0.04)):
        table = table_of(space, noise=noise)
        errors = [table.predict(one.choices).median_ms / one.median_ms - 1 for one in fresh]
        assert np.abs(errors).max() < worst


def test_networks_that_a_neighbour_slows_do_not_move_the_prices() -> None:
    """A tenth of them a quarter slower: predictions are for the others, not for the mean."""
    space = small_space()
    slowed = [
        one._replace(median_ms=one.median_ms * (1.25 if index % 10 == 0 else 1))
        for index, one in enumerate(measured(space, 200, noise=0.01))
    ]
    table = make_table(space, CONDITIONS, Measurements(slowed, 1, None), stamp(seed=0))
    errors = [
        table.predict(one.choices).median_ms / one.median_ms - 1
        for one in measured(space, 50, seed=1)
    ]
    assert abs(np.mean(errors)) < 0.003


def test_the_interval_follows_the_noise(table: LatencyTable) -> None:
    """As stated at the noise of then, wider where there is more, and never below half of it."""
    known = table.accuracy.model_copy(update={"interval": 0.03, "noise": 0.01})
    assert known.interval_at(0.01) == pytest.approx(0.03)
    assert 0.03 < known.interval_at(0.02) < 0.03 + NINE_IN_TEN * 0.02
    assert 0.015 <= known.interval_at(0.0) < 0.03
    assert known.model_copy(update={"noise": 0.02}).interval_at(0.0) == pytest.approx(0.015)


def test_the_interval_holds_what_it_says() -> None:
    """Nine in ten fresh networks lie inside, where the speed and the noise are the same."""
    space = small_space()
    table = table_of(space, noise=0.03)
    errors = [
        table.predict(one.choices).median_ms / one.median_ms - 1
        for one in measured(space, 300, noise=0.03, seed=2)
    ]
    assert 0.85 <= np.mean(np.abs(errors) <= table.accuracy.interval) <= 0.95


def test_one_choice_changed_changes_the_prediction_by_its_price(table: LatencyTable) -> None:
    """Whatever else stands in the network; leaving a slot out saves its whole price."""
    prices = table.prices
    generator = np.random.default_rng(0)
    for _ in range(20):
        choices = table.space.random(generator)
        path = str(generator.choice(list(choices)))
        for other, price in prices[path].items():
            changed = {**choices, path: other}
            difference = table.predict(changed).median_ms - table.predict(choices).median_ms
            assert difference == pytest.approx(price - prices[path][choices[path]])


def test_a_wider_block_never_costs_less(table: LatencyTable) -> None:
    """And nothing costs less than nothing."""
    for entry in table.entries:
        prices = [entry.prices_ms[width] for width in sorted(entry.prices_ms)]
        assert prices == sorted(prices)
        assert prices[0] >= 0


def test_a_table_written_and_read_is_equal(table: LatencyTable, tmp_path: Path) -> None:
    """Every price to the last digit."""
    table.write(tmp_path / "table.json")
    assert LatencyTable.read(tmp_path / "table.json") == table


def test_a_table_that_lacks_a_price_is_refused(table: LatencyTable) -> None:
    """A hole would be found in the middle of a search."""
    data = table.model_dump()
    del data["entries"][0]["prices_ms"][16]
    with pytest.raises(ValueError, match=r"there is no price for classifier\.blocks\.1 k3-e3"):
        LatencyTable.model_validate(data)


def test_what_was_not_measured_is_not_guessed(table: LatencyTable) -> None:
    """A width off the grid is an error that names the command that measures."""
    choices = table.space.random(np.random.default_rng(0))
    wide = Choice(candidate="k3-e3", hidden_channels=800)
    with pytest.raises(InputError, match=r"no price for.*tapetum latency measure"):
        table.predict({**choices, "classifier.blocks.1": wide})


def test_an_architecture_is_priced_as_its_choices(table: LatencyTable) -> None:
    """The network that is delivered and the choices of a search have one latency."""
    choices = table.space.random(np.random.default_rng(1))
    architecture = table.space.architecture(choices)
    assert table.predict_architecture(architecture) == table.predict(choices)


def test_other_conditions_are_refused_by_name() -> None:
    """Another runtime, other threads: both are told, and what to do."""
    other = CONDITIONS.model_copy(update={"runtime": "openvino", "threads": 2})
    with pytest.raises(InputError) as caught:
        CONDITIONS.require_same(other, what="table.json")
    message = str(caught.value)
    assert "runtime onnxruntime, not openvino; threads 1, not 2" in message
    CONDITIONS.require_same(CONDITIONS, what="table.json")


def test_the_range_is_that_of_all_networks() -> None:
    """Equal to trying every one."""
    space = small_space(num_slots=2)
    table = table_of(space)
    every = [table.predict(choices).median_ms for choices in _every(space)]
    assert table.range == pytest.approx((min(every), max(every)))


def test_the_best_network_is_the_best_of_all() -> None:
    """Equal to trying every one, for several targets and random scores."""
    space = small_space(num_slots=2)
    table = table_of(space)
    generator = np.random.default_rng(0)
    scores = {
        path: {choice: float(generator.normal()) for choice in slot}
        for path, slot in table.prices.items()
    }
    latencies = {
        tuple(choices.values()): (
            table.predict(choices).median_ms,
            sum(scores[path][choice] for path, choice in choices.items()),
        )
        for choices in _every(space)
    }
    fastest, slowest = table.range
    for share in (0.05, 0.2, 0.5, 0.9, 1.1):
        target_ms = fastest + share * (slowest - fastest)
        found = best_network(Budget.of(table, target_ms), scores)
        expected = max(score for ms, score in latencies.values() if ms <= target_ms - 1e-2)
        assert found.latency_ms <= target_ms
        assert found.latency_ms == pytest.approx(table.predict(found.choices).median_ms)
        assert found.score >= expected
        assert found.score == pytest.approx(latencies[tuple(found.choices.values())][1])


def test_a_budget_far_above_the_table_needs_no_more_memory(table: LatencyTable) -> None:
    """It takes the best of each slot, as a budget of twice the slowest network does."""
    scores = {
        path: {choice: float(number) for number, choice in enumerate(slot)}
        for path, slot in table.prices.items()
    }
    slowest_ms = table.range.slowest_ms
    assert best_network(Budget.of(table, 1e9), scores) == best_network(
        Budget.of(table, 2 * slowest_ms), scores
    )


def test_the_fastest_network_keeps_its_own_latency(table: LatencyTable) -> None:
    """Also where whole microseconds, rounded up, would not fit; below it nothing does."""
    fastest_ms = table.range.fastest_ms
    found = best_network(Budget.of(table, fastest_ms), table.prices)
    assert found.latency_ms == pytest.approx(fastest_ms)
    slow = {path: {max(slot, key=slot.__getitem__): 1.0} for path, slot in table.prices.items()}
    with pytest.raises(InputError, match="no network of the scored choices"):
        best_network(Budget.of(table, fastest_ms), slow)


def _every(space: Space) -> list[dict[str, Choice | None]]:
    options = [
        [*slot.choices(), *([None] if slot.may_be_left_out else [])]
        for slot in space.slots.values()
    ]
    return [dict(zip(space.slots, one, strict=True)) for one in product(*options)]


@pytest.mark.parametrize("target_ms", [0.0, -1.0, float("nan"), float("inf")])
def test_a_target_that_makes_no_sense_is_refused(table: LatencyTable, target_ms: float) -> None:
    """A latency is a positive number."""
    with pytest.raises(InputError, match="must be a number greater than 0"):
        Budget.of(table, target_ms)


def test_a_target_below_the_fastest_network_is_refused_with_the_nearest(
    table: LatencyTable,
) -> None:
    """And the nearest that is named is feasible."""
    fastest, _ = table.range
    with pytest.raises(InputError, match=r"no network of small takes .*; ask for") as caught:
        Budget.of(table, 0.9 * fastest)
    named = float(str(caught.value).split("ask for ")[1].split(" ms")[0])
    Budget.of(table, named)


def test_a_share_of_a_range_lies_between_its_ends(table: LatencyTable) -> None:
    """Nothing of it is the fastest network, all of it the slowest."""
    spans = table.range
    assert spans.at(0) == spans.fastest_ms < spans.at(0.5) < spans.at(1)
    assert spans.at(1) == pytest.approx(spans.slowest_ms)
