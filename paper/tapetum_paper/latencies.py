"""The sections and drawings of docs/latency.md: how far milliseconds can be believed.

Their files are those of ``benchmarks/latency_tables.py`` and ``benchmarks/latency_studies.py``;
what has not been run says so.
"""

import json
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tapetum.latency.check import Check
from tapetum.latency.conditions import Conditions
from tapetum.latency.drift import Drift
from tapetum.latency.table import Accuracy
from tapetum.provenance import Provenance
from tapetum.records import Record
from tapetum_paper.compare import NOT_RUN
from tapetum_paper.drawing import Drawing, fingerprint
from tapetum_paper.markdown import IMAGES, markdown_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "AGAIN",
    "FOLDER",
    "RESTLESS",
    "SECOND_MACHINE",
    "SETTINGS",
    "Setting",
    "TableStudy",
    "latency_drawings",
    "latency_sections",
]

FOLDER = "latency"  # of ``results/``
AGAIN = "again"  # in it: what came of checking the same tables at another hour
SECOND_MACHINE = "second_machine"  # in it: new tables of another machine, and their checks
RESTLESS = "restless_hours"  # in it: folders of checks there whose tables were measured anew
NOT_MEASURED = "-"
WIDTHS_DRAWING = "latency_widths.png"
CHECKS_DRAWINGS = {"": "latency_checks.png", SECOND_MACHINE: "latency_checks_second_machine.png"}

Found = Mapping[str, Any]  # what a study has left


class Setting(NamedTuple):
    """A table to measure.

    Attributes:
        space: Its name; of eight operators a slot, for RGB images and a hundred names.
        size_px: Side of the images.
        batch: Images in one pass.
        runtime: What computes.
        threads: That share the work of one layer.
    """

    space: str
    size_px: int
    batch: int
    runtime: str
    threads: int

    @property
    def name(self) -> str:
        """Of its files."""
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


class TableStudy(Record):
    """What came of a table, and of checking it on fresh random networks.

    Attributes:
        conditions: Under which.
        space: Its name.
        num_choices: Blocks that were priced: slots times candidates.
        fastest_ms: Of the space, by the table.
        slowest_ms: Of the space, by the table.
        minutes: That measuring the table took, or adjusting it; ``None`` where a kill came in
            between.
        aged: How the machine had changed since the table was measured, when it was adjusted to be
            checked again; ``None`` where it is new.
        accuracy: Of the table, on networks that were held out.
        summary: Of the check.
        check: Every fresh network.
        provenance: When and where.
    """

    conditions: Conditions
    space: str
    num_choices: int
    fastest_ms: float
    slowest_ms: float
    minutes: float | None
    aged: Drift | None = None
    accuracy: Accuracy
    summary: dict[str, object]
    check: Check
    provenance: Provenance


def latency_sections(folder: Path) -> dict[str, str]:
    """Every section by its name.

    Args:
        folder: ``latency`` of the results; it need not be there.
    """
    studies = {
        f"latency_{name}": _of_study(render, folder / f"study_{name}.json")
        for name, render in _STUDIES.items()
    }
    first, second = _checked(folder), _checked(folder / SECOND_MACHINE)
    return {
        "latency_tables": _tables(folder, first),
        "latency_again": _again(folder, first),
        f"latency_{SECOND_MACHINE}": _tables(folder, second, SECOND_MACHINE),
        "latency_restless": _restless(folder, second),
        **studies,
    }


def latency_drawings(folder: Path) -> list[Drawing]:
    """The stairs of a hidden width, and measured over predicted, where they have been run."""
    drawings = []
    path = folder / "study_widths.json"
    if path.exists():
        found = _lines(json.loads(path.read_text()))
        drawings.append(Drawing(WIDTHS_DRAWING, fingerprint(found), partial(_draw_widths, found)))
    for machine, name in CHECKS_DRAWINGS.items():
        checks = {title: _pairs(found) for title, found in _checked(folder / machine).items()}
        if checks:
            drawings.append(Drawing(name, fingerprint(checks), partial(_draw_checks, checks)))
    return drawings


