"""The manifest of a package: a record that can be read without running anything.

What follows from the architecture is written out all the same, for readers in other languages, and
is checked against the architecture when it is read.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    JsonValue,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from tapetum import __version__
from tapetum.arch import Architecture, cost, spec
from tapetum.errors import printable
from tapetum.records import Record, faults_are_ours
from tapetum.runtime.brightness import BrightnessRange
from tapetum.runtime.preparation import Preparation
from tapetum.runtime.split import Split
from tapetum.runtime.tiles import halo_px
from tapetum.scores import Scores

__all__ = ["SCHEMA_VERSION", "Manifest", "Precision"]

Precision = Literal["fp32", "int8"]
"""What a graph is computed in; in ``int8`` some layers stay in fp32."""

MOST_PX = 2**14  # of the side of a training image
MOST_LETTERS = 255  # of a class name, as of a folder

SCHEMA_VERSION = 3  # 1 had other names for outputs and fields, 2 no preparation


class Manifest(Record):
    """The description of a package.

    Args:
        schema_version: Version of this record; other versions are refused.
        name: Name for people.
        kind: What the network does and how its parts are joined.
        architecture: The architecture of the network.
        class_names: The name of each logit; empty where nothing is classified.
        image_channels: Channels of the image, in and out.
        colour: The meaning of these channels; ``other`` takes arrays only.
        value_range: Range of the image, in and out.
        labels: What is classified: the whole image, each given box, or nothing.
        size_px: Height and width of the training images.
        preparation: How an image becomes the input of the network; without a size where no whole
            image is labelled.
        brightness: The means of the training images, or of their boxes, outside of which a label is
            doubtful; None without labels, and in older packages.
        typical_px: Height and width of a typical image file of the training; None where it is not
            known.
        threads: Inference threads that the latency budget holds for, which :class:`Predictor` uses
            by default; None for all cores.
        split: How the folder of the training was divided; None for digits.
        stride_px: Tiles begin at multiples of this.
        tile_halo_px: Overlap that makes tiles exact; None where no overlap does.
        bytes_per_pixel: Approximate memory per pixel while the network runs.
        precision: What the graph is computed in: ``fp32``, or ``int8`` where that is possible.
        graph_sha256: Digest of ``graph.onnx``, in hexadecimal; filled in by :func:`write_package`.
        graph_opset: Version of the ONNX operators; filled in by :func:`write_package`.
        tapetum_version: Version of Tapetum that wrote the package.
        provenance: Machine, date and commit of the training.
        scores: Scores at each noise level, with their protocol.
        parity: How far the graph differs from the trained network, and on what it was measured.
    """

    schema_version: Literal[3] = 3
    name: Annotated[str, Field(min_length=1)]
    kind: spec.Kind
    architecture: Architecture
    class_names: tuple[str, ...] = ()
    image_channels: PositiveInt
    colour: Literal["grey", "rgb", "other"]
    value_range: tuple[float, float] = (0.0, 1.0)
    labels: Literal["whole", "boxes", "none"]
    size_px: Annotated[int, Field(ge=1, le=MOST_PX)]
    preparation: Preparation
    brightness: BrightnessRange | None = None
    typical_px: tuple[PositiveInt, PositiveInt] | None = None
    threads: PositiveInt | None = None
    split: Split | None = None
    stride_px: PositiveInt
    tile_halo_px: NonNegativeInt | None
    bytes_per_pixel: PositiveFloat
    precision: Precision = "fp32"
    graph_sha256: str = ""
    graph_opset: NonNegativeInt = 0
    tapetum_version: str = __version__
    provenance: Annotated[dict[str, JsonValue], Field(default_factory=dict)]
    scores: Scores | None = None
    parity: dict[str, JsonValue] | None = None

    @classmethod
    def of(
        cls,
        architecture: Architecture,
        *,
        size_px: int,
        preparation: Preparation | None = None,
        brightness: BrightnessRange | None = None,
        typical_px: tuple[int, int] | None = None,
        threads: int | None = None,
        split: Split | None = None,
        class_names: Iterable[str] = (),
        provenance: Record | Mapping[str, Any] | None = None,
        scores: Scores | None = None,
    ) -> Self:
        """Return the manifest of an architecture, with the fields that follow from it.

        The arguments are those of the class; by default the preparation stretches labelled images
        to ``size_px``.

        Raises:
            InputError: Something does not fit the architecture; all faults at once.
        """
        if isinstance(provenance, Record):
            provenance = provenance.model_dump(mode="json")
        problem = f"{architecture.name!r} cannot be described"
        with faults_are_ours(problem, "correct these arguments"):
            fields = _derived(architecture)
            label_px = size_px if fields["labels"] == "whole" else None
            default = Preparation(size_px=label_px, channels=architecture.image_channels)
            return cls(
                name=architecture.name,
                architecture=architecture,
                class_names=tuple(class_names),
                size_px=size_px,
                preparation=preparation or default,
                brightness=brightness,
                typical_px=typical_px,
                threads=threads,
                split=split,
                provenance=dict(provenance or {}),
                scores=scores,
                **fields,
            )

    @property
    def temperature(self) -> float:
        """What the graph divides the logits by, so that the probabilities are calibrated."""
        return 1.0 if self.scores is None else self.scores.temperature

    @property
    def denoises(self) -> bool:
        """Whether the network returns an image."""
        return self.architecture.decoder is not None

    def with_own_estimates(self) -> Self:
        """Return a copy whose halo and memory are computed here, not taken from the file.

        A halo that is too small would give wrong pixels, and a memory that is too small would fill
        the memory of the device.
        """
        derived = _derived(self.architecture)
        names = ("tile_halo_px", "bytes_per_pixel")
        return self.model_copy(update={name: derived[name] for name in names})

    @property
    def classifies(self) -> bool:
        """Whether the network returns labels."""
        return self.labels != "none"

    @property
    def remarks(self) -> tuple[str, ...]:
        """What must be known beside the scores, the warnings first; empty without scores."""
        return () if self.scores is None else self.scores.warnings + self.scores.remarks

    def resizes_for_labels(self, size: tuple[int, int] | None) -> bool:
        """Whether labels are those of resized images, for images of a height and width.

        Args:
            size: The size; None for images of any size.
        """
        fits = size is not None and self.preparation.fits(*size)
        return self.labels == "whole" and not fits

    @property
    def pretrained(self) -> dict[str, str]:
        """Name, version, digest and licence of the weights that the training began with.

        Empty where it began with random weights, or where one of the four is missing.
        """
        stored = self.provenance.get("pretrained")
        known = stored if isinstance(stored, dict) else {}
        found = {name: text for name in _OF_WEIGHTS if isinstance(text := known.get(name), str)}
        return found if len(found) == len(_OF_WEIGHTS) else {}

    @field_validator("value_range")
    @classmethod
    def _is_unit_range(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value != (0.0, 1.0):
            raise ValueError(f"images must be in [0, 1], not in {list(value)}")
        return value

    @model_validator(mode="after")
    def _agrees_with_architecture(self) -> Self:
        expected = _derived(self.architecture)
        # Estimates, which may improve; an opened package has those of this version.
        del expected["tile_halo_px"], expected["bytes_per_pixel"]
        faults = [
            f"{field} is {getattr(self, field)!r} but the architecture says {value!r}"
            for field, value in expected.items()
            if getattr(self, field) != value
        ]
        classifier = self.architecture.classifier
        num_classes = classifier.num_classes if classifier else 0
        if len(self.class_names) != num_classes:
            faults.append(f"{len(self.class_names)} class names for {num_classes} classes")
        if len(set(self.class_names)) != len(self.class_names):
            faults.append("two classes have the same name")
        if self.preparation.channels != self.image_channels:
            faults.append(f"images are prepared with {self.preparation.channels} channels")
        if self.labels == "whole" and self.preparation.size_px is None:
            faults.append("labels of whole images need a preparation with a size")
        if (self.preparation.size_px or 0) > MOST_PX:
            faults.append(f"images are prepared to more than {MOST_PX:,} px")
        faults += _name_faults(self.name, *self.class_names)
        if self.tile_halo_px is not None and self.tile_halo_px % self.stride_px:
            faults.append(f"tile_halo_px {self.tile_halo_px} is not a multiple of the stride")
        if faults:
            raise ValueError("; ".join(faults))
        return self


_OF_WEIGHTS = ("name", "version", "sha256", "licence")


def _name_faults(*names: str) -> list[str]:
    """Return a fault for each name that a list of labels could not show in a line."""
    return [
        f"the name {name[:40]!r} is empty, too long, or holds characters that cannot be printed"
        for name in names
        if not 0 < len(name) <= MOST_LETTERS or printable(name) != name
    ]


def _derived(architecture: Architecture) -> dict[str, Any]:
    """Return the fields of a manifest that follow from the architecture."""
    labels = "boxes" if architecture.classifies_boxes else "whole"
    return {
        "kind": architecture.kind,
        "image_channels": architecture.image_channels,
        "colour": {1: "grey", 3: "rgb"}.get(architecture.image_channels, "other"),
        "labels": labels if architecture.classifier else "none",
        "stride_px": architecture.stride_px,
        "tile_halo_px": halo_px(architecture),
        "bytes_per_pixel": cost.bytes_per_pixel(architecture),
    }
