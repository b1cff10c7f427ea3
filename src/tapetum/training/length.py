"""How long a training or a search is: the one place where steps and minutes are counted.

A training of a fixed number of steps is exactly reproducible. A training of some minutes takes as
many steps as fit in: the share of its time that is used drives the learning rate, so that the
schedule is complete at the minute that was asked for, also where the machine becomes slower or
faster on the way. Everything is computed from the :class:`~tapetum.training.Position`, which is
part of a checkpoint, so that a resumed training decides as one that never stopped.

Validation takes about a tenth of either at most: it is seldom, and on fewer images where there are
more than that pays for.
"""

from typing import NamedTuple

from tapetum.errors import InputError
from tapetum.progress import rounded
from tapetum.training.checkpoint import EpochRow, Position, R
from tapetum.training.recipe import DEFAULT_PASSES, FEWEST_STEPS, Recipe

__all__ = ["DefaultLength", "Length", "TimedLength", "length_of"]

VALIDATION_SHARE = 0.1  # of a training that is counted in steps or minutes, at most
VALIDATED_COST = 0.35  # time of an image in validation, over that of one in training
FEWEST_ROUNDS, MOST_ROUNDS = 5, 20  # validations of a training
FEWEST_VALIDATED = 16  # images of a validation, where there are as many

MOST_MINUTES = 15.0  # of a default length, where these are as many steps as it has at least
HALF_COST = 0.25  # time of a step on images of half the size, over that of one of full size
UNKNOWN = 1e9  # steps of a training whose first one is not taken yet


class DefaultLength(NamedTuple):
    """How long a training is where nobody says so.

    Attributes:
        steps: Number of steps.
        minutes: What they take, with validation, in minutes.
        is_timed: Whether the minutes decide, rather than the steps.
        reason: The length, and in brackets why.
    """

    steps: int
    minutes: float
    is_timed: bool
    reason: str

    def given_to(self, recipe: Recipe) -> Recipe:
        """Return a recipe with this length."""
        if self.is_timed:
            return recipe.adjusted(minutes=self.minutes)
        return recipe.adjusted(steps=self.steps)


