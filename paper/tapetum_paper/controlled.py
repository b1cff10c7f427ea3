"""The controlled study of the paper: two noisy digits, small networks, eleven noise levels.

========  =============================================================  =====================
table_1   joint networks: Integrated or Sequential, baseline or reduced  section 3.1
table_7   classifiers of noisy digits                                    appendix A.1
table_8   denoisers by noise level                                       appendix A.2
figure_3  one image, denoised by the networks of table 1                 section 3.1
figure_9  denoisers of many shapes: PSNR against cost                    appendix A.2
========  =============================================================  =====================

Command:  python -m tapetum_paper table_1 --scale paper --data-root ../shared/data
Time on two cores: a reduced network takes 1.7 to 2.5 hours at the scale ``paper`` and 6 to 9
minutes at ``small``; a baseline network 20 hours and 70 minutes; a classifier 15 minutes and one
minute, on one core.  docs/reproduction.md shows the results.

# differs from the paper: images of 96 px (it prints no size), batches of 64 and a patience of 10
epochs (it prints neither), convolutions of UNets in bf16 where the machine is quick in it.
"""

import statistics
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from typing import Literal, NamedTuple

from tapetum.arch import Architecture, cost, families, find_architecture
from tapetum.data import digits
from tapetum.losses import EQUATION_1
from tapetum.training import Recipe
from tapetum_paper.example import DIGIT_SIGMAS
from tapetum_paper.measures import accuracy_percent, at_sigma, mean_of
from tapetum_paper.paper import TABLE_1, TABLE_7, TABLE_8, UNETS, UNetNumbers
from tapetum_paper.plan import Cell, CellResult, Experiment, Measure, Row, Scale

__all__ = [
    "FIGURE_9",
    "denoiser_cell",
    "figure_3",
    "figure_9",
    "table_1",
    "table_7",
    "table_8",
]

IMAGE_PX = 96
SEEDS = (0, 1, 2)

# The paper's loss at every scale, even if the recipe "quick" changes.
PUBLISHED, QUICK = Recipe.named("published"), Recipe.named("quick")
BRIEF = QUICK.model_copy(update={"name": "brief", "epochs": 6, "loss": EQUATION_1})
SMOKE = BRIEF.model_copy(update={"name": "smoke", "epochs": 1, "batch_size": 2})
UNET_RECIPES = {
    Scale.smoke: SMOKE,
    Scale.small: BRIEF,
    Scale.paper: PUBLISHED.model_copy(update={"precision": "bf16", "channels_last": True}),
}

# Twice the batch size: elsewhere each of 64 images has two digits.
_OF_CLASSIFIERS = {
    "batch_size": 128,
    "precision": "fp32",
    "channels_last": True,
    "checkpoint_every_steps": 500,
}
CLASSIFIER_RECIPES = {
    Scale.smoke: SMOKE,
    Scale.small: BRIEF.model_copy(update=_OF_CLASSIFIERS),
    Scale.paper: PUBLISHED.model_copy(update=_OF_CLASSIFIERS),
}

# One epoch of 20,000 images is enough to rank twenty denoisers.
GLANCE = BRIEF.model_copy(update={"name": "glance", "epochs": 1, "batch_size": 32})


def table_1(scale: Scale) -> Experiment:
    """Joint networks, means over the eleven sigmas."""
    return Experiment(
        name="table_1",
        scale=scale,
        title="Joint networks, means over eleven noise levels",
        measures=(
            Measure("PSNR dB", 2, mean_of(lambda row: row.psnr_db)),
            Measure("SSIM", 3, mean_of(lambda row: row.ssim)),
            Measure("SSIM on 2", 3, _printed_ssim),
            Measure("accuracy %", 1, mean_of(accuracy_percent)),
            Measure("cost, M", 1, _cost(unit=1e6), is_counted=True),
        ),
        rows=tuple(
            Row(
                title=_joint_title(name),
                cells=_joint_cells(name, scale),
                printed={
                    "PSNR dB": printed.psnr_db,
                    "SSIM": printed.ssim,
                    "SSIM on 2": printed.ssim,
                    "accuracy %": printed.accuracy_percent,
                    "cost, M": printed.cost_millions,
                },
            )
            for name, printed in TABLE_1.items()
        ),
    )


