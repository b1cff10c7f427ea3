"""Choose the reader of a file by its first bytes."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from tapetum.images.decoded import StoredImage
from tapetum.images.dicom import dicom_facts, dicom_frames, is_dicom
from tapetum.images.facts import ImageFacts, pillow_facts
from tapetum.images.npy import npy_facts, npy_frames
from tapetum.images.pillow import pillow_frames
from tapetum.images.pnm import is_deep_pnm, pnm_facts, pnm_frames
from tapetum.images.source import Source, add_heif, signature
from tapetum.images.tiffread import (
    TIFF_SIGNATURES,
    needs_tifffile,
    tiff_facts,
    tiff_frames,
)

__all__ = ["Reader", "is_image_signature", "reader_of"]

_NPY = b"\x93NUMPY"
_SIGNATURES = (
    *(b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM", _NPY, *TIFF_SIGNATURES),
    *(b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"),  # JPEG 2000
    *(b"P%d%c" % (kind, space) for kind in range(1, 7) for space in b" \n\t\r#"),
)
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_AVIF_BRANDS = (b"avif", b"avis")
_DIB_HEADERS = (b"\x28\0\0\0", b"\x6c\0\0\0", b"\x7c\0\0\0")  # of 40, 108 and 124 bytes


class _Frames(Protocol):
    def __call__(
        self, source: Source, *, only: Sequence[int] | None = None
    ) -> Iterator[StoredImage]: ...


class _Facts(Protocol):
    def __call__(self, source: Source) -> ImageFacts: ...


class Reader(NamedTuple):
    """How to look at a file, and how to decode its frames."""

    facts: _Facts
    frames: _Frames


_PILLOW = Reader(pillow_facts, pillow_frames)


def is_image_signature(head: bytes) -> bool:
    """Return whether the first 132 bytes of a file are those of an image format."""
    is_dib = head[:4] in _DIB_HEADERS and head[12:14] == b"\1\0"  # one plane
    is_webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    is_boxed = head[4:8] == b"ftyp" and head[8:12] in (*_HEIF_BRANDS, *_AVIF_BRANDS)
    return head.startswith(_SIGNATURES) or is_webp or is_boxed or is_dib or is_dicom(head)


def reader_of(source: Source) -> Reader:
    """Return the reader of a file."""
    head = signature(source)
    if head.startswith(_NPY):
        return Reader(npy_facts, npy_frames)
    if is_dicom(head):
        return Reader(dicom_facts, dicom_frames)
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        add_heif()
        return _PILLOW
    if is_deep_pnm(head):
        return Reader(pnm_facts, pnm_frames)
    if head.startswith(TIFF_SIGNATURES) and needs_tifffile(source):
        return Reader(tiff_facts, tiff_frames)
    return _PILLOW
