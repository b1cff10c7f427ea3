"""Renders the tables of the documents from ``results/``, so that no figure is typed by hand.

A section stands between two comments: ``<!-- begin: steel -->`` and ``<!-- end: steel -->``.
``scripts/render_docs`` fills the sections of every page; a test fails where one differs.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import equal_latency_table

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "results"
PAGES = ("README.md", "docs/concepts.md", "docs/equal_latency.md", "docs/examples.md")
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
        f"{_table(header, rows)}\n\nGaussian noise, protocol {result['scores']['protocol']}, "
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
        f"{_table(header, rows)}\n\nMedians, batch {result['batch']}, {result['threads']} threads, "
        f"{result['provenance']['cpu']}. "
        f"File: [search_speed.json]({depth}results/search_speed.json)."
    )


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, ("---", *("---:",) * (len(header) - 1)), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _db(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _percent(share: float) -> str:
    return f"{share:.1%}".replace("%", " %")