def table_7(scale: Scale) -> Experiment:
    """Classifiers of noisy digits, means over the eleven sigmas."""
    return Experiment(
        name="table_7",
        scale=scale,
        title="Classifiers of noisy digits, means over eleven noise levels",
        measures=(
            Measure("accuracy %", 1, mean_of(accuracy_percent)),
            Measure("cost, k", 0, _cost(unit=1e3), is_counted=True),
        ),
        rows=tuple(
            Row(
                title=_classifier_title(name),
                cells=(_classifier_cell(name, scale),),
                printed={"accuracy %": printed.accuracy_percent, "cost, k": printed.cost_thousands},
            )
            for name, printed in TABLE_7.items()
        ),
    )


def table_8(scale: Scale) -> Experiment:
    """Denoisers, at four of the eleven sigmas."""
    sigmas = tuple(TABLE_8["unet"].psnr_db)
    return Experiment(
        name="table_8",
        scale=scale,
        title="Denoisers alone, by noise level",
        measures=(
            *(Measure(f"dB at {s:g}", 2, at_sigma(s, lambda row: row.psnr_db)) for s in sigmas),
            *(Measure(f"SSIM at {s:g}", 3, at_sigma(s, lambda row: row.ssim)) for s in sigmas),
            *(Measure(f"on 2 at {s:g}", 3, partial(_printed_ssim, sigma=s)) for s in sigmas),
            Measure("cost, M", 1, _cost(unit=1e6), is_counted=True),
        ),
        rows=tuple(
            Row(
                title={"unet": "UNet", "unet-s": "UNet-S"}[name],
                cells=(_cell(find_architecture(name), scale),),
                printed={
                    **{f"dB at {s:g}": value for s, value in printed.psnr_db.items()},
                    **{f"SSIM at {s:g}": value for s, value in printed.ssim.items()},
                    **{f"on 2 at {s:g}": value for s, value in printed.ssim.items()},
                    "cost, M": printed.cost_millions,
                },
            )
            for name, printed in TABLE_8.items()
        ),
    )


def figure_9(scale: Scale) -> Experiment:
    """Denoisers whose width, depth, convolutions or multiplier is changed, one at a time."""
    return Experiment(
        name="figure_9",
        scale=scale,
        title="Denoisers of many shapes: PSNR at sigma 0.8 against cost",
        measures=(
            Measure("dB at 0.8", 2, at_sigma(DIGIT_SIGMAS[0], lambda row: row.psnr_db)),
            Measure("cost, M", 1, _cost(unit=1e6), is_counted=True),
        ),
        rows=tuple(
            Row(title=_numbers_title(numbers), cells=(denoiser_cell(numbers, scale),))
            for numbers in dict.fromkeys(
                numbers for panel in FIGURE_9 for line in panel.lines.values() for numbers in line
            )
        ),
    )


def figure_3(scale: Scale) -> Experiment:
    """One noisy image, denoised by each network of table 1."""
    joint = table_1(scale)
    return Experiment(
        name="figure_3",
        scale=scale,
        title="One image at sigma 0.8, denoised by each joint network",
        measures=joint.measures[:0],
        rows=tuple(Row(row.title, row.cells[:1]) for row in joint.rows),
    )


def _shapes(
    *,
    b: Sequence[int],
    d: Sequence[int] = (4,),
    m: Sequence[float] = (2,),
    c: Sequence[int] = (2,),
) -> tuple[UNetNumbers, ...]:
    return tuple(UNetNumbers(*numbers) for numbers in product(b, d, m, c))


class Panel(NamedTuple):
    """A part of figure 9.

    Attributes:
        title: Title of the panel.
        changed: The number that differs between the points of a line.
        lines: Denoisers of each line, by the numbers that they share.
    """

    title: str
    changed: Literal["b", "d", "m", "c"]
    lines: dict[str, tuple[UNetNumbers, ...]]

    def point(self, numbers: UNetNumbers) -> str:
        """Return the label of a point, such as ``b 16``."""
        values = dict(zip("bdmc", numbers, strict=True))
        return f"{self.changed} {values[self.changed]:g}"