def _checked(folder: Path) -> dict[str, TableStudy]:
    """What came of each table that was checked, by a title, those of a setting together."""
    paths = (folder / f"{setting.name}.json" for setting in SETTINGS)
    studies = [TableStudy.read(path) for path in paths if path.exists()]
    return dict(sorted((_title(one.conditions, one.space), one) for one in studies))


def _title(conditions: Conditions, space: str) -> str:
    return (
        f"{space}, {conditions.width_px} px, batch {conditions.batch}, {conditions.runtime}, "
        f"{conditions.threads} thread{'s' if conditions.threads > 1 else ''}"
    )


def _share(value: float | None) -> str:
    return NOT_MEASURED if value is None else f"{value:.1%}"


def _typical(drift: Drift | None) -> str:
    return NOT_MEASURED if drift is None else f"{drift.typical:+.1%}"


def _aged(drift: Drift | None, first: TableStudy) -> str:
    """In the middle, and in brackets at both ends of the networks of the first check."""
    if drift is None:
        return NOT_MEASURED
    took_ms = [network.predicted_ms for network in first.check.networks]
    ends = " to ".join(f"{drift.longer(end_ms):+.1%}" for end_ms in (min(took_ms), max(took_ms)))
    return f"{_typical(drift)} ({ends})"


_COLUMNS: dict[str, Callable[[TableStudy], str]] = {
    "spans, ms": lambda one: f"{one.fastest_ms:.2f} to {one.slowest_ms:.2f}",
    "minutes": lambda one: NOT_MEASURED if one.minutes is None else f"{one.minutes:.1f}",
    "held-out error": lambda one: _share(one.accuracy.mean_relative_error),
    "mean error": lambda one: _share(one.check.table.mean),
    "worst": lambda one: _share(one.check.table.worst),
    "rank correlation": lambda one: f"{one.check.table.rank_correlation:.3f}",
    "but for the drift": lambda one: _share(one.check.at_its_speed and one.check.at_its_speed.mean),
    "multiply-adds alone": lambda one: _share(one.check.multiply_adds.mean),
    "measuring again": lambda one: _share(one.check.repeating.mean),
    "its worst": lambda one: _share(one.check.repeating.worst),
    "its rank correlation": lambda one: f"{one.check.repeating.rank_correlation:.3f}",
    "inside of 90 %": lambda one: f"{one.check.coverage:.0%}",
    "as stated": lambda one: f"{one.check.coverage_as_stated:.0%}",
    "noise then, and now": lambda one: f"{_share(one.accuracy.noise)}, {_share(one.check.noise)}",
    "drift": lambda one: _typical(one.check.drift),
    "minutes later": lambda one: _share(one.check.later and one.check.later.mean),
    "worst of these": lambda one: _share(one.check.later and one.check.later.worst),
}


def _tables(folder: Path, checked: Mapping[str, TableStudy], machine: str = "") -> str:
    """A row for each table of a machine: what it says of itself, and what fresh networks say."""
    folder, place = folder / machine, f"results/{FOLDER}/{machine}".rstrip("/")
    if not checked:
        return f"{NOT_RUN}."
    absent = sorted(one.name for one in SETTINGS if not (folder / f"{one.name}.json").exists())
    missing = "; ".join(name.replace("_", ", ") for name in absent)
    first = next(iter(checked.values()))
    count = sorted({len(one.check.networks) for one in checked.values()})
    out = f" --out {place}" if machine else ""
    return (
        f"![Measured over predicted]({IMAGES}/{CHECKS_DRAWINGS[machine]})\n\n"
        f"{_rows(checked.items())}\n\n"
        f"{_inside(checked.values())}\n\n"
        f"{first.conditions.device}, {first.provenance.cores} cores; "
        f"{' or '.join(map(str, count))} fresh random networks for each table; "
        f"{NOT_RUN}: {missing or 'nothing'}; "
        f"`python benchmarks/latency_tables.py{out}`; [{place}](../{place})."
    )


