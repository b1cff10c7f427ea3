r"""Fit prices of blocks to latencies of whole networks.

A block timed alone does not show its cost inside a network, because of calls, memory layouts and
fusions.  So whole random networks are timed, and each latency is explained as a sum of prices,

.. math::
    t_i = b + \sum_{s} p_{g(s), o(s)}(w_s), \qquad
    p_{g, o}(w) = x_0 + x_1 w + x_2 \lceil w \rceil_v ,

with one price function for each group :math:`g` of equal slots (channels, stride, size) and each
operator :math:`o` (kernel, squeeze).  It is linear in the hidden width :math:`w` and in the width
rounded up to the vectors of the processor, :math:`v`.  Every :math:`x` is at least zero, so that a
wider block never costs less.

Two levels keep a few hundred networks from fitting noise.  First a few rates of the machine are
fitted: for a block, a squeeze, a multiply-add of a 1x1 and of a depth-wise convolution, and an
element written; the last three by the width and by the rounded width.  Then each price function may
differ from these rates at a cost, which cross-validation chooses.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tapetum.arch import Candidate, Choices, Slot, Space, cost
from tapetum.errors import needs_extra
from tapetum.latency.model import round_up

__all__ = ["Fit", "Key", "Sample", "fit_prices", "keys_of", "require_solver"]

Array = NDArray[np.float64]

VECTOR_LANES = 16  # floats in the widest register; where it is narrower, there are no stairs
NUM_FOLDS = 5
FREEDOMS = (0.01, 0.03, 0.1, 0.3, 1.0, 10.0)  # how far a price may be from the rates, relatively
MIDDLE_FREEDOM = 0.1
NUM_REWEIGHTINGS = 2
OUTLYING = 4.685  # sigmas beyond which a sample does not count: Tukey's biweight, 95 % efficient
COVERED = 0.9  # of all networks lie inside the interval


class Sample(NamedTuple):
    """The choices of a network that was timed, and its latency in milliseconds."""

    choices: Choices
    median_ms: float


class Key(NamedTuple):
    """A price function: the path of the first of equal slots, and an operator such as ``k3-se``."""

    group: str
    operator: str


class Fit(NamedTuple):
    """Prices that explain the samples: those of each key by hidden width."""

    fixed_ms: float  # the latency that every network has in common
    prices_ms: dict[Key, dict[int, float]]
    errors: Array  # signed relative error of every sample, predicted from the others
    interval: float  # relative half-width of the interval that holds nine in ten networks


def keys_of(space: Space, height: int, width: int) -> dict[str, dict[str, Key]]:
    """Return the price function of each candidate, by path and by the candidate's name."""
    sizes, groups = space.sizes(height, width), dict[object, str]()
    keys: dict[str, dict[str, Key]] = {}
    for path, slot in space.slots.items():
        shape = slot.model_dump(exclude={"candidates", "may_be_left_out"})
        group = groups.setdefault((sizes[path], *shape.values()), path)
        keys[path] = {
            candidate.name: Key(group, f"k{candidate.kernel_px}" + "-se" * candidate.squeezes)
            for candidate in slot.candidates
        }
    return keys


def fit_prices(space: Space, height: int, width: int, samples: Sequence[Sample]) -> Fit:
    """Explain the latencies of whole networks by prices of their blocks, for images of a size."""
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
    solution = _solve(columns, rows, latencies, trust, best)
    return Fit(
        fixed_ms=float(solution[0]),
        prices_ms=columns.prices(solution),
        errors=errors[best],
        interval=_covering(errors[best]),
    )


def _cross_validate(
    columns: "_Columns", rows: Array, latencies: Array, trust: Array, freedom: float
) -> Array:
    """Return the relative error of each sample, predicted from the other folds."""
    folds, errors = np.arange(len(rows)) % NUM_FOLDS, np.empty(len(rows))
    for fold in range(NUM_FOLDS):
        is_out = folds == fold
        solution = _solve(columns, rows[~is_out], latencies[~is_out], trust[~is_out], freedom)
        errors[is_out] = rows[is_out] @ solution / latencies[is_out] - 1
    return errors


def _trust(errors: Array) -> Array:
    """Return the weight of each sample: the square root of Tukey's biweight of its error."""
    # Other processes only slow samples: plain least squares would predict every network too slow.
    off = errors - np.median(errors)
    spread = 1.4826 * float(np.median(np.abs(off))) or 1e-6  # of a normal distribution: its sigma
    trust: Array = np.maximum(0.0, 1 - (off / (OUTLYING * spread)) ** 2)
    return trust


