"""The limits of a server."""

from typing import ClassVar

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from tapetum.records import Record

__all__ = ["Limits"]


class Limits(Record):
    """What a server accepts, and how much of it at once.

    Attributes:
        max_mib: Largest body of a request, in MiB.
        max_megapixels: Largest image, in megapixels.
        workers: Number of images that are computed at once, each in a thread.
        queue: Number of images that may wait for a worker.
        timeout_s: Time limit for waiting and computing, in seconds.
        upload_s: Time limit for receiving a request, in seconds.
    """

    MOST_BOXES: ClassVar = 1_000  # of one image

    max_mib: PositiveFloat = 16.0
    max_megapixels: PositiveFloat = 16.0
    workers: PositiveInt = 1
    queue: NonNegativeInt = 32
    timeout_s: PositiveFloat = 30.0
    upload_s: PositiveFloat = 30.0

    @property
    def max_bytes(self) -> int:
        """Largest body of a request, in bytes."""
        return int(self.max_mib * 2**20)

    @property
    def max_pixels(self) -> int:
        """Largest image, in pixels."""
        return int(self.max_megapixels * 1e6)
