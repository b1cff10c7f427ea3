"""Renders the tables of the documents from ``results/``, so that no figure is typed by hand.

A section stands between two comments: ``<!-- begin: steel -->`` and ``<!-- end: steel -->``.
``scripts/render_docs`` fills the sections of every page; a test fails where one differs.
"""

import json
import re
from pathlib import Path
from typing import Any

import equal_latency_table
from cells import spread, table
from training_tables import RENDERERS

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "results"
TEMPORAL = "benchmarks/results/temporal.json"
PAGES = (
    *("README.md", "docs/concepts.md", "docs/equal_latency.md", "docs/examples.md"),
    *("docs/guides/video.md", "docs/training_results.md"),
)
SECTION = re.compile(r"(<!-- begin: (\w+) -->\n).*?(<!-- end: \2 -->)", re.DOTALL)


def filled(page: str) -> str:
    """Return the text of a page of :data:`PAGES` with every section rendered anew."""
    depth = "../" * page.count("/")
    return SECTION.sub(
        lambda found: f"{found.group(1)}{_render(found.group(2), depth)}\n{found.group(3)}",
        (ROOT / page).read_text(),
    )


def _render(name: str, depth: str) -> str:
    if name == "headline":
        return equal_latency_table.render_headline(ROOT, depth)
    if name == "equal_latency":
        return equal_latency_table.render(ROOT, depth)
    if name == "temporal":
        return _temporal(json.loads((ROOT / TEMPORAL).read_text()), depth)
    if name in RENDERERS:
        return RENDERERS[name](ROOT, depth)
    result = _read(name)
    return _search_speed(result, depth) if name == "search_speed" else _levels(name, result, depth)


def _read(name: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return result


def _levels(name: str, result: dict[str, Any], depth: str) -> str:
    """Render all noise levels of one training."""
    rows = [
        (
            f"{row['noise']['sigma']:g}",
            _db(row["noisy_psnr_db"]),
            _db(row["psnr_db"]),
            f"{row['ssim']:.3f}",
            _percent(row["accuracy"]),
            _percent(row["macro_accuracy"]),
        )
        for row in result["scores"]["rows"]
    ]
    header = ("noise sigma", "noisy dB", "denoised dB", "SSIM", "accuracy", "macro accuracy")
    made = result["provenance"]
    return (
        f"{table(header, rows)}\n\nGaussian noise, protocol {result['scores']['protocol']}, "
        f"one training of {result['training_seconds'] / 60:.1f} minutes on {made['cores']} cores "
        f"({made['cpu']}). File: [{name}.json]({depth}results/{name}.json)."
    )


def _search_speed(result: dict[str, Any], depth: str) -> str:
    """Render how quick a step of the search is."""
    rows = [
        (
            name,
            f"{loop['images_per_second']:.0f}",
            f"{loop['ratio']:.2f}",
            "{:.2f} to {:.2f}".format(*loop["ratio_range"]),
        )
        for name, loop in result["loops"].items()
    ]
    header = ("step of the search, 64 px", "images per second", "ratio", "range over rounds")
    return (
        f"{table(header, rows)}\n\nMedians, batch {result['batch']}, {result['threads']} threads, "
        f"{result['provenance']['cpu']}. "
        f"File: [search_speed.json]({depth}results/search_speed.json)."
    )


def _temporal(result: dict[str, Any], depth: str) -> str:
    """Render what coded videos gain by averages over time: means over seeds, in decibels."""
    scenes = {
        "nothing moves": "still",
        "an object moves by 2 pixels a frame": "object",
        "the camera moves by 1/4 pixel a frame": "slow",
        "the camera moves by 1 pixel a frame": "fast",
    }
    sigmas, datasets = (0.05, 0.1, 0.2), ("imagenette128", "neu_cls")
    rows = [
        (
            title,
            *(
                spread(_gains(result, f"{data}, {scene}", sigma), 1, sign="+")
                for data in datasets
                for sigma in sigmas
            ),
        )
        for title, scene in scenes.items()
    ]
    names = ("photographs", "steel")
    header = ("scene", *(f"{name}, {sigma:g}" for name in names for sigma in sigmas))
    made, lowest = result["provenance"], min(row["gain_db"] for row in result["runs"])
    return (
        f"{table(header, rows)}\n\nThe PSNR above that of frames that are denoised alone, in dB, "
        "by images and sigma of the noise: mean and standard deviation over networks of "
        f"{len({row['seed'] for row in result['runs']})} seeds. The videos are H.264 (CRF 18). "
        f"The lowest of all {len(result['runs'])} cells, also of videos that are not coded, is "
        f"{lowest:+.2f} dB. A frame of 640 x 480 pixels takes {result['average_ms_of_640x480']:.0f}"
        f" ms more ({made['cpu']}, one thread). "
        f"Command: `{made['command']}`. File: [temporal.json]({depth}{TEMPORAL})."
    )


def _gains(result: dict[str, Any], start: str, sigma: float) -> list[float]:
    """Return the gain of each seed of a case."""
    case = f"{start}, H.264, CRF 18, sigma {sigma:g}"
    return [row["gain_db"] for row in result["runs"] if row["case"] == case]


def _db(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _percent(share: float) -> str:
    return f"{share:.1%}".replace("%", " %")
