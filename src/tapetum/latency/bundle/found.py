"""What a bundle asks a device to time, and what the device found, as records."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from tapetum import __version__
from tapetum.arch import Choice, Shape, ShapeSpace, Space
from tapetum.errors import InputError
from tapetum.latency.agent import WIDTH, Round
from tapetum.latency.conditions import Conditions
from tapetum.latency.timing import SHORT_ROUND, PassCount, Timing
from tapetum.latency.vector import WIDTHS, WidthProbe, probe_of
from tapetum.latency.whole import TimedShape, TimedShapes
from tapetum.records import Record
from tapetum.runtime import Precision

__all__ = ["BLOCKS", "NAMED", "RUNTIME", "WIDTH", "Bundled", "DeviceTimings", "Job"]

RUNTIME = "onnxruntime"
NAMED = "named"  # the family of networks that are no shapes
BLOCKS = "blocks"  # the family of networks whose blocks are priced

Boxes = list[list[list[float]]]


class Bundled(Record):
    """A network of a bundle.

    Attributes:
        file: Its graph in the archive.
        precision: Number format of its computation.
        multiply_adds: Multiply-adds of one image, by which networks are in order.
        images: Shape of each input that takes random images.
        boxes: Values of each input that takes boxes.
        family: What it is for: a family of shapes, a width, or a named network.
        shape: The shape; None for others.
        name: Name of an architecture, or number of channels.
        choices: The choice of each slot of the space; None for others.
    """

    file: str
    precision: Precision
    multiply_adds: NonNegativeInt
    images: dict[str, tuple[PositiveInt, ...]]
    boxes: dict[str, Boxes]
    family: str
    shape: Shape | None = None
    name: str = ""
    choices: dict[str, Choice | None] | None = None


class Job(Record):
    """What a device has to time.

    Attributes:
        tapetum: Version that wrote the bundle.
        threads: Inference threads.
        batch: Images in one pass.
        space: The space of the shapes, whose grid of widths is measured on the device; or the space
            whose blocks are priced.
        networks: From the fewest multiply-adds to the most.
        passes: The passes of each network in each round.
        most_rounds: The most rounds.
        minutes: Time after which no other round begins.
        longest_ms: Slower networks are not needed: much larger ones are left out. By default all
            are timed, since slow networks price their blocks too.
    """

    format: Literal["tapetum-latency-job"] = "tapetum-latency-job"
    schema_version: Literal[1] = 1
    tapetum: str = __version__
    threads: PositiveInt
    batch: PositiveInt = 1
    space: ShapeSpace | Space
    networks: tuple[Bundled, ...] = ()
    passes: PassCount = SHORT_ROUND
    most_rounds: PositiveInt = 4
    minutes: PositiveFloat = 20.0
    longest_ms: PositiveFloat = 1e9


class _Round(NamedTuple):
    """A :class:`Round` as the agent writes it."""

    passes_ms: tuple[NonNegativeFloat, ...]
    num_preempted: NonNegativeInt
    wall_ms: NonNegativeFloat
    cpu_ms: NonNegativeFloat | None


class DeviceTimings(Record):
    """What a device found.

    Attributes:
        job_sha256: Digest of the job in the archive.
        device: Model of the processor.
        runtime_version: Version of ONNX Runtime.
        cores: Cores of the device; None where it does not say.
        job: What was timed.
        rounds: The rounds of each network; None for one that was left out of a round.
    """

    format: Literal["tapetum-device-timings"] = "tapetum-device-timings"
    schema_version: Literal[1] = 1
    job_sha256: str
    device: str
    runtime_version: str
    cores: PositiveInt | None = None
    job: Job
    rounds: tuple[tuple[_Round | None, ...], ...]

    def conditions(self, precision: Precision) -> Conditions:
        """Return what the timings in a number format hold for."""
        timed = (one for one in self.job.networks if one.family != WIDTH)
        _, _, height_px, width_px = next(iter(next(timed).images.values()))
        return Conditions(
            device=self.device,
            runtime=RUNTIME,
            runtime_version=self.runtime_version,
            precision=precision,
            threads=self.job.threads,
            batch=self.job.batch,
            channels=self.job.space.image_channels,
            height_px=height_px,
            width_px=width_px,
        )

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """The number formats that were timed, fp32 first."""
        known = {network.precision for network, _ in self.known()}
        formats: tuple[Precision, ...] = ("fp32", "int8")
        return tuple(one for one in formats if one in known)

    def timed(self) -> Iterator[tuple[Bundled, Timing]]:
        """Yield the networks that were timed, with their latencies."""
        for network, rounds in self.known():
            yield network, Timing.of(rounds)

    def known(self) -> Iterator[tuple[Bundled, list[Round]]]:
        """Yield the networks that were timed, with their rounds."""
        for network, rounds in zip(self.job.networks, self.rounds, strict=True):
            known = [Round(*one) for one in rounds if one is not None]
            if known:
                yield network, known

    def find(self, name: str, precision: Precision) -> Timing | None:
        """Return the latency of a named network; None where it was not timed."""
        return next(
            (
                timing
                for network, timing in self.timed()
                if (network.family, network.name, network.precision) == (NAMED, name, precision)
            ),
            None,
        )

    def widths(self, precision: Precision) -> WidthProbe:
        """Return the grid of widths on which the device is fast.

        Raises:
            InputError: What tells it was not timed.
        """
        fastest_ms = {
            int(network.name): min(one.median_ms for one in rounds)
            for network, rounds in self.known()
            if (network.family, network.precision) == (WIDTH, precision)
        }
        needed = {width for widths in WIDTHS.values() for width in widths}
        if missing := needed - fastest_ms.keys():
            raise InputError(
                f"{self.device} has not timed networks of {', '.join(map(str, sorted(missing)))} "
                f"channels in {precision}, which tell the grid of widths",
                "write the bundle again with 'tapetum latency bundle', and time it on the device",
            )
        return probe_of(fastest_ms)

    def shapes(self, precision: Precision) -> TimedShapes:
        """Return the shapes on that grid, with their latencies."""
        space, step = self.job.space, self.widths(precision).width_step
        assert isinstance(space, ShapeSpace)  # noqa: S101  (the callers have looked)
        shapes = tuple(
            TimedShape(shape=network.shape, timing=timing, family=network.family)
            for network, timing in self.timed()
            if network.precision == precision
            and network.shape is not None
            and _is_on_grid(network.shape, step)
        )
        return TimedShapes(
            conditions=self.conditions(precision),
            space=space.model_copy(update={"width_step": step}),
            shapes=shapes,
        )


def _is_on_grid(shape: Shape, step: int) -> bool:
    channels = (*shape.widths, *shape.branch.widths, shape.detail_channels or 0)
    return all(width % step == 0 for width in channels)
