"""How a folder was divided into training and validation, kept with every network."""

from pydantic import NonNegativeInt

from tapetum.records import Record

__all__ = ["Split"]


class Split(Record):
    """The rule of a split, which gives the same images again, and the digest of its result.

    Args:
        seed: Seed of the hash that decides the side of an image.
        val_fraction: Share that validates; None where the folder has a validation part of its own.
        group_by: What makes images stay on one side: ``folder`` or a regular expression on the
            relative path; None for the file alone.
        layout: The reading of the folder that was requested; None if it was found.
        labels: Path of the table of labels that was given, if any.
        num_files: Number of files.
        files_sha256: Digest of the relative paths, contents and sides of all files.
    """

    seed: int
    val_fraction: float | None = None
    group_by: str | None = None
    layout: str | None = None
    labels: str | None = None
    num_files: NonNegativeInt = 0
    files_sha256: str = ""
