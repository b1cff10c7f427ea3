"""What an export returns, as records that need no torch."""

from typing import Literal

import numpy as np

from tapetum.errors import PackageError
from tapetum.formats.precision import PrecisionChoice, faults_of
from tapetum.formats.ranges import RangeChoice
from tapetum.formats.target import FilePrecision, Settings
from tapetum.latency import Timing
from tapetum.records import FiniteOrNone, Record
from tapetum.runtime import KeptBudget, Manifest

__all__ = [
    "TOLERANCE",
    "TOLERANCES",
    "TOLERANCE_CALIBRATED",
    "Comparison",
    "Exported",
    "Parity",
    "Speed",
    "WrittenFile",
]

TOLERANCE = 1e-4
TOLERANCES: dict[FilePrecision, float] = {
    "fp32": TOLERANCE,
    "fp16": 0.02,
    "bf16": 0.2,
    "int8": 0.05,  # a rounding that falls on the other side is a step of 8 bits, or some
}
"""How far a file may be from its package, and one in int8 from the package in int8."""
ALIKE = 0.02  # a difference of times that is none
TOLERANCE_CALIBRATED = 0.3  # of a file in int8, with other ranges, from its package in fp32


class Parity(Record):
    """The difference between two forms of one network.

    Attributes:
        max_difference: The largest absolute difference of any value, by output.
        sizes_px: Heights and widths on which it was measured.
        num_images: Images of each size.
        images: What they are; noisy validation images for a file in int8 that was calibrated.
        runtime: What ran the written form.
        tolerance: The largest difference that is allowed.
    """

    max_difference: dict[str, float]
    sizes_px: tuple[tuple[int, int], ...]
    num_images: int
    images: Literal["random", "noisy"] = "random"
    runtime: str
    tolerance: float = TOLERANCE

    @property
    def worst(self) -> float:
        """The largest difference of all outputs."""
        return float(np.max(list(self.max_difference.values())))  # NaN where one is NaN

    def require(self, name: str, *, than: str = "network") -> None:
        """Refuse a form that does not do what the network does.

        Args:
            name: Name of the network.
            than: What the graph was compared with.

        Raises:
            PackageError: The difference is above the tolerance.
        """
        if not self.worst <= self.tolerance:  # so written, NaN fails too
            listed = ", ".join(f"{key} {value:.1e}" for key, value in self.max_difference.items())
            raise PackageError(
                f"the graph of {name} differs from the {than} by more than "
                f"{self.tolerance:g} ({listed})",
                f"nothing was written; report this with the {_EVIDENCE[than]}",
            )


_EVIDENCE = {"network": "run's weights.safetensors", "package": "package"}


class Comparison(Record):
    """A written file beside the package that it was made from, on validation images.

    Attributes:
        num_images: Noisy images that both were run on.
        size_px: Height and width that they were resized to; None for their own.
        max_difference: The largest absolute difference of any value, by output.
        between_db: PSNR of the denoised image of the file against that of the package; None where
            they are equal or there is none.
        agreement: Share of the labels that are the same; None without labels.
        psnr_db: Mean PSNR of the package's and the file's images, of at most 40 dB each.
        ssim: The same of SSIM; None also where an image is smaller than its window.
        accuracy: Share of right labels of the package and of the file.
        macro_accuracy: The same of each class, averaged over the classes of these images.
    """

    num_images: int
    size_px: tuple[int, int] | None = None
    max_difference: dict[str, float]
    between_db: FiniteOrNone = None
    agreement: float | None = None
    psnr_db: tuple[float, float] | None = None
    ssim: tuple[float, float] | None = None
    accuracy: tuple[float, float] | None = None
    macro_accuracy: tuple[float, float] | None = None

    @property
    def lost_db(self) -> float | None:
        """PSNR that the file loses, in dB; negative where it gains some."""
        return None if self.psnr_db is None else self.psnr_db[0] - self.psnr_db[1]

    @property
    def lost_points(self) -> float | None:
        """Points of macro accuracy that the file loses; negative where it gains some."""
        pair = self.macro_accuracy
        return None if pair is None else 100 * (pair[0] - pair[1])

    @property
    def text(self) -> str:
        """The comparison in one sentence."""
        parts = []
        if "denoised" in self.max_difference:
            between = (
                "are equal" if self.between_db is None else f"agree to {self.between_db:.0f} dB"
            )
            parts.append(f"the denoised images {between}")
        if self.agreement is not None:
            parts.append(f"{self.agreement:.1%} of the labels are the same")
        lost = [] if self.lost_db is None else [f"{self.lost_db:z.2f} dB"]
        lost += [] if self.ssim is None else [f"{self.ssim[0] - self.ssim[1]:z.3f} of SSIM"]
        points = self.lost_points
        lost += [] if points is None else [f"{points:z.1f} points of macro accuracy"]
        if lost:
            parts.append(f"the file loses {' and '.join(lost)}")
        size = "" if self.size_px is None else f" of {self.size_px[1]} x {self.size_px[0]} px"
        return f"on {self.num_images:,} validation images{size}: {', '.join(parts)}"


