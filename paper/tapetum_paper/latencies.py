"""The sections and drawings of docs/latency.md: how accurate latency tables are.

The files are those of ``studies/latency_tables.py``, and of five studies of the first machine.
"""

import json
import statistics
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tapetum.latency import Conditions
from tapetum.provenance import Provenance
from tapetum.records import Record
from tapetum_paper.compare import NOT_RUN
from tapetum_paper.drawing import Drawing, fingerprint
from tapetum_paper.markdown import IMAGES, markdown_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "FOLDER",
    "SECOND_MACHINE",
    "SETTINGS",
    "Agreement",
    "Setting",
    "TableCheck",
    "TimedNetwork",
    "latency_drawings",
    "latency_sections",
]

FOLDER = "latency"  # of ``results/``
SECOND_MACHINE = "second_machine"  # a folder in it
NOT_MEASURED = "-"
STUDIED_AT = "aec05bd"  # the commit that still has ``benchmarks/latency_studies.py``
WIDTHS_DRAWING = "latency_widths.png"
CHECKS_DRAWINGS = {"": "latency_checks.png", SECOND_MACHINE: "latency_checks_second_machine.png"}

Found = Mapping[str, Any]  # the JSON of a study


class Setting(NamedTuple):
    """A table to measure.

    Attributes:
        space: Name of the space, with eight operators a slot, RGB images and 100 classes.
        size_px: Height and width of the images in pixels.
        batch: Images in one pass.
        runtime: Name of the runtime.
        threads: Threads that share the work of one layer.
    """

    space: str
    size_px: int
    batch: int
    runtime: str
    threads: int

    @property
    def name(self) -> str:
        """Name of the files."""
        return (
            f"{self.space}_{self.size_px}px_batch{self.batch}_{self.runtime}_{self.threads}threads"
        )


SETTINGS = tuple(
    Setting(space, size_px, batch, runtime, threads)
    for runtime in ("onnxruntime", "openvino")
    for threads in (1, 2)
    for space, size_px, batch in (
        ("c-nas", 64, 1),
        ("c-nas", 224, 1),
        ("dc-nas", 224, 1),
        ("c-nas", 64, 32),
    )
)


class Agreement(Record):
    """How well two latencies of the same networks agree.

    Attributes:
        mean: Mean relative difference.
        worst: Largest relative difference.
        rank_correlation: Spearman's rank correlation.
    """

    mean: float
    worst: float
    rank_correlation: float


class TimedNetwork(Record):
    """A random network of a check.

    Attributes:
        predicted_ms: Latency by the table.
        measured_ms: Measured latency.
    """

    predicted_ms: float
    measured_ms: float


class TableCheck(Record):
    """A latency table, and its check on random networks that it has not seen.

    Attributes:
        conditions: Conditions of the measurement.
        space: Name of the space.
        num_choices: Priced blocks: slots times candidates.
        fastest_ms: Fastest network of the space, by the table.
        slowest_ms: Slowest network of the space, by the table.
        minutes: Time to measure the table; ``None`` after an interruption.
        held_out_error: Mean relative error on networks that the fit of the table left out.
        table: Table against measurement.
        multiply_adds: An affine function of the multiply-adds against measurement.
        repeating: One half of the rounds against the other half.
        later: Networks of the table, measured again minutes later, against their first latency.
        networks: All networks of the check.
        provenance: Machine, date and versions.
    """

    conditions: Conditions
    space: str
    num_choices: int
    fastest_ms: float
    slowest_ms: float
    minutes: float | None
    held_out_error: float
    table: Agreement
    multiply_adds: Agreement
    repeating: Agreement
    later: Agreement | None
    networks: tuple[TimedNetwork, ...]
    provenance: Provenance


def latency_sections(folder: Path) -> dict[str, str]:
    """Return every section by its name.

    Args:
        folder: Folder ``latency`` of the results; it may be missing.
    """
    studies = {
        f"latency_{name}": _of_study(render, folder / f"study_{name}.json")
        for name, render in _STUDIES.items()
    }
    return {
        "latency_tables": _tables(folder),
        f"latency_{SECOND_MACHINE}": _tables(folder, SECOND_MACHINE),
        **studies,
    }


def latency_drawings(folder: Path) -> list[Drawing]:
    """Return the latency over a hidden width, and measured over predicted latency, where run."""
    drawings = []
    path = folder / "study_widths.json"
    if path.exists():
        found = _lines(json.loads(path.read_text()))
        drawings.append(Drawing(WIDTHS_DRAWING, fingerprint(found), partial(_draw_widths, found)))
    for machine, name in CHECKS_DRAWINGS.items():
        checks = {
            title: [(network.predicted_ms, network.measured_ms) for network in check.networks]
            for title, check in _checks(folder / machine).items()
        }
        if checks:
            drawings.append(Drawing(name, fingerprint(checks), partial(_draw_checks, checks)))
    return drawings


