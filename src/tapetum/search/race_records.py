"""What is stored of a race: its request, its rungs and its result."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat

from tapetum.arch import Architecture
from tapetum.provenance import Provenance
from tapetum.records import FolderKind, Record
from tapetum.search.utility import Prefer
from tapetum.training import Recipe

__all__ = ["RACES", "Entry", "RaceRequest", "RaceResult", "Rung", "Spent"]


class RaceRequest(Record):
    """What was requested of a race.

    Attributes:
        candidates: In the order of the caller's hopes; the first one is taken where there is no
            time for a race.
        recipe: How candidates are trained; the race decides about the steps.
        minutes: Time for everything, in minutes.
        prefer: The score that counts more.
        train: What trains, in a sentence, and the number of images.
        held_out: What judges.
        weights: Digests of the weights that some candidates begin with, by name.
    """

    format: Literal["tapetum-race"] = "tapetum-race"
    schema_version: Literal[1] = 1
    candidates: Annotated[tuple[Architecture, ...], Field(min_length=1)]
    recipe: Recipe
    minutes: PositiveFloat
    prefer: Prefer
    train: tuple[str, int]
    held_out: tuple[str, int]
    weights: dict[str, str] = Field(default_factory=dict)


class Entry(Record):
    """A candidate in a rung.

    Attributes:
        name: Name of the candidate.
        steps: Number of steps that it trained for; 0 where it failed.
        behind: How far it is behind the best of the rung, in doublings of the latency. None where
            it failed.
        behind_error: Standard error of ``behind``, from the images and the seeds of trainings.
        is_tied: Whether it is behind by 1.5 standard errors at most.
        macro_accuracy: Accuracy of each class, averaged over classes; None where it has none.
        macro_accuracy_error: Its standard error.
        psnr_db: Mean PSNR of noisy views, each counting at most 40 dB.
        psnr_error_db: Its standard error over images.
        fault: Why its training failed; empty otherwise.
    """

    name: str
    steps: int = 0
    behind: float | None = None
    behind_error: float | None = None
    is_tied: bool = False
    macro_accuracy: float | None = None
    macro_accuracy_error: float | None = None
    psnr_db: float | None = None
    psnr_error_db: float | None = None
    fault: str = ""

    @property
    def shown(self) -> str:
        """The scores for people, such as ``71.2 % and 26.13 dB``."""
        label, image = self.macro_accuracy, self.psnr_db
        parts = [] if label is None else [f"{100 * label:.1f} %"]
        return " and ".join([*parts, *([] if image is None else [f"{image:.2f} dB"])])


class Rung(Record):
    """A rung of a race.

    Attributes:
        seconds: Time of each candidate, training and judging, as it was planned.
        num_images: Number of held-out images that judged.
        num_views: Number of images times the noise levels that each was seen at.
        entries: The candidates, the best first.
    """

    seconds: float
    num_images: int
    num_views: int
    entries: tuple[Entry, ...]


class RaceResult(Record):
    """How a race ended.

    Attributes:
        winner: Name of the best candidate; of the first one where that is among those tied.
        ties: Names of the others of the last rung that may as well be the best: behind by 1.5
            standard errors at most.
        order: Names of all candidates that raced, the best first: who came further is better.
        rungs: The rungs, the shortest first; none where there was no time for a race.
        notes: What was left out or went wrong, in sentences.
        minutes: Time that was requested, in minutes.
        seconds: Time of all commands of this race, in seconds, without the pauses between them.
        workers: Number of candidates that trained at the same time.
        waiting: Seconds of the wall clock for each second of the processor, while the pace was
            measured; far above 1 on a busy machine.
        provenance: When, where and with what.
    """

    schema_version: Literal[2] = 2
    winner: str
    ties: tuple[str, ...] = ()
    order: tuple[str, ...]
    rungs: tuple[Rung, ...] = ()
    notes: tuple[str, ...] = ()
    minutes: float
    seconds: float
    workers: int
    waiting: float
    provenance: Provenance


class Spent(Record):
    """Time that the commands of a race have taken so far, in seconds."""

    seconds: float


RACES = FolderKind("race", RaceRequest, RaceResult, "tapetum fit")
