"""How fast networks train here, so that equal minutes become a fixed number of steps.

Steps are timed once, before the race. On a machine that is busy then, the candidates must stay
comparable:

- *They take turns*: a step of each, then again a step of each, so that a busy minute hits all.
- *Processor time counts*, not the clock on the wall: a process that waits for a core is not slower.
  How much longer the wall clock ran is one factor, the same for all candidates.
- *Both sizes count*: where a training begins with images of half the size, a turn is a step on
  each, and the mean is by how many there are of them.
- *The median* of the turns is taken, and then that of all workers, which measure at the same time:
  so they share caches and memory as they will in the race.

On an accelerator, which works while the process waits, the wall clock is read instead, once what is
queued there is done; also on a machine that counts the processor's time in long steps.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Literal, NamedTuple

import torch
from pydantic import PositiveFloat

from tapetum.arch import Architecture
from tapetum.data import ImageDataset, open_stored
from tapetum.latency import bundle
from tapetum.nn import TrainableNetwork, build
from tapetum.records import Record
from tapetum.training import Compute, Recipe, ShortTraining

__all__ = ["Pace", "Paces", "Pacing", "StepTimes", "joined", "step_times"]

FEWEST_TURNS, MOST_TURNS = 2, 5
NUM_STEPS = 4  # alone; the first is a warm-up
LONGEST_S = 6.0
_MANY_STEPS = 1_000_000  # of the schedule: its rate is still low, so that no loss diverges

_Clock = Callable[[], float]


class Pace(Record):
    """How fast one network trains.

    Attributes:
        step_s: Seconds of a step; None where none could be taken.
        begin_s: Seconds to open the images, build the network and take the first step, beyond
            those of a step.
        fault: Why no step could be taken; empty otherwise.
    """

    step_s: PositiveFloat | None = None
    begin_s: float = 0.0
    fault: str = ""


class Paces(Record):
    """How fast several networks train, in seconds of the wall clock of a worker.

    Attributes:
        paces: One for each network.
        waiting: Seconds of the wall clock for each second of the processor, which are part of the
            paces; far above 1 on a busy machine.
    """

    paces: tuple[Pace, ...]
    waiting: float


class Pacing(Record):
    """A measurement of the pace: a task for a worker.

    Attributes:
        kind: Tells it from other tasks.
        architectures: The networks.
        recipe: How they will be trained.
        train: Folder of stored images to train on.
        seconds: Time for all turns; two are taken in any case.
        out: File for the result.
    """

    kind: Literal["pace"] = "pace"
    architectures: tuple[Architecture, ...]
    recipe: Recipe
    train: Path
    seconds: float
    out: Path

    def perform(self) -> Paces:
        """Return the paces in this process."""
        begin = time.process_time()
        images = open_stored(self.train)
        opening_s = time.process_time() - begin  # as each piece of the race will
        runners = [_Runner(one, self.recipe, images) for one in self.architectures]
        start, start_cpu = time.perf_counter(), time.process_time()
        for turn in range(MOST_TURNS):
            if turn >= FEWEST_TURNS and time.perf_counter() - start > self.seconds:
                break
            for runner in runners:
                runner.take_step()
        wall_s, cpu_s = time.perf_counter() - start, time.process_time() - start_cpu
        counts_cpu = all(runner.clock is time.process_time for runner in runners)
        waiting = wall_s / max(cpu_s, 1e-9) if counts_cpu else 1.0
        return Paces(
            paces=tuple(runner.pace(waiting, opening_s) for runner in runners), waiting=waiting
        )


def _endless(network: TrainableNetwork, recipe: Recipe, images: ImageDataset) -> ShortTraining:
    """Return a training of which some steps are to be taken."""
    return ShortTraining(network, recipe.adjusted(steps=_MANY_STEPS), images)


def _clock_of(compute: Compute) -> _Clock:
    """Return the processor's time where that tells how long a step takes, else the wall clock."""
    counts_cpu = compute.device.type == "cpu" and not bundle.clock_is_coarse()
    return time.process_time if counts_cpu else time.perf_counter


def _mean_step_s(training: ShortTraining, clock: _Clock) -> float:
    """Return the mean time of a step over a whole training, of which the sizes of images differ."""

    def now() -> float:
        training.compute.wait_for_device()
        return clock()

    length, mean_s = training.length, 0.0
    half = length.half_steps / length.total_steps
    for is_half, share in ((True, half), (False, 1 - half)):
        if share:
            start = now()
            training.step(half_size=is_half)
            mean_s += share * (now() - start)
    return mean_s