def _rows(named: Iterable[tuple[str, TableStudy]]) -> str:
    """All that is told of each table."""
    rows = [(name, *(column(one) for column in _COLUMNS.values())) for name, one in named]
    return markdown_table(("table", *_COLUMNS), rows)


def _restless(folder: Path, kept: Mapping[str, TableStudy]) -> str:
    """What the second machine said in hours that its neighbours disturbed, in order of time."""
    studies = [TableStudy.read(path) for path in (folder / RESTLESS).glob("*/*.json")]
    if not studies:
        return f"{NOT_RUN}."
    studies.sort(key=lambda one: one.provenance.date)
    named = [
        (f"{one.provenance.date[:16]}, {_title(one.conditions, one.space)}", one) for one in studies
    ]
    return (
        f"{_rows(named)}\n\n"
        f"Together with the tables above: {_inside([*studies, *kept.values()])}\n\n"
        f"{studies[0].conditions.device}; UTC; "
        f"[results/{FOLDER}/{RESTLESS}](../results/{FOLDER}/{RESTLESS})."
    )


def _again(folder: Path, first: Mapping[str, TableStudy]) -> str:
    """A row for each table that was adjusted and checked at another hour, in brackets as new."""
    again = _checked(folder / AGAIN)
    if not again:
        return f"{NOT_RUN}."
    names = (
        "mean error",
        "worst",
        "rank correlation",
        "multiply-adds alone",
        "measuring again",
        "inside of 90 %",
        "as stated",
        "drift",
    )
    rows = [
        (
            title,
            f"{_hours_between(first[title], one):.1f}",
            _aged(one.aged, first[title]),
            _COLUMNS["minutes"](one),
            *(f"{_COLUMNS[name](one)} ({_COLUMNS[name](first[title])})" for name in names),
        )
        for title, one in again.items()
    ]
    header = ("table", "hours later", "slower by", "minutes", *names)
    count = sorted({len(one.check.networks) for one in again.values()})
    return (
        f"{markdown_table(header, rows)}\n\n"
        f"In brackets the first check.  {_inside([*first.values(), *again.values()])}\n\n"
        f"{' or '.join(map(str, count))} fresh random networks for each; "
        f"`python benchmarks/latency_tables.py --again --networks {count[-1]}`; "
        f"[results/{FOLDER}/{AGAIN}](../results/{FOLDER}/{AGAIN})."
    )


def _hours_between(first: TableStudy, again: TableStudy) -> float:
    dates = (datetime.fromisoformat(one.provenance.date) for one in (again, first))
    return (next(dates) - next(dates)).total_seconds() / 3600


def _inside(studies: Iterable[TableStudy]) -> str:
    """How many networks and measurements of all checks lie inside, by the runtime."""
    by_runtime: dict[str, list[Check]] = {}
    for one in studies:
        by_runtime.setdefault(one.conditions.runtime, []).append(one.check)
    stated = _shares(by_runtime, lambda check: check.coverage_as_stated, of_each=1)
    at_its_speed = _shares(by_runtime, lambda check: check.coverage, of_each=2)
    return (
        f"Inside of the interval that a table states lie {stated}; at the speed that the machine "
        f"had, two measurements of each, {at_its_speed}.  Both promise 90 %."
    )


def _shares(
    by_runtime: Mapping[str, Sequence[Check]], share_of: Callable[[Check], float], *, of_each: int
) -> str:
    """How much of how many, over all checks of a runtime."""
    said = []
    for name, checks in by_runtime.items():
        totals = [of_each * len(check.networks) for check in checks]
        shares = map(share_of, checks)
        inside = sum(round(a * b) for a, b in zip(shares, totals, strict=True))
        said.append(f"{inside} of {sum(totals)} ({inside / sum(totals):.1%}) in {name}")
    return ", ".join(said)


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
        f"`python benchmarks/latency_studies.py {name}`; "
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


def _pairs(found: TableStudy) -> list[tuple[float, float]]:
    return [(one.predicted_ms, one.measured_ms) for one in found.check.networks]


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
