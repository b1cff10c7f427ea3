"""Training recipes as frozen data.

A :class:`Recipe` has every setting that changes what is learnt.  Together with an architecture, a
dataset and the version of Tapetum it determines the weights.  Four recipes have names:

- ``published``: the recipe of the paper.
- ``quick``: the same task in minutes on a CPU.
- ``swift``: close to the scores of the paper in half an hour.
- ``images``: for a folder of images.

Change one with ``Recipe.named("quick").adjusted(epochs=3)``.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    model_validator,
)
from torch import Tensor

from tapetum.data import Augmentation
from tapetum.errors import InputError, nearest
from tapetum.losses import EQUATION_1, LossWeights, joint_loss
from tapetum.nn import Outputs
from tapetum.noise import PAPER_SIGMAS, NoisePlan
from tapetum.records import Record, changed
from tapetum.training.batches import Batch
from tapetum.training.process import bf16_pays, training_device
from tapetum.training.sampler import class_weights

__all__ = ["IMAGES", "PUBLISHED", "QUICK", "RECIPES", "SWIFT", "Balance", "BaseRecipe", "Recipe"]

Fraction = Annotated[float, Field(ge=0, lt=1)]
Balance = Literal["auto", "none", "loss", "sampling"]
B = TypeVar("B", bound="BaseRecipe")

LENGTHS = ("minutes", "steps", "epochs")
DEFAULT_PASSES, FEWEST_STEPS = 40, 1_000  # of a recipe that gives none of them
_NEARLY = 1.05  # times as many steps are no more


class BaseRecipe(Record):
    """What a recipe for training and one for a search have in common.

    Attributes:
        name: Name of the recipe.
        batch_size: Images in one step, over all processes together.
        momentum: Momentum of SGD.
        weight_decay: Weight decay of the weights; in a training not of normalisations and biases.
        label_smoothing: Share of the target that is spread over all classes.
        precision: Precision of convolutions in training; the rest is in fp32.
        channels_last: Order of values in memory; changes the speed and the last bits.
        loss: Weights of the loss.
        noise: Noise of the images.
        augmentation: Random changes of the training images; composed digits have none.
        balance: What makes uneven classes count alike: weights in the ``loss``, ``sampling`` of
            the images, or ``none``. The images decide about ``auto`` (:mod:`tapetum.jobs`).
        class_weights: The weight of each class in the loss, or of its images in the sampling; also
            that in the validation loss. Set with the balance; empty for equal weights.
        seed: Random seed of weights, order of images, and noise.
        checkpoint_every_steps: Steps between checkpoints; a kill loses at most as many.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    schema_version: Literal[1] = 1
    name: Annotated[str, Field(min_length=1)]
    batch_size: Annotated[int, Field(ge=2)] = 64  # batch norm needs two
    momentum: Fraction = 0.9
    weight_decay: NonNegativeFloat = 0.0
    label_smoothing: Fraction = 0.0
    precision: Literal["fp32", "bf16"] = "fp32"
    channels_last: bool = False
    loss: LossWeights = EQUATION_1
    noise: NoisePlan
    augmentation: Augmentation = Augmentation()
    balance: Balance = "none"
    class_weights: tuple[PositiveFloat, ...] = ()
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    checkpoint_every_steps: PositiveInt = 100

    def balanced(self: B, how: Balance, counts: Sequence[int]) -> B:
        """Return the recipe with a balance for training images of so many of each class."""
        weights = () if how == "none" else class_weights(counts)
        return self.model_copy(update={"balance": how, "class_weights": weights})

    def suited(self: B) -> B:
        """Return the recipe as it is quick and right here.

        It has bf16 only where that is quicker, and no channels last on MPS, where the gradients of
        a batch normalisation were wrong then (pytorch #175189, #188371).  It starts no thread, so
        that it may be called before :func:`~tapetum.training.prepare_process`.
        """
        changes: dict[str, Any] = {}
        if self.precision == "bf16" and not bf16_pays():
            changes["precision"] = "fp32"
        if self.channels_last and training_device().type == "mps":
            changes["channels_last"] = False
        return self.model_copy(update=changes)

    @property
    def smallest_part(self) -> float:
        """Share of the training images that has to fill a batch."""
        return 1.0

    @property
    def sampling_weights(self) -> tuple[float, ...]:
        """The weight of each class in the choice of training images; empty for equal weights."""
        return self.class_weights if self.balance == "sampling" else ()

    def loss_of(
        self, outputs: Outputs, batch: Batch, *, held_out: bool = False
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of a network's outputs for a batch, and its terms.

        Held-out images are never sampled, so that there the weights count in the loss.
        """
        is_weighted = held_out or self.balance == "loss"
        return joint_loss(
            *outputs,
            batch.clean,
            batch.labels,
            weights=self.loss,
            label_smoothing=self.label_smoothing,
            class_weights=self.class_weights if is_weighted else (),
        )


class Recipe(BaseRecipe):
    """How a network is trained; :class:`BaseRecipe` has further fields.

    One of ``minutes``, ``steps`` and ``epochs`` is the length of the training, which the schedule
    spans.  Where none is given, 40 passes over the images are, or 1,000 steps if these are more.

    Attributes:
        minutes: Time for steps and validation on the machine that trains.
        steps: Number of steps.
        epochs: Number of passes over the images.
        half_size: Share of the time, at the beginning, in which training images have half their
            size.  A step takes about a quarter of the time then, so that there are more of them.
        optimizer: Adam (Kingma & Ba, 2015), AdamW (Loshchilov & Hutter, 2019), or SGD.
        learning_rate: Peak learning rate.
        schedule: ``plateau`` lowers the rate by ``plateau_factor`` when the validation loss has not
            fallen for ``plateau_patience`` epochs; ``cosine`` and ``one-cycle`` follow a half
            cosine down, step by step; ``one-cycle`` also rises along one (Smith & Topin, 2018).
        warmup: Share of all steps during which the rate rises.
        plateau_patience: Number of epochs.
        plateau_factor: Factor below 1.
        patience_minutes: Where held-out scores are flat for so long after the warm-up, the training
            ends after as much time again, with a whole schedule, or at once where the schedule is
            constant or a plateau (:mod:`tapetum.training.patience`); ``None`` for never.  The clock
            decides then, so that a run is no longer exactly reproducible.
        ema_decay: Decay per step of the average of the weights that is kept in the end; ``None``
            keeps the weights themselves.
        clip_norm: Limit of the norm of the gradient.
        keep: Whether ``weights.safetensors`` holds the last weights, or those of the epoch with the
            lowest validation loss.
        validation_images: Number of images to validate on after each epoch, at most.
        recalibration_batches: Number of training batches on which batch statistics are estimated
            again at the end; they are kept where the validation loss is no higher.
    """

    minutes: PositiveFloat | None = None
    steps: PositiveInt | None = None
    epochs: PositiveInt | None = None
    half_size: Fraction = 0.0
    optimizer: Literal["adam", "adamw", "sgd"] = "adamw"
    learning_rate: PositiveFloat = 1e-3
    schedule: Literal["plateau", "cosine", "one-cycle", "constant"] = "constant"
    warmup: Fraction = 0.0
    plateau_patience: Annotated[int, Field(ge=0)] = 10
    plateau_factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    patience_minutes: PositiveFloat | None = None
    ema_decay: Fraction | None = None
    clip_norm: PositiveFloat | None = None
    keep: Literal["last", "best"] = "last"
    validation_images: PositiveInt = 1_000
    recalibration_batches: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _has_no_option_without_effect(self) -> "Recipe":
        lengths = [name for name in LENGTHS if getattr(self, name) is not None]
        if len(lengths) > 1:
            raise ValueError(f"{' and '.join(lengths)} are two lengths of one training; give one")
        if self.schedule == "one-cycle" and self.warmup == 0:
            raise ValueError("a one-cycle schedule needs a warmup, such as 0.3")
        if self.schedule == "plateau" and self.warmup > 0:
            raise ValueError("a plateau schedule has no warmup; leave it out, or use 'cosine'")
        return self

    @property
    def duration(self) -> str:
        """How long the training is, in words, such as ``40 epochs``."""
        for unit, count in self.length.items():
            if count is not None:
                return f"{count:,g} {unit[:-1] if count == 1 else unit}"
        return f"{DEFAULT_PASSES} passes, {FEWEST_STEPS:,} steps at least"

    @property
    def length(self) -> dict[str, int | float | None]:
        """The fields of which one is the length of the training."""
        return {name: getattr(self, name) for name in LENGTHS}

    @property
    def has_length(self) -> bool:
        """Whether the recipe says how long the training is."""
        return any(self.length.values())

    @property
    def heeds_validation(self) -> bool:
        """Whether the weights that are kept depend on the validations."""
        return self.schedule == "plateau" or self.keep == "best"

    @staticmethod
    def too_few(steps: int) -> str:
        """Return that so many steps are fewer than any by default; empty where they are not."""
        times = FEWEST_STEPS / max(steps, 1)
        if times < _NEARLY:  # a training by the clock ends some steps early or late
            return ""
        times = math.ceil(times) if times > 3 else math.ceil(10 * times) / 10
        return (
            f"{steps:,} steps, where the default is at least {FEWEST_STEPS:,}; give it about "
            f"{times:g} times as many minutes"
        )

    @staticmethod
    def named(name: str) -> "Recipe":
        """Return the recipe of a name: ``published``, ``quick``, ``swift`` or ``images``.

        Raises:
            InputError: No recipe has that name.
        """
        recipes = {recipe.name: recipe for recipe in RECIPES}
        if name not in recipes:
            raise InputError(f"no recipe is called {name!r}", nearest(name, recipes))
        return recipes[name]

    def adjusted(self, **changes: Any) -> "Recipe":
        """Return the recipe with some fields changed; a new length replaces the old one.

        Raises:
            InputError: A field is unknown, or its value is not possible.
        """
        unknown = sorted(set(changes) - set(Recipe.model_fields))
        if unknown:
            raise InputError(
                f"a recipe has no {unknown[0]!r}", nearest(unknown[0], Recipe.model_fields)
            )
        if any(changes.get(name) is not None for name in LENGTHS):
            changes = {**dict.fromkeys(LENGTHS), **changes}
        return changed(self, changes, what=f"recipe {self.name!r}")


PUBLISHED = Recipe(
    # Paper, section 3; it gives neither the batch size nor the patience.
    name="published",
    epochs=100,
    optimizer="adam",
    learning_rate=1e-3,
    schedule="plateau",
    loss=EQUATION_1,
    noise=NoisePlan(kind="gaussian", levels=PAPER_SIGMAS),
)

QUICK = Recipe(
    name="quick",
    epochs=6,
    learning_rate=3e-3,
    weight_decay=1e-2,
    schedule="one-cycle",
    warmup=0.3,
    noise=NoisePlan(kind="gaussian", levels=PAPER_SIGMAS),
    precision="bf16",
    channels_last=True,
)

SWIFT = QUICK.model_copy(
    update={
        "name": "swift",
        "epochs": 20,
        "batch_size": 32,
        # The PSNR in the loss: images with little noise are not drowned by the others.
        "loss": LossWeights(cross_entropy=0.05, charbonnier=0.95, log_mse=0.1),
    }
)

IMAGES = Recipe(
    name="images",
    batch_size=32,
    # Twice as many steps in the same minutes: on steel of 128 px they gave 22 points and 0.4 dB
    # (benchmarks/results/half_size.json).
    half_size=0.4,
    learning_rate=3e-3,
    weight_decay=1e-2,
    schedule="one-cycle",
    warmup=0.3,
    label_smoothing=0.1,
    ema_decay=0.999,
    clip_norm=1.0,
    # Weak noise and none often enough, so that a denoiser leaves a clean image as it is.
    noise=NoisePlan(kind="gaussian", low=0.0, high=0.5, power=2.0, clean=0.1),
    # For classes whose validation images are brighter or darker: on steel of other coils 30 % gave
    # 8 points (benchmarks/results/brightness.json).  jobs.suit leaves it out elsewhere.
    augmentation=Augmentation(window_px=64, brightness=0.3),
    precision="bf16",
    channels_last=True,
    balance="auto",
    recalibration_batches=50,
)

RECIPES = (PUBLISHED, QUICK, SWIFT, IMAGES)