class _Runner:
    """A network that takes steps while its time is taken; after a fault it takes none."""

    def __init__(self, architecture: Architecture, recipe: Recipe, images: ImageDataset) -> None:
        self.times: list[float] = []
        self.fault, self.clock = "", time.process_time
        starts = {clock: clock() for clock in (time.process_time, time.perf_counter)}
        with self._faults_kept():
            network = build(architecture, seed=recipe.seed)
            self.training = _endless(network, recipe, images)
            self.clock = _clock_of(self.training.compute)
            self.training.step()
            self.training.compute.wait_for_device()
        self.first_s = self.clock() - starts[self.clock]

    @contextmanager
    def _faults_kept(self) -> Iterator[None]:
        """Keep a fault as text: whatever a candidate does, the others go on."""
        try:
            yield
        except Exception as error:
            self.fault = str(error) or type(error).__name__

    def take_step(self) -> None:
        if self.fault:
            return
        with self._faults_kept():
            self.times.append(_mean_step_s(self.training, self.clock))

    def pace(self, waiting: float, opening_s: float) -> Pace:
        if self.fault:
            return Pace(fault=self.fault)
        step_s = median(self.times)
        begin_s = opening_s + max(0.0, self.first_s - step_s)
        return Pace(step_s=step_s * waiting, begin_s=begin_s * waiting)


def joined(measured: Sequence[Paces]) -> Paces:
    """Return the medians over workers that measured the same networks; a fault of one is kept."""
    return Paces(
        paces=tuple(_median(each) for each in zip(*(one.paces for one in measured), strict=True)),
        waiting=median(one.waiting for one in measured),
    )


def _median(paces: Sequence[Pace]) -> Pace:
    steps = [pace.step_s for pace in paces if pace.step_s is not None]
    if len(steps) < len(paces):
        return next(pace for pace in paces if pace.fault)
    return Pace(step_s=median(steps), begin_s=median(pace.begin_s for pace in paces))


class StepTimes(NamedTuple):
    """The time of a training step, in seconds.

    Attributes:
        quiet_s: The time on a machine where nothing else runs.
        now_s: The elapsed time on this machine, with the other processes that run now.
    """

    quiet_s: float
    now_s: float


def step_times(network: TrainableNetwork, recipe: Recipe, train: ImageDataset) -> StepTimes:
    """Return the time of a training step here, with all threads or one where they are held up.

    Several processes that train together get the wall-clock time of the main one.

    Beside another busy program the threads of a step wait for each other, and it can take a hundred
    times as long. A training notices that and takes fewer threads, so one thread is the most that
    is expected. Its processor time counts, which a busy machine does not change; how much longer it
    takes now is told beside it.

    Args:
        network: The network, which is trained a little.
        recipe: How it is trained.
        train: The training images.
    """
    training = _endless(network, recipe, train)
    if training.compute.num_processes > 1:
        seconds = training.compute.of_main(_seconds_together(training))
        return StepTimes(seconds, seconds)
    return _step_times(training)


def _step_times(training: ShortTraining) -> StepTimes:
    if training.compute.device.type != "cpu":
        seconds = _median_seconds(training, time.perf_counter)
        return StepTimes(seconds, seconds)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    start, start_cpu = time.perf_counter(), time.process_time()
    clock = _clock_of(training.compute)
    alone_s = _median_seconds(training, clock)
    wall_s, cpu_s = time.perf_counter() - start, time.process_time() - start_cpu
    now_s = alone_s
    if clock is time.process_time:
        now_s *= max(1.0, wall_s / max(cpu_s, 1e-9))
    torch.set_num_threads(threads)
    if threads == 1:
        return StepTimes(alone_s, now_s)
    together_s = _median_seconds(training, time.perf_counter, longest_s=alone_s)
    return StepTimes(min(alone_s, together_s), min(now_s, together_s))


def _seconds_together(training: ShortTraining) -> float:
    """Return the median time of as many steps as every other process takes."""
    seconds = [_mean_step_s(training, time.perf_counter) for _ in range(NUM_STEPS)]
    return median(seconds[1:])


def _median_seconds(
    training: ShortTraining, clock: _Clock, *, longest_s: float = LONGEST_S
) -> float:
    """Return the median time of some steps; a first step of more than ``longest_s`` is enough."""
    begun, seconds = time.monotonic(), list[float]()
    while len(seconds) < NUM_STEPS and (len(seconds) < 2 or time.monotonic() - begun < LONGEST_S):
        seconds.append(_mean_step_s(training, clock))
        if seconds[0] > 2 * longest_s:
            return seconds[0]
    return median(seconds[1:])
