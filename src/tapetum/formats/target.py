"""The seam of the formats: what a package can become for a device without Tapetum.

A format is one module with one :class:`Target`, listed in :mod:`tapetum.formats.targets`. It turns
a package into the bytes of a file or of some files, runs them, and says in a few lines how to use
them. Everything else is shared: what was written is run before it gets its name, compared with the
package, and described beside it.
"""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, ClassVar, Literal, NamedTuple, Protocol, TypedDict, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, PositiveInt

from tapetum.errors import InputError, PackageError
from tapetum.formats.lowering import NEWEST_OPSET, OLDEST_OPSET
from tapetum.formats.ranges import CalibrationMethod
from tapetum.records import Record
from tapetum.runtime import Manifest, Package

__all__ = [
    "OF_INT8",
    "Contents",
    "FilePrecision",
    "Floats",
    "Images",
    "Outputs",
    "Run",
    "Settings",
    "SettingsGiven",
    "Target",
    "require_plain",
]

FilePrecision = Literal["fp32", "fp16", "bf16", "int8"]
"""What a file is computed in: ``fp16`` stores weights so, ``bf16`` computes so."""

Floats = NDArray[np.float32]
Images = Iterable[Floats]

Contents = Mapping[str, bytes]
"""Each file of a format by its ending."""

OF_INT8 = frozenset(("calibration_method", "float_ends"))
"""The fields of :class:`Settings` that are for int8."""


class Settings(Record):
    """What a user may settle of a file; each format names the fields that it follows.

    Attributes:
        fixed: Height and width of all images; None for any.
        batch: Images at once; None for any number, where the format can.
        opset: Version of the ONNX operators.
        target_ms: Latency budget that is shown, in milliseconds.
        title: Heading of a page; empty for the classes.
        web_runtime: Folder with the files of onnxruntime-web.
        calibration_method: Where the ranges of int8 come from; ``auto`` is what loses least.
        float_ends: Whether the first and the last layers stay in float in int8.
        precision: What the file is computed in.
    """

    fixed: tuple[PositiveInt, PositiveInt] | None = None
    batch: PositiveInt | None = None
    opset: Annotated[int, Field(ge=OLDEST_OPSET, le=NEWEST_OPSET)] | None = None
    target_ms: PositiveFloat | None = None
    title: str = ""
    web_runtime: Path | None = None
    calibration_method: CalibrationMethod = "auto"
    float_ends: bool = True
    precision: FilePrecision = "fp32"

    @property
    def given(self) -> frozenset[str]:
        """The fields that were settled, but for the precision, which each format has."""
        fields = type(self).model_fields
        given = {name for name, value in self if value != fields[name].default}
        return frozenset(given - {"precision"})

    @property
    def given_for_int8(self) -> list[str]:
        """The fields that were settled and have an effect on int8 alone."""
        return sorted(self.given & OF_INT8)

    def size_for(self, what: str) -> tuple[int, int]:
        """Return height and width of all images, which the files of some format need.

        Raises:
            InputError: None was given.
        """
        if self.fixed is None:
            raise InputError(
                f"a file of {what} is for images of one size, and none was given",
                "give it with --fixed HEIGHTxWIDTH",
            )
        return self.fixed


class SettingsGiven(TypedDict, total=False):
    """The same as options of a function."""

    fixed: tuple[int, int] | None
    batch: int | None
    opset: int | None
    target_ms: float | None
    web_runtime: str | Path | None
    calibration_method: CalibrationMethod
    float_ends: bool


class Outputs(NamedTuple):
    """What a file returns for a batch.

    Attributes:
        denoised: Shape (n, c, h, w), in [0, 1]; None where there is no image.
        probabilities: Shape (n, classes) or (n, k, classes); None without labels.
    """

    denoised: Floats | None
    probabilities: Floats | None


@runtime_checkable
class Run(Protocol):
    """A written file, opened."""

    runtime: str
    """What runs it, with its version."""

    @property
    def threads(self) -> int | None:
        """Threads of this process that compute; None where another process does."""

    def __call__(self, images: Floats, boxes: Floats | None) -> Outputs:
        """Run the file.

        Args:
            images: Shape (n, c, h, w), in the colours of the network, about [0, 1].
            boxes: Shape (n, k, 4), in pixels; None where boxes are not classified.
        """


@runtime_checkable
class Target(Protocol):
    """A format."""

    name: ClassVar[str]
    endings: ClassVar[tuple[str, ...]]
    """The ending of each of its files; the first one is the file that a user names."""
    settings: ClassVar[frozenset[str]]
    """The fields of :class:`Settings` that it follows."""
    precisions: ClassVar[frozenset[FilePrecision]]
    """What its files can be computed in; it takes packages in int8 where that is among them."""

    calibrates: ClassVar[str | None] = None
    """Its ranges by default, where it puts networks into int8 itself; others take one in int8."""

    def require(self, settings: Settings) -> None:
        """Refuse at once what cannot be written here.

        Raises:
            MissingExtraError: A converter is not installed; nothing is installed here.
        """

    def contents(self, package: Package, settings: Settings, images: Images = ()) -> Contents:
        """Return each file by its ending.

        Args:
            package: The package.
            settings: What was settled.
            images: Noisy images, (n, c, h, w), as the file takes them, where it calibrates int8.

        Raises:
            PackageError: The network cannot be in this format.
        """

    def opened(
        self, path: Path, settings: Settings, *, threads: int = 1
    ) -> AbstractContextManager[Run]:
        """Open the file that a user names; the others lie beside it.

        But for a page in a browser, what is opened can be run after the context has ended.
        """

    def snippet(self, name: str, manifest: Manifest, settings: Settings) -> list[str]:
        """Return lines that use the file of a name without Tapetum."""


def require_plain(manifest: Manifest, name: str) -> None:
    """Refuse what converters of torch modules do not write: boxes, and weights in int8.

    Raises:
        PackageError: The network classifies boxes, or is in int8 already.
    """
    if manifest.labels == "boxes" or manifest.precision != "fp32":
        need = "classifies boxes" if manifest.labels == "boxes" else "is in int8 already"
        problem = f"{manifest.name} {need}, which is not written for {name}"
        raise PackageError(problem, "export it as .onnx, or its run in fp32")
