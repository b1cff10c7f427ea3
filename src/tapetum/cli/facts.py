"""Facts of architectures, runs and packages for ``tapetum info``, as plain values."""

from pathlib import Path
from typing import Any

from tapetum.arch import Architecture, Described, architecture_names, cost, find_architecture
from tapetum.errors import ArchitectureError, nearest
from tapetum.records import Record

__all__ = ["architecture_facts", "list_architectures", "package_facts", "run_facts"]

Facts = dict[str, Any]


def list_architectures(size_px: int, *, channels: int, num_classes: int) -> list[Facts]:
    """Return name, kind and cost of each named architecture, without boxes."""
    rows: list[Facts] = []
    for name in architecture_names():
        architecture = find_architecture(
            name, channels=channels, num_classes=num_classes, boxes=False
        )
        millions = cost.multiply_adds(architecture, size_px, size_px) / 1e6
        rows.append(
            _row(name, architecture.kind, cost.parameters(architecture), round(millions, 2))
        )
    return rows


def architecture_facts(subject: str, size_px: int, *, channels: int, num_classes: int) -> Facts:
    """Return facts and cost of a named architecture, or of one in a JSON file.

    Raises:
        ArchitectureError: No architecture, run or package has this name.
    """
    if subject.endswith(".json"):
        return _costs(Architecture.read(Path(subject)), size_px)
    if subject not in architecture_names():
        raise ArchitectureError(
            f"{subject!r} is not an architecture, a run or a package",
            nearest(subject, architecture_names()),
        )
    whole = find_architecture(subject, channels=channels, num_classes=num_classes, boxes=False)
    return _costs(whole, size_px)


def run_facts(path: Path) -> Facts:
    """Return the request of a run and its state."""
    from tapetum.training import RUNS

    run = RUNS.open(path)
    request = run.request
    facts: Facts = {"run": str(path), "state": "finished" if run.is_finished else "unfinished"}
    facts |= _costs(request.architecture, request.data.size_px)
    facts |= {f"data {key}": value for key, value in request.data.model_dump().items()}
    facts |= {f"recipe {key}": value for key, value in _short(request.recipe).items()}
    if run.is_finished:
        result = run.result()
        facts["training minutes"] = round(result.training_seconds / 60, 2)
        facts |= _mean(None if result.scores is None else result.scores.mean.model_dump())
    return facts


def package_facts(path: Path) -> Facts:
    """Return inputs, outputs, cost and scores of a package."""
    from tapetum.runtime import open_package

    manifest = open_package(path).manifest
    facts: Facts = {"package": str(path), "size in bytes": path.stat().st_size}
    facts |= _costs(manifest.architecture, manifest.size_px)
    facts |= {
        "colour": manifest.colour,
        "labels": manifest.labels,
        "classes": ", ".join(manifest.class_names) or "-",
        "schema version": manifest.schema_version,
        "made by": f"tapetum {manifest.tapetum_version}",
        "made on": manifest.provenance.get("date", "-"),
    }
    return facts | _mean(None if manifest.scores is None else manifest.scores.mean.model_dump())


def _row(name: str, kind: str, num_parameters: int | None, millions: float | None) -> Facts:
    return {
        "architecture": name,
        "kind": kind,
        "parameters": num_parameters,
        "millions_multiply_adds": millions,
    }


def _costs(architecture: Described, size_px: int) -> Facts:
    facts: Facts = {
        "architecture": architecture.name,
        "kind": architecture.kind,
        "channels": architecture.image_channels,
    }
    if not isinstance(architecture, Architecture):  # a module: its layers are not described
        return facts
    return facts | {
        "parameters": cost.parameters(architecture),
        "image": f"{size_px} x {size_px} px",
        "multiply-adds": cost.multiply_adds(architecture, size_px, size_px),
        "reach in pixels": cost.reach_px(architecture),
        "bytes per pixel": round(cost.bytes_per_pixel(architecture)),
    }


def _short(recipe: Record) -> Facts:
    kept = ("name", "epochs", "batch_size", "optimizer", "learning_rate", "schedule", "precision")
    return recipe.model_dump(include=set(kept))


def _mean(row: dict[str, Any] | None) -> Facts:
    scores = {} if row is None else row
    return {
        f"mean {key}": round(value, 4) for key, value in scores.items() if isinstance(value, float)
    }
