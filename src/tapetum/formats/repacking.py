"""Write a package again after something in it was chosen, without the trained network."""

from dataclasses import replace
from pathlib import Path

from tapetum.formats.card import write_card
from tapetum.formats.precision import PrecisionChoice
from tapetum.runtime import Package, Predictor, write_package

__all__ = ["noted", "repack", "write_again"]


def noted(package: Package, choice: PrecisionChoice) -> Package:
    """Return a package whose manifest keeps what was measured of its precision."""
    origin = package.manifest.provenance | {"precision": choice.model_dump(mode="json")}
    return replace(package, manifest=package.manifest.model_copy(update={"provenance": origin}))


def repack(package: Package, choice: PrecisionChoice, out: Path, *, overwrite: bool) -> None:
    """Write a package in the precision that was chosen, and run the file once.

    Args:
        package: What ships.
        choice: What was measured.
        out: The file.
        overwrite: Whether a file of that name may be replaced.

    Raises:
        PackageError: The file exists or cannot be written, or it cannot be run.
    """
    write_again(noted(package, choice), out, overwrite=overwrite)


def write_again(package: Package, out: Path, *, overwrite: bool) -> None:
    """Write a package with a card of its manifest, and run the file once; see :func:`repack`."""
    write_package(
        out,
        package.graph_bytes,
        package.manifest,
        write_card(package.manifest, out, latency=""),
        check=lambda path: Predictor.open(path).warm_up(),
        overwrite=overwrite,
    )