class Length(NamedTuple):
    """A fixed number of steps, divided into epochs: an epoch ends with a validation.

    Attributes:
        total_steps: Steps from the beginning to the end.
        steps_per_pass: Steps in which every image is seen once.
        steps_per_epoch: Steps of each epoch but the last, which may be cut.
        validation_images: Number of images to validate on after each epoch.
        half_steps: Steps at the beginning on images of half the size.
    """

    total_steps: int
    steps_per_pass: int
    steps_per_epoch: int
    validation_images: int = 0
    half_steps: int = 0

    @classmethod
    def of(cls, recipe: Recipe, steps_per_pass: int, *, held_out: int | None = None) -> "Length":
        """Return the length of a training that a recipe counts in steps or epochs.

        Epochs are passes over the images, and more than twenty passes share a validation each
        where neither schedule nor kept weights depend on it.

        Args:
            recipe: The recipe.
            steps_per_pass: Steps in which every image is seen once.
            held_out: Number of images that there are to validate on; by default enough.

        Raises:
            InputError: The recipe counts in minutes.
        """
        images = min(recipe.validation_images, held_out or recipe.validation_images)
        half = recipe.half_size / (recipe.half_size + HALF_COST * (1 - recipe.half_size))
        if recipe.epochs is not None:
            passes = 1 if recipe.heeds_validation else -(-recipe.epochs // MOST_ROUNDS)
            steps = recipe.epochs * steps_per_pass
            return cls(steps, steps_per_pass, passes * steps_per_pass, images, round(half * steps))
        if recipe.minutes is not None:
            raise InputError(
                f"a training of {recipe.duration} has no fixed number of steps", "give steps"
            )
        steps = recipe.steps or max(DEFAULT_PASSES * steps_per_pass, FEWEST_STEPS)
        length = cls(steps, steps_per_pass, steps, half_steps=round(half * steps))
        rounds, images = _affordable(length.work(steps) * recipe.batch_size, images)
        return length._replace(steps_per_epoch=-(-steps // rounds), validation_images=images)

    @staticmethod
    def default(
        num_images: int,
        *,
        steps_per_pass: int,
        step_s: float,
        most_minutes: float = MOST_MINUTES,
    ) -> "DefaultLength":
        """Choose the length of a training by the images and the pace of the network.

        It is forty passes over the images, but at least 1,000 steps, and at most some minutes where
        these are as many.  A small folder needs the steps: 90 images of steel gave 34 % and 21 dB
        after 80 steps, 57 % and 26.5 dB after 960.  The minutes suffice for a large one: 7,500
        photographs of 64 px gave 65 % and 22.8 dB in 24 passes, 12 minutes of one core.

        Args:
            num_images: Number of training images.
            steps_per_pass: Steps in which every image is seen once.
            step_s: Seconds of a step, as measured on this machine.
            most_minutes: The minutes that suffice.
        """
        step_minutes = step_s / (1 - VALIDATION_SHARE) / 60
        passes, affordable = DEFAULT_PASSES * steps_per_pass, int(most_minutes / step_minutes)
        steps = max(min(passes, affordable), FEWEST_STEPS)
        minutes, is_timed = steps * step_minutes, passes > affordable >= FEWEST_STEPS
        length = f"{steps:,} steps, about {rounded(minutes)} minutes here"
        why = f"{DEFAULT_PASSES} passes over {num_images:,} images"
        if is_timed:
            minutes, length = most_minutes, f"{most_minutes:g} minutes, about {steps:,} steps here"
            why += f" would take {passes * step_minutes:.0f}; the maximum is {most_minutes:g}"
        elif steps > passes:
            why += f" would be {passes:,}; the minimum is {FEWEST_STEPS:,}"
        elif steps < passes:
            why = (
                f"{most_minutes:g} minutes would be {affordable:,}; the minimum is {FEWEST_STEPS:,}"
            )
        return DefaultLength(steps, minutes, is_timed, f"{length} ({why})")

    @property
    def epochs(self) -> int:
        """Number of epochs; the last one may be cut."""
        return -(-self.total_steps // self.steps_per_epoch)

    def work(self, step: int) -> float:
        """Return the work of the first steps; a step on images of full size is 1."""
        return step - (1 - HALF_COST) * min(step, self.half_steps)

    def is_half(self, position: Position[R]) -> bool:
        """Return whether the next step is on images of half the size."""
        return position.step < self.half_steps

    def seconds(self, step_s: float, batch_size: int) -> float:
        """Return the time of all steps and validations, by the mean time of a step."""
        validated = VALIDATED_COST * self.epochs * self.validation_images / batch_size
        return step_s * self.total_steps * (1 + validated / self.work(self.total_steps))

    def end_of(self, epoch: int) -> int:
        """Return the number of steps at the end of an epoch, which is counted from 0."""
        return min((epoch + 1) * self.steps_per_epoch, self.total_steps)

    def share_after(self, step: int, seconds: float) -> float:  # noqa: ARG002 - as with minutes
        """Return the share of the training that some steps are."""
        return self.work(step) / self.work(self.total_steps)

    def is_over(self, position: Position[R]) -> bool:
        """Return whether all steps are taken and validated."""
        return position.epoch >= self.epochs

    def ends_epoch(self, position: Position[R]) -> bool:
        """Return whether a validation comes next."""
        return position.step == self.end_of(position.epoch)

    def num_validated(self, position: Position[EpochRow]) -> int:  # noqa: ARG002 - as with minutes
        """Return the number of images to validate on."""
        return self.validation_images

    def expected_steps(self, position: Position[R]) -> int:  # noqa: ARG002 - as with minutes
        """Return the number of all steps."""
        return self.total_steps

    def scheduled_steps(self, position: Position[R]) -> int | float:
        """Return the number of all steps for the learning rate; see :meth:`at_pace`."""
        return self.at_pace(position.step)

    def at_pace(self, step: int) -> int | float:
        """Return the number of all steps, if the others took as long as those that were taken.

        So the learning rate depends on the share of the time, as in a training of some minutes.
        """
        if not self.half_steps:
            return self.total_steps
        return step / self.share_after(step, 0.0) if step else UNKNOWN


class TimedLength(NamedTuple):
    """As many steps as some minutes allow, validation included.

    Attributes:
        seconds: Time from the beginning to the end of the last validation.
        steps_per_pass: Steps in which every image is seen once.
        batch_size: Images in one step.
        held_out: Number of images that validation may use.
        half_size: Share of the time in which images have half their size.
    """

    seconds: float
    steps_per_pass: int
    batch_size: int
    held_out: int
    half_size: float = 0.0

    def is_half(self, position: Position[R]) -> bool:
        """Return whether the next step is on images of half the size."""
        return self.share(position) < self.half_size

    def share_after(self, step: int, seconds: float) -> float:  # noqa: ARG002 - as with steps
        """Return the share of the time that some seconds are."""
        return seconds / self.seconds

    def share(self, position: Position[R]) -> float:
        """Return the used share of the time, apart from that which the last validation will take.

        At 1 there are no steps any more.
        """
        return position.total_seconds / max(self.seconds - position.validation_seconds, 1e-9)

    def is_over(self, position: Position[R]) -> bool:
        """Return whether the time is used and the last step validated."""
        return position.step > 0 and position.step_in_epoch == 0 and self.share(position) >= 1

    def ends_epoch(self, position: Position[R]) -> bool:
        """Return whether a validation comes next.

        It does after a twentieth of the time, but never before steps have taken nine times as long
        as the validation before, and not shortly before the last one.
        """
        share = self.share(position)
        if position.step_in_epoch == 0:
            return False
        if share >= 1:
            return True
        paid_s = position.validation_seconds * (1 / VALIDATION_SHARE - 1)
        pause_s = max(self.seconds / MOST_ROUNDS, paid_s)
        return position.seconds >= pause_s and share < 1 - 0.5 / MOST_ROUNDS

    def num_validated(self, position: Position[EpochRow]) -> int:
        """Return the number of images to validate on, which the first validation decides."""
        if position.rows:
            return position.rows[0].validation_images
        cost = HALF_COST if self.is_half(position) else 1.0
        trained = cost * self.expected_steps(position) * self.batch_size
        return _affordable(trained, self.held_out)[1]

    def expected_steps(self, position: Position[R]) -> float:
        """Return the number of all steps, at the pace of those that were taken."""
        return position.step / min(self.share(position), 1.0) if position.step else UNKNOWN

    def scheduled_steps(self, position: Position[R]) -> float:
        """Return the number of all steps for the learning rate: those that are expected."""
        return self.expected_steps(position)


def _affordable(trained: int | float, held_out: int) -> tuple[int, int]:
    """Return how often a training validates, and on how many of the held-out images."""
    paid = VALIDATION_SHARE * trained / VALIDATED_COST
    rounds = int(min(max(paid / held_out, FEWEST_ROUNDS), MOST_ROUNDS))
    return rounds, min(held_out, max(int(paid / rounds), FEWEST_VALIDATED))


def length_of(recipe: Recipe, steps_per_pass: int, *, held_out: int) -> Length | TimedLength:
    """Return the length of a training by any recipe; the arguments are those of ``Length.of``."""
    if recipe.minutes is None:
        return Length.of(recipe, steps_per_pass, held_out=held_out)
    held_out = min(recipe.validation_images, held_out)
    return TimedLength(
        60 * recipe.minutes, steps_per_pass, recipe.batch_size, held_out, recipe.half_size
    )