# Appendix A.2, experiments 1 to 4.
FIGURE_9 = (
    Panel("width b", "b", {"d 4, c 2, m 2": _shapes(b=(4, 8, 16, 32, 64))}),
    Panel("depth d", "d", {f"b {b}": _shapes(b=(b,), d=(2, 3, 4, 5)) for b in (8, 16, 32)}),
    Panel("convolutions c", "b", {f"c {c}": _shapes(b=(8, 16, 32, 64), c=(c,)) for c in (1, 2)}),
    Panel("multiplier m", "m", {"b 8": _shapes(b=(8,), m=(1, 1.5, 2))}),
)


def _cell(architecture: Architecture, scale: Scale, *, seed: int = 0) -> Cell:
    """Return the cell of a joint network or a denoiser."""
    return _sized(architecture, UNET_RECIPES[scale], scale, seed=seed)


def _joint_cells(name: str, scale: Scale) -> tuple[Cell, ...]:
    """Return three seeds for the reduced networks at the small scale, else one."""
    several = scale is Scale.small and "reduced" in name
    return tuple(
        _cell(find_architecture(name), scale, seed=seed)
        for seed in (SEEDS if several else SEEDS[:1])
    )


def _classifier_cell(name: str, scale: Scale) -> Cell:
    cell = _sized(find_architecture(name, boxes=False), CLASSIFIER_RECIPES[scale], scale)
    update: dict[str, object] = {"data": "digit-crops"}
    if scale is Scale.paper:
        update["test_count"] = 5_000  # all of MNIST's 10,000 test digits, once
    return cell.model_copy(update=update)


def denoiser_cell(numbers: UNetNumbers, scale: Scale) -> Cell:
    """Return the cell of a denoiser of figure 9."""
    architecture = families.unet(_unet_name(numbers), **numbers._asdict())
    if scale is not Scale.small:
        return _cell(architecture, scale)
    return Cell(network=architecture, recipe=GLANCE, train_count=20_000, test_count=1_000)


def _sized(architecture: Architecture, recipe: Recipe, scale: Scale, *, seed: int = 0) -> Cell:
    recipe = recipe.model_copy(update={"seed": seed})
    if scale is Scale.smoke:
        return Cell(network=architecture, recipe=recipe, train_count=4, test_count=2)
    return Cell(network=architecture, recipe=recipe)


def _unet_name(numbers: UNetNumbers) -> str:
    """Return the name of the paper's UNets, so that tables and figures share cells."""
    known = {theirs: name for name, theirs in UNETS.items()}
    b, d, m, c = numbers
    return known.get(numbers, f"unet-b{b}-d{d}-m{m:g}-c{c}")


def _numbers_title(numbers: UNetNumbers) -> str:
    b, d, m, c = numbers
    return f"b {b}, d {d}, m {m:g}, c {c}"


def _joint_title(name: str) -> str:
    """``dc-net-reduced-integrated`` is ``Integrated, reduced``."""
    size, kind = name.removeprefix("dc-net-").split("-")
    return f"{kind.capitalize()}, {size}"


def _classifier_title(name: str) -> str:
    """``mb2.5-m`` is ``MB2.5-M``."""
    return name.title().replace("Mb", "MB")


def _printed_ssim(done: CellResult, sigma: float | None = None) -> float | None:
    """Read SSIM with a data range of 2, at one sigma or as the mean."""
    found = done.ssim_as_printed
    if found is None:
        return None
    return statistics.fmean(found.values()) if sigma is None else found[sigma]


def _cost(*, unit: float) -> Callable[[CellResult], float]:
    """Return a reader of multiply-adds, for an image with two digits or for one digit."""

    def read(done: CellResult) -> float:
        assert isinstance(done.architecture, Architecture)  # noqa: S101  (no baselines in this study)
        size_px = IMAGE_PX if done.cell.data == "digits" else digits.DigitCrops.size_px
        return cost.multiply_adds(done.architecture, size_px, size_px, num_boxes=2) / unit

    return read