def _checks(folder: Path) -> dict[str, TableCheck]:
    """Every check of a machine by a title, those of one setting together."""
    paths = (folder / f"{setting.name}.json" for setting in SETTINGS)
    checks = [TableCheck.read(path) for path in paths if path.exists()]
    return dict(sorted((_title(check.conditions, check.space), check) for check in checks))


def _title(conditions: Conditions, space: str) -> str:
    return (
        f"{space}, {conditions.width_px} px, batch {conditions.batch}, {conditions.runtime}, "
        f"{conditions.threads} thread{'s' if conditions.threads > 1 else ''}"
    )


_COLUMNS: dict[str, Callable[[TableCheck], str]] = {
    "range, ms": lambda check: f"{check.fastest_ms:.2f} to {check.slowest_ms:.2f}",
    "minutes": lambda check: NOT_MEASURED if check.minutes is None else f"{check.minutes:.1f}",
    "held-out error": lambda check: f"{check.held_out_error:.1%}",
    "mean error": lambda check: f"{check.table.mean:.1%}",
    "worst": lambda check: f"{check.table.worst:.1%}",
    "rank correlation": lambda check: f"{check.table.rank_correlation:.3f}",
    "multiply-adds alone": lambda check: f"{check.multiply_adds.mean:.1%}",
    "measuring again": lambda check: f"{check.repeating.mean:.1%}",
    "its worst": lambda check: f"{check.repeating.worst:.1%}",
    "its rank correlation": lambda check: f"{check.repeating.rank_correlation:.3f}",
    "minutes later": lambda check: f"{check.later.mean:.1%}" if check.later else NOT_MEASURED,
}


def _tables(folder: Path, machine: str = "") -> str:
    """A row for each table of a machine."""
    folder, place = folder / machine, f"results/{FOLDER}/{machine}".rstrip("/")
    checks = _checks(folder)
    if not checks:
        return f"{NOT_RUN}."
    absent = sorted(one.name for one in SETTINGS if not (folder / f"{one.name}.json").exists())
    missing = "; ".join(name.replace("_", ", ") for name in absent)
    first = next(iter(checks.values()))
    count = sorted({len(check.networks) for check in checks.values()})
    rows = [(name, *(column(one) for column in _COLUMNS.values())) for name, one in checks.items()]
    return (
        f"![Measured over predicted]({IMAGES}/{CHECKS_DRAWINGS[machine]})\n\n"
        f"{markdown_table(('table', *_COLUMNS), rows)}\n\n"
        f"{first.conditions.device}, {first.provenance.cores} cores; "
        f"{' or '.join(map(str, count))} random networks for each table; "
        f"{NOT_RUN}: {missing or 'nothing'}; "
        f"`python paper/studies/latency_tables.py --out paper/{place}`; [{place}](../{place})."
    )


def _blocks(found: Found) -> str:
    rows = []
    for name, one in _of_runtimes(found).items():
        ratios = sorted(pair["sum_ms"] / pair["whole_ms"] for pair in one["networks"])
        whole = statistics.median(pair["whole_ms"] for pair in one["networks"])
        mean = statistics.fmean(ratios)
        rows.append(
            (
                name,
                f"{whole:.2f}",
                f"{mean - 1:+.1%}",
                f"{ratios[0] - 1:+.1%} to {ratios[-1] - 1:+.1%}",
            )
        )
    header = ("runtime", "whole network, ms", "the sum is off by", "from the least to the most")
    first = next(iter(_of_runtimes(found).values()))
    return (
        f"{markdown_table(header, rows)}\n\n"
        f"{len(first['networks'])} random networks of C-NAS at 224 px, batch 1, one thread, "
        f"{first['num_blocks']} pieces each, every piece timed as a graph of its own; four rounds."
    )


def _widths(found: Found) -> str:
    rows = []
    for name, line in _lines(found).items():
        base = statistics.median(ms for width, ms in line.items() if width % 16 == 0)
        others = {
            "multiples of 16": [ms for width, ms in line.items() if width % 16 == 0],
            "of 8": [ms for width, ms in line.items() if width % 16 == 8],
            "of 4": [ms for width, ms in line.items() if width % 8 == 4],
            "all others": [ms for width, ms in line.items() if width % 4],
        }
        rows.append((name, *(f"{statistics.median(ms) / base:.2f}" for ms in others.values())))
    header = ("runtime", *others)
    return (
        f"![Latency over a hidden width]({IMAGES}/{WIDTHS_DRAWING})\n\n"
        f"{markdown_table(header, rows)}\n\n"
        "Medians, relative to the multiples of 16; an MBConv of 80 channels, kernel 3, 14 x 14 "
        f"places, {min(line)} to {max(line)} hidden channels, one thread; nine rounds."
    )