class Speed(Record):
    """A file beside the same network in fp32 and the same format, timed in turn on this machine.

    Attributes:
        size_px: Height and width of the image.
        num_images: Images at once.
        file: Latency of one pass of the file.
        fp32: Latency of one pass in fp32.
    """

    size_px: tuple[int, int]
    num_images: int
    file: Timing
    fp32: Timing

    @property
    def speed_up(self) -> float:
        """How many times as fast the file is."""
        return self.fp32.median_ms / self.file.median_ms


class WrittenFile(Record):
    """A file for use without Tapetum; the record stands beside it as ``FILE.json``.

    Attributes:
        format: Name of the format.
        precision: What it is computed in; in int8 some layers stay in float.
        ranges: How int8 was calibrated; None for floats, and where it is not known.
        file: Name of the file.
        size_bytes: Size of all files.
        sha256: Digest of each file, by its name.
        metadata: Classes, preparation, noise and origin; they stand in the file as well.
        manifest: The description of the package, without its origin but the seed.
        parity: How far it differs from the package.
        comparison: The same on validation images, and what is lost; None without images.
        speed: How fast it is beside the network in fp32; None for fp32 itself.
        budget: The latency budget of the fit that it was made of; None where it is of none.
        snippet: Lines that use it without Tapetum.
        remarks: What a user must know, in sentences without a full stop.
    """

    format: str
    precision: FilePrecision = "fp32"
    ranges: RangeChoice | None = None
    file: str
    size_bytes: int
    sha256: dict[str, str]
    metadata: dict[str, str]
    manifest: Manifest
    parity: Parity
    comparison: Comparison | None = None
    speed: Speed | None = None
    budget: KeptBudget | None = None
    snippet: str
    remarks: tuple[str, ...] = ()

    @property
    def settings(self) -> Settings:
        """What it was written with: one size of image or any, and the images at once."""
        sizes_px = self.parity.sizes_px
        return Settings(
            fixed=sizes_px[0] if len(sizes_px) == 1 else None,
            batch=self.parity.num_images,
            precision=self.precision,
        )

    @property
    def speed_text(self) -> str:
        """How fast the file is, in one sentence; empty for fp32."""
        if self.speed is None:
            return ""
        height, width = self.speed.size_px
        ratio = 1 / self.speed.speed_up
        than = "slower than" if ratio > 1 else "faster than"
        than = "as fast as" if abs(ratio - 1) < ALIKE else than
        return (
            f"{self.precision} is {than} fp32 on this machine: one pass over "
            f"{self.speed.num_images} image(s) of {width} x {height} px takes {ratio:.2f} times as "
            "long on one thread"
        )

    @property
    def faults(self) -> tuple[str, ...]:
        """What speaks against the precision of the file, in words."""
        if self.speed is None or self.comparison is None:
            return ()
        one = self.comparison
        return faults_of(self.speed.speed_up, one.lost_points, one.lost_db, one.num_images)


class Exported(Record):
    """The result of an export.

    Attributes:
        path: The written file.
        size_bytes: Size of the file.
        parity: How far the graph of the package differs from the trained network, in fp32;
            None where a package does not say it.
        precision: The comparison of fp32 and int8, and what was written; None where only fp32 was
            asked for.
        written: The file as it was run, where it is not a package.
        remarks: What a user must know of its scores, in sentences without a full stop.
        exceeded: Losses above what was allowed, in words; the file was written all the same.
    """

    path: str
    size_bytes: int
    parity: Parity | None = None
    precision: PrecisionChoice | None = None
    written: WrittenFile | None = None
    remarks: tuple[str, ...] = ()
    exceeded: tuple[str, ...] = ()
