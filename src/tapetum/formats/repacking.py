"""Write a package again after something in it was chosen, without the trained network."""

from dataclasses import replace
from pathlib import Path

from tapetum.formats.card import write_card
from tapetum.formats.precision import PrecisionChoice
from tapetum.records import hold_name
from tapetum.runtime import Package, Predictor, write_package
from tapetum.scores import Scores

__all__ = ["noted", "repack", "with_scores"]


def noted(package: Package, choice: PrecisionChoice) -> Package:
    """Return a package whose manifest keeps what was measured of its precision."""
    origin = package.manifest.provenance | {"precision": choice.model_dump(mode="json")}
    return replace(package, manifest=package.manifest.model_copy(update={"provenance": origin}))


def with_scores(package: Package, scores: Scores) -> Package:
    """Return a package with its own scores, in place of those of the network in fp32."""
    manifest = package.manifest
    origin = manifest.provenance | {"scored_in": manifest.precision}
    changes = {"scores": scores.model_copy(update={"mistakes": ()}), "provenance": origin}
    return replace(package, manifest=manifest.model_copy(update=changes))


def repack(package: Package, out: Path, *, latency: str = "", overwrite: bool) -> None:
    """Write a package with a card of its manifest, and run the file once.

    Args:
        package: What ships.
        out: The file.
        latency: What the card says of the latency, or nothing.
        overwrite: Whether a file of that name may be replaced.

    Raises:
        PackageError: The file exists or cannot be written, or it cannot be run.
    """
    with hold_name(out):
        write_package(
            out,
            package.graph_bytes,
            package.manifest,
            write_card(package.manifest, out, latency),
            check=lambda path: Predictor.open(path).warm_up(),
            overwrite=overwrite,
        )
