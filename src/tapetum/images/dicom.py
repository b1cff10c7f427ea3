"""Read DICOM files with the package ``pydicom``: grey or RGB, of one frame or many.

Values are those that the file stores. Signed ones are moved up to start at 0, and images whose
lowest value is white are inverted. Windows and rescaling to physical units are not applied.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapetum.errors import DataError
from tapetum.images.decoded import Metadata, Resolution, Samples, StoredImage
from tapetum.images.facts import ImageFacts, chosen_frames, require_count
from tapetum.images.source import Source, extra, opened

__all__ = ["dicom_facts", "dicom_frames", "is_dicom"]

_MM_PER_CM = 10.0


def is_dicom(head: bytes) -> bool:
    """Return whether the first 132 bytes are those of a DICOM file."""
    return head[128:132] == b"DICM"


def dicom_facts(source: Source) -> ImageFacts:
    """Return what the header of a DICOM file says."""
    header = _header(source)
    return ImageFacts(
        format="DICOM",
        width_px=int(header.Columns),
        height_px=int(header.Rows),
        num_frames=require_count(int(header.get("NumberOfFrames", None) or 1)),
        mode="grey" if int(header.SamplesPerPixel) == 1 else "rgb",
        bit_depth=8 if int(header.BitsStored) <= 8 else 16,
        has_alpha=False,
    )


def dicom_frames(source: Source, *, only: Sequence[int] | None = None) -> Iterator[StoredImage]:
    """Decode the frames of a DICOM file, or some of them."""
    header = _header(source)
    kind, bits = str(header.PhotometricInterpretation), int(header.BitsStored)
    if int(header.SamplesPerPixel) not in (1, 3) or kind == "PALETTE COLOR" or bits > 16:
        raise DataError(f"it is {kind} of {bits} bits", "save it as grey or RGB of 16 bits")
    signed = int(header.PixelRepresentation) == 1
    notes = ("signed values moved up to start at 0",) if signed else ()
    largest = 2**bits - 1
    for index in chosen_frames(dicom_facts(source).num_frames, only):
        samples = _samples(_pixels(source, index), largest, signed, inverted=kind == "MONOCHROME1")
        yield StoredImage(
            samples=samples,
            hints=(largest,),
            metadata=Metadata(resolution=_resolution(header)),
            format="DICOM",
            notes=notes,
        )


def _header(source: Source) -> Any:
    pydicom = extra("pydicom", "dicom")
    with opened(source) as file:
        header = pydicom.dcmread(file, stop_before_pixels=True)
    if "Rows" not in header or "Columns" not in header:
        raise DataError("it holds no image", "leave it out")
    return header


def _pixels(source: Source, index: int) -> NDArray[Any]:
    """Return the values of a frame, (h, w) or (h, w, 3), in RGB."""
    pixels = extra("pydicom.pixels", "dicom")
    with opened(source) as file:
        values: NDArray[Any] = pixels.pixel_array(file, index=index)
    return values


def _samples(values: NDArray[Any], largest: int, signed: bool, *, inverted: bool) -> Samples:
    moved = values.astype(np.int32) + ((largest + 1) // 2 if signed else 0)
    moved = np.clip(moved, 0, largest)
    kind = np.uint8 if largest <= 255 else np.uint16
    return np.atleast_3d((largest - moved if inverted else moved).astype(kind))


def _resolution(header: Any) -> Resolution | None:
    """Return pixels per centimetre, from the distance of the pixels in millimetres."""
    spacing = header.get("PixelSpacing", None) or header.get("ImagerPixelSpacing", None)
    if not spacing or len(spacing) != 2 or not all(float(value) > 0 for value in spacing):
        return None
    return Resolution(_MM_PER_CM / float(spacing[1]), _MM_PER_CM / float(spacing[0]), "cm")
