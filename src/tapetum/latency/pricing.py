r"""From latencies of whole networks to a price for every block: the fit behind a table.

A block timed alone is not what it costs inside: calls, layouts at its borders and fusions across
them make the sum differ from the whole.  So whole random networks of a space are timed, and the
latency of each is explained as a sum of prices,

.. math::
    t_i = b + \sum_{s} p_{g(s), o(s)}(w_s), \qquad
    p_{g, o}(w) = x_0 + x_1 w + x_2 \lceil w \rceil_v ,

with one price function for each group :math:`g` of equal slots (channels, stride, size) and each
operator :math:`o` (kernel, squeeze), linear in the hidden width :math:`w` and in the width rounded
up to the vectors of the processor, :math:`v`.  Every :math:`x` is at least zero, so that a wider
block never costs less and nothing costs less than nothing.

Two storeys keep a few hundred networks from explaining noise.  First a few rates are fitted that
hold for the whole machine (for a block, a squeeze, a multiply-add of a 1x1 and of a depth-wise
convolution, and an element written, the last three by the width and by the width rounded up).
Then each price function may differ from what the rates say, at a cost; how much they differ is
decided by cross-validation.

The interval of a prediction is what holds nine in ten of the networks that were predicted by the
others.  It holds at the speed that the machine had: how far all networks are slower or quicker at
another hour cannot be seen in some minutes, and is told apart by whoever checks a table.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tapetum.arch import Candidate, Choices, Slot, Space, cost

__all__ = ["Fit", "Key", "Sample", "fit_prices", "keys_of"]

Array = NDArray[np.float64]

VECTOR_LANES = 16  # floats in the widest register; where it is narrower, there are no stairs
NUM_FOLDS = 5
FREEDOMS = (0.01, 0.03, 0.1, 0.3, 1.0, 10.0)  # how far a price may be from the rates, relatively
MIDDLE_FREEDOM = 0.1
NUM_REWEIGHTINGS = 2
OUTLYING = 4.685  # sigmas beyond which a sample does not count: Tukey's biweight, 95 % efficient
COVERED = 0.9  # of all networks lie inside the interval


class Sample(NamedTuple):
    """A network that was timed.

    Attributes:
        choices: What it is, for each slot.
        median_ms: Its latency.
    """

    choices: Choices
    median_ms: float


class Key(NamedTuple):
    """A price function.

    Attributes:
        group: The path of the first of the slots that are equal.
        operator: Kernel and squeeze, such as ``k3-se``: what a candidate is beside its width.
    """

    group: str
    operator: str


class Fit(NamedTuple):
    """Prices that explain the samples.

    Attributes:
        fixed_ms: What every network costs.
        prices_ms: By key, for each hidden width on the grid.
        errors: Of every sample, predicted by the others: relative, signed.
        interval: Nine in ten networks are that close to what is predicted, relatively, at the speed
            that the machine had.
        freedom: That cross-validation chose.
    """

    fixed_ms: float
    prices_ms: dict[Key, dict[int, float]]
    errors: Array
    interval: float
    freedom: float


def operator_of(candidate: Candidate) -> str:
    """What a candidate is beside its width."""
    return f"k{candidate.kernel_px}" + ("-se" if candidate.squeezes else "")


def keys_of(space: Space, height: int, width: int) -> dict[str, dict[str, Key]]:
    """The price function of each candidate of each slot: path, then name of the candidate."""
    sizes, groups = space.sizes(height, width), dict[object, str]()
    keys: dict[str, dict[str, Key]] = {}
    for path, slot in space.slots.items():
        shape = slot.model_dump(exclude={"candidates", "may_be_left_out"})
        group = groups.setdefault((sizes[path], *shape.values()), path)
        keys[path] = {c.name: Key(group, operator_of(c)) for c in slot.candidates}
    return keys


def fit_prices(space: Space, height: int, width: int, samples: Sequence[Sample]) -> Fit:
    """Explains the latencies of whole networks by prices of their blocks.

    Args:
        space: Of the networks.
        height: Of the images, in pixels.
        width: Of the images, in pixels.
        samples: The networks, at least :data:`NUM_FOLDS`.
    """
    columns = _Columns(space, height, width)
    rows = np.stack([columns.row(sample.choices) for sample in samples])
    latencies = np.array([sample.median_ms for sample in samples])
    trust = np.ones(len(rows))
    for _ in range(NUM_REWEIGHTINGS):
        trust = _trust(_cross_validate(columns, rows, latencies, trust, MIDDLE_FREEDOM))
    errors = {
        freedom: _cross_validate(columns, rows, latencies, trust, freedom) for freedom in FREEDOMS
    }
    best = min(FREEDOMS, key=lambda freedom: float(np.abs(errors[freedom]).mean()))
    found = _solve(columns, rows, latencies, trust, best)
    return Fit(
        fixed_ms=float(found[0]),
        prices_ms=columns.prices(found),
        errors=errors[best],
        interval=_covering(errors[best]),
        freedom=best,
    )


def _cross_validate(
    columns: "_Columns", rows: Array, latencies: Array, trust: Array, freedom: float
) -> Array:
    """The relative error of each sample, predicted by the other folds."""
    folds, errors = np.arange(len(rows)) % NUM_FOLDS, np.empty(len(rows))
    for fold in range(NUM_FOLDS):
        is_out = folds == fold
        found = _solve(columns, rows[~is_out], latencies[~is_out], trust[~is_out], freedom)
        errors[is_out] = rows[is_out] @ found / latencies[is_out] - 1
    return errors


def _trust(errors: Array) -> Array:
    """How much each sample counts: Tukey's biweight (its square root) of how far it is off.

    Neighbours on a shared machine slow some samples by a tenth and more, and never quicken one, so
    a plain mean of squares would predict every network too slow.
    """
    off = errors - np.median(errors)
    spread = 1.4826 * float(np.median(np.abs(off))) or 1e-6  # of a normal distribution: its sigma
    trust: Array = np.maximum(0.0, 1 - (off / (OUTLYING * spread)) ** 2)
    return trust


def _solve(
    columns: "_Columns", rows: Array, latencies: Array, trust: Array, freedom: float
) -> Array:
    """Rates first, then prices near them."""
    relative = rows * (trust / latencies)[:, None]
    rates = _non_negative(relative @ columns.by_rates, trust)
    expected = columns.by_rates @ rates
    noise = float(np.std(relative @ expected - trust)) or 1e-6
    # A price that is off by its freedom costs as much as a sample that is off by the noise.
    typical = columns.typical(expected)
    weights = noise / (freedom * np.maximum(typical, 1e-3 * typical.max()))
    weights[0] = 0.0  # what every network costs is free
    return _non_negative(
        np.vstack([relative, np.diag(weights)]),
        np.concatenate([trust, weights * expected]),
    )


def _non_negative(matrix: Array, target: Array) -> Array:
    from scipy.optimize import nnls  # type: ignore[import-untyped,unused-ignore]

    found, _ = nnls(matrix, target, maxiter=100 * matrix.shape[1])
    return np.asarray(found, dtype=np.float64)


def _covering(errors: Array) -> float:
    """The half-width of an interval that so many further networks lie in: conformal prediction."""
    wanted = min(1.0, COVERED * (1 + 1 / len(errors)))
    return max(1e-6, float(np.quantile(np.abs(errors), wanted, method="higher")))


def _round_up(width: int) -> int:
    return -(-width // VECTOR_LANES) * VECTOR_LANES


class _Columns:
    """The unknowns: one for what is fixed, and three for each key (see the module's formula).

    Attributes:
        by_rates: What each unknown is for each of the machine's rates, (unknowns, rates).
    """

    def __init__(self, space: Space, height: int, width: int) -> None:
        self.keys = keys_of(space, height, width)
        self.slots = space.slots
        self.widths: dict[Key, list[int]] = {}
        self.examples: dict[Key, Candidate] = {}  # those of a key differ in their widths alone
        for path, slot in space.slots.items():
            for candidate in slot.candidates:
                key = self.keys[path][candidate.name]
                self.examples.setdefault(key, candidate)
                known = self.widths.get(key, [])
                self.widths[key] = sorted({*known, *slot.widths(candidate)})
        self.places = {key: 1 + 3 * index for index, key in enumerate(self.widths)}
        self.num_columns = 1 + 3 * len(self.places)
        self.by_rates = self._by_rates(space.sizes(height, width))

    def row(self, choices: Choices) -> Array:
        """How often a network has each unknown."""
        row = np.zeros(self.num_columns)
        row[0] = 1.0
        for path, choice in choices.items():
            if choice is not None:
                key = self.keys[path][choice.candidate]
                place = self.places[key]
                row[place : place + 3] += self._terms(key, choice.hidden_channels)
        return row

    def prices(self, found: Array) -> dict[Key, dict[int, float]]:
        """The price functions on their grids."""
        return {
            key: {
                width: float(self._terms(key, width) @ found[place : place + 3])
                for width in self.widths[key]
            }
            for key, place in self.places.items()
        }

    def typical(self, found: Array) -> Array:
        """How much each price function comes to on average, at each of its unknowns."""
        typical = np.zeros(self.num_columns)
        for key, place in self.places.items():
            widths = self.widths[key]
            terms = np.mean([self._terms(key, width) for width in widths], axis=0)
            typical[place : place + 3] = float(terms @ found[place : place + 3])
        return typical

    def _terms(self, key: Key, width: int) -> Array:
        """One, and the widths as a share of the widest."""
        widest = max(self.widths[key])
        return np.array([1.0, width / widest, _round_up(width) / _round_up(widest)])

    def _by_rates(self, sizes: Mapping[str, tuple[int, int]]) -> Array:
        """Rates: fixed; a block; a squeeze; three by the width, the same by it rounded up."""
        matrix = np.zeros((self.num_columns, 9))
        matrix[0, 0] = 1.0
        for key, place in self.places.items():
            slot, candidate = self.slots[key.group], self.examples[key]
            at_rest, at_widest = (
                _counts(slot, candidate, width, sizes[key.group])
                for width in (0, max(self.widths[key]))
            )
            matrix[place, 1], matrix[place, 2] = 1.0, float(candidate.squeezes)
            matrix[place, 3:6] = at_rest
            matrix[place + 1, 3:6] = at_widest - at_rest
            matrix[place + 2, 6:9] = at_widest - at_rest
        scaled: Array = matrix / np.maximum(matrix.max(axis=0), 1e-12)
        return scaled


def _counts(slot: Slot, candidate: Candidate, width: int, size: tuple[int, int]) -> Array:
    """Multiply-adds of 1x1 and of depth-wise convolutions, and elements; linear in the width."""
    one = _counts_of(slot, candidate, 1, size)
    counts: Array = one + (width - 1) * (_counts_of(slot, candidate, 2, size) - one)
    return counts


def _counts_of(slot: Slot, candidate: Candidate, width: int, size: tuple[int, int]) -> Array:
    block = slot.block_of(candidate, width)
    layers = {layer.path: layer for layer in cost.block_costs(block, size, "block")}
    depthwise = layers["block.depthwise"].multiply_adds
    return np.array(
        [
            sum(layer.multiply_adds for layer in layers.values()) - depthwise,
            depthwise,
            sum(layer.elements for layer in layers.values()),
        ],
        dtype=np.float64,
    )
