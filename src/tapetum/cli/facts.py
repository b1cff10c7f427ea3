"""Facts of architectures, runs and packages for ``tapetum info``, as plain values."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tapetum.arch import (
    Architecture,
    Described,
    architecture_names,
    cost,
    find_architecture,
    open_architecture,
)
from tapetum.progress import shown_path
from tapetum.scores import Scores

if TYPE_CHECKING:
    from tapetum.data import DatasetInfo

__all__ = ["describe", "list_architectures"]

Facts = dict[str, Any]
RECIPE_FIELDS = (
    "name", "duration", "batch_size", "optimizer", "learning_rate", "schedule", "precision"
)  # fmt: skip
SCORES = {
    "accuracy": "accuracy",
    "macro_accuracy": "macro accuracy",
    "calibration_error": "calibration error",
    "psnr_db": "PSNR of noisy images in dB",
    "ssim": "SSIM of noisy images",
    "noisy_psnr_db": "PSNR in dB before denoising",
    "noisy_ssim": "SSIM before denoising",
}


def list_architectures(size_px: int, *, channels: int, num_classes: int) -> list[Facts]:
    """Return name, kind and cost of each named architecture, without boxes."""
    rows: list[Facts] = []
    for name in architecture_names():
        architecture = find_architecture(
            name, channels=channels, num_classes=num_classes, boxes=False
        )
        millions = cost.multiply_adds(architecture, size_px, size_px) / 1e6
        rows.append(
            {
                "architecture": name,
                "kind": architecture.kind,
                "parameters": cost.parameters(architecture),
                "millions_multiply_adds": round(millions, 2),
            }
        )
    return rows


def describe(subject: str, size_px: int, *, channels: int, num_classes: int) -> Facts:
    """Return facts and cost of a run, of a package, or of an architecture (a name or JSON file)."""
    path = Path(subject)
    if path.is_dir():
        return _run_facts(path)
    if path.suffix == ".tapetum" or (path.is_file() and path.suffix != ".json"):
        return _package_facts(path)
    form = {"channels": channels, "num_classes": num_classes, "boxes": False}
    files = "a run, a .tapetum file or a .json file"
    return _costs(open_architecture(subject, files=files, **form), size_px)


def _data(info: "DatasetInfo") -> str:
    """Return what is known of a dataset, with its folder as messages show it."""
    if not Path(info.source).is_absolute():  # digits
        return info.description
    return info.description.replace(info.source, shown_path(info.source), 1)


def _run_facts(path: Path) -> Facts:
    """Return the request of a run and its state."""
    from tapetum.jobs import run_at
    from tapetum.training import RUNS

    run = RUNS.open(run_at(path))
    request = run.request
    facts: Facts = {"run": str(run.path), "state": "finished" if run.is_finished else "unfinished"}
    facts |= _costs(request.architecture, request.data.size_px)
    facts |= {"data": _data(request.data), "preparation": request.data.preparation.text}
    recipe = {key: getattr(request.recipe, key) for key in RECIPE_FIELDS}
    facts |= {f"recipe {key.replace('_', ' ')}": value for key, value in recipe.items()}
    if run.is_finished:
        result = run.result()
        facts["training minutes"] = round(result.training_seconds / 60, 2)
        facts |= _means(result.scores)
    return facts


def _package_facts(path: Path) -> Facts:
    """Return inputs, outputs, cost and scores of a package."""
    from tapetum.runtime import open_package

    manifest = open_package(path).manifest
    return {
        "package": str(path),
        "size in bytes": path.stat().st_size,
        **_costs(manifest.architecture, manifest.size_px),
        "colour": manifest.colour,
        "labels": manifest.labels,
        "preparation": manifest.preparation.text,
        "brightness": light.text() if (light := manifest.brightness) else "-",
        "classes": ", ".join(manifest.class_names) or "-",
        "precision": manifest.precision,
        "schema version": manifest.schema_version,
        "made by": f"tapetum {manifest.tapetum_version}",
        "made on": manifest.provenance.get("date", "-"),
        **_means(manifest.scores),
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


def _means(scores: Scores | None) -> Facts:
    if scores is None:
        return {}
    warnings = {"warning": "; ".join(scores.warnings)} if scores.warnings else {}
    found = {f"mean {name}": getattr(scores.headline, key) for key, name in SCORES.items()}
    found["PSNR of clean images in dB"] = scores.clean and scores.clean.psnr_db
    means = {name: round(value, 4) for name, value in found.items() if value is not None}
    return warnings | means