def _solve(
    columns: "_Columns", rows: Array, latencies: Array, trust: Array, freedom: float
) -> Array:
    """Fit the rates first, then prices near them."""
    relative = rows * (trust / latencies)[:, None]
    rates = _non_negative(relative @ columns.by_rates, trust)
    expected = columns.by_rates @ rates
    noise = float(np.std(relative @ expected - trust)) or 1e-6
    # A price that is off by its freedom costs as much as a sample that is off by the noise.
    typical = columns.typical(expected)
    weights = noise / (freedom * np.maximum(typical, 1e-3 * typical.max()))
    weights[0] = 0.0  # what every network costs is free
    matrix = np.vstack([relative, np.diag(weights)])
    return _non_negative(matrix, np.concatenate([trust, weights * expected]))


def _non_negative(matrix: Array, target: Array) -> Array:
    solution, _ = require_solver()(matrix, target, maxiter=100 * matrix.shape[1])
    return np.asarray(solution, dtype=np.float64)


def require_solver() -> Callable[..., tuple[Array, float]]:
    """Return SciPy's non-negative least squares, or raise that SciPy is missing."""
    with needs_extra("measure", "SciPy"):
        from scipy.optimize import nnls  # type: ignore[import-untyped,unused-ignore]
    solver: Callable[..., tuple[Array, float]] = nnls
    return solver


def _covering(errors: Array) -> float:
    """Return the half-width that covers new networks, by conformal prediction."""
    wanted = min(1.0, COVERED * (1 + 1 / len(errors)))
    return max(1e-6, float(np.quantile(np.abs(errors), wanted, method="higher")))


class _Columns:
    """The unknowns: one for the fixed part, and three for each key (see the module's formula)."""

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
        self.by_rates = self._by_rates(space.sizes(height, width))  # (unknowns, rates)

    def row(self, choices: Choices) -> Array:
        """Return how often a network has each unknown."""
        row = np.zeros(self.num_columns)
        row[0] = 1.0
        for path, choice in choices.items():
            if choice is not None:
                key = self.keys[path][choice.candidate]
                place = self.places[key]
                row[place : place + 3] += self._terms(key, choice.hidden_channels)
        return row

    def prices(self, solution: Array) -> dict[Key, dict[int, float]]:
        """Return the price functions on their grids."""
        return {
            key: {w: float(self._terms(key, w) @ solution[at : at + 3]) for w in self.widths[key]}
            for key, at in self.places.items()
        }

    def typical(self, solution: Array) -> Array:
        """Return the mean of each price function over its widths, at each of its unknowns."""
        typical = np.zeros(self.num_columns)
        for key, place in self.places.items():
            widths = self.widths[key]
            terms = np.mean([self._terms(key, width) for width in widths], axis=0)
            typical[place : place + 3] = float(terms @ solution[place : place + 3])
        return typical

    def _terms(self, key: Key, width: int) -> Array:
        """Return one, and the width and the rounded width as shares of the widest."""
        widest = max(self.widths[key])
        return np.array(
            [1.0, width / widest, round_up(width, VECTOR_LANES) / round_up(widest, VECTOR_LANES)]
        )

    def _by_rates(self, sizes: Mapping[str, tuple[int, int]]) -> Array:
        """Return columns: fixed; block; squeeze; three by the width and by the rounded width."""
        matrix = np.zeros((self.num_columns, 9))
        matrix[0, 0] = 1.0
        for key, place in self.places.items():
            slot, candidate = self.slots[key.group], self.examples[key]
            at_one, at_two = (_counts(slot, candidate, n, sizes[key.group]) for n in (1, 2))
            per_width = at_two - at_one  # counts are linear in the width from 1 on
            added = max(self.widths[key]) * per_width
            matrix[place, 1], matrix[place, 2] = 1.0, float(candidate.squeezes)
            matrix[place, 3:6] = at_one - per_width
            matrix[place + 1, 3:6] = added
            matrix[place + 2, 6:9] = added
        scaled: Array = matrix / np.maximum(matrix.max(axis=0), 1e-12)
        return scaled


def _counts(slot: Slot, candidate: Candidate, width: int, size: tuple[int, int]) -> Array:
    """Return multiply-adds of 1x1 and of depth-wise convolutions, and elements written."""
    layers = list(cost.block_costs(slot.block_of(candidate, width), size, "block"))
    multiply_adds = sum(layer.multiply_adds for layer in layers)
    depthwise = sum(layer.multiply_adds for layer in layers if layer.path == "block.depthwise")
    elements = sum(layer.elements for layer in layers)
    return np.array([multiply_adds - depthwise, depthwise, elements], dtype=np.float64)
