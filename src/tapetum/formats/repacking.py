"""Write a package again after its precision was chosen, without the trained network."""

from dataclasses import replace
from pathlib import Path

from tapetum.formats.card import write_card
from tapetum.formats.precision import PrecisionChoice
from tapetum.runtime import Package, Predictor, write_package

__all__ = ["noted", "repack"]


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
    shipped = noted(package, choice)
    write_package(
        out,
        shipped.graph_bytes,
        shipped.manifest,
        write_card(shipped.manifest, out, latency=""),
        check=lambda path: Predictor.open(path).warm_up(),
        overwrite=overwrite,
    )