def _weights(found: Found) -> str:
    by_kind: dict[str, dict[bool, float]] = {}
    for one in found["median_ms"]:
        by_kind.setdefault(one["weights"], {})[one["denormals_are_zero"]] = one["median_ms"]
    base = by_kind["random"][True]
    rows = [
        (kind, f"{both[True]:.2f} ({both[True] / base:.2f})",
         f"{both[False]:.2f} ({both[False] / base:.2f})")
        for kind, both in by_kind.items()
    ]  # fmt: skip
    header = ("weights", "denormals taken for zero (as we ship), ms", "not, ms")
    return (
        f"{markdown_table(header, rows)}\n\n"
        f"{found['network']}, {_line(found['conditions'])}; nine rounds; in brackets the ratio to "
        "the first number."
    )


def _profiler(found: Found) -> str:
    networks = found["networks"]

    def median(over: str, under: str) -> str:
        return f"{statistics.median(one[over] / one[under] for one in networks):.2f}"

    rows = [
        ("latency with the profiler, over that without", median("on_ms", "off_ms")),
        ("sum of the profiled nodes, over the profiled latency", median("nodes_ms", "on_ms")),
        ("sum of the profiled nodes, over the latency without", median("nodes_ms", "off_ms")),
    ]
    return (
        f"{markdown_table(('median of networks', 'ratio'), rows)}\n\n"
        f"{len(networks)} random networks of C-NAS, {_line(found['conditions'])}; six rounds."
    )


def _hour(found: Found) -> str:
    visits = found["visits"]
    names = list(found["conditions"])
    rows = [
        (
            visit["date"][11:16],
            *(f"{visit[name]['median_ms']:.2f} ({visit[name]['spread']:.1%})" for name in names),
        )
        for visit in visits
    ]
    for title, of in (("least", min), ("most", max), ("median", statistics.median)):
        values = [of([visit[name]["median_ms"] for visit in visits]) for name in names]
        rows.append((title, *(f"{value:.2f}" for value in values)))
    first = found["conditions"][names[0]]
    size = f"{first['width_px']} px, batch {first['batch']}, one thread"
    return (
        f"{markdown_table(('time', *(f'{name}, ms' for name in names)), rows)}\n\n"
        f"One network of C-NAS, {size}; twelve rounds a visit, in brackets the distance between "
        f"the quartiles of their medians."
    )


_STUDIES: dict[str, Callable[[Found], str]] = {
    "blocks": _blocks,
    "widths": _widths,
    "weights": _weights,
    "profiler": _profiler,
    "hour": _hour,
}


def _of_study(render: Callable[[Found], str], path: Path) -> str:
    """What a study has found, and where it stands."""
    if not path.exists():
        return f"{NOT_RUN}."
    found = json.loads(path.read_text())
    name, provenance = path.stem.removeprefix("study_"), found["provenance"]
    return (
        f"{render(found)}\n{provenance['cpu']}, {provenance['cores']} cores; "
        f"`benchmarks/latency_studies.py {name}` of commit {STUDIED_AT}; "
        f"[results/{FOLDER}/{path.name}](../results/{FOLDER}/{path.name})."
    )


def _of_runtimes(found: Found) -> dict[str, Any]:
    return {name: one for name, one in found.items() if name != "provenance"}


def _lines(found: Found) -> dict[str, dict[int, float]]:
    """Latency by width, for each runtime."""
    return {
        name: {int(width): ms for width, ms in one["median_ms"].items()}
        for name, one in _of_runtimes(found).items()
    }


def _line(conditions: Mapping[str, Any]) -> str:
    return str(Conditions.model_validate(conditions))


def _draw_widths(lines: Mapping[str, Mapping[int, float]]) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 3.2), layout="constrained")
    axes = figure.subplots()
    for name, line in lines.items():
        axes.plot(list(line), list(line.values()), marker=".", linewidth=0.8, label=name)
    axes.set(xlabel="hidden channels", ylabel="latency, ms", ylim=(0, None))
    axes.xaxis.set_ticks([width for width in next(iter(lines.values())) if width % 8 == 0])
    axes.legend()
    return figure


def _draw_checks(checks: Mapping[str, list[tuple[float, float]]]) -> "Figure":
    """A panel for each table: fresh networks, and the line on which they should lie."""
    from matplotlib.figure import Figure

    columns = min(4, len(checks))
    rows = -(-len(checks) // columns)
    figure = Figure(figsize=(2.7 * columns, 2.5 * rows), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in panels:
        axes.set_axis_off()
    for axes, (title, pairs) in zip(panels, checks.items(), strict=False):
        axes.set_axis_on()
        ends = [min(map(min, pairs)), max(map(max, pairs))]
        axes.plot(ends, ends, color="grey", linewidth=0.8)
        axes.scatter(*zip(*pairs, strict=True), s=6)
        axes.set_title(title.replace(", batch", ",\nbatch"), fontsize=7)
        axes.set(xlabel="predicted, ms", ylabel="measured, ms")
    return figure
