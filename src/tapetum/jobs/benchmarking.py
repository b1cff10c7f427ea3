"""Time files of any format in turn on this machine, and score the same files."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tapetum.data import Dataset
from tapetum.errors import InputError
from tapetum.evaluation import score
from tapetum.jobs.choose import require_fit
from tapetum.jobs.evaluation import note_part, open_images_of
from tapetum.jobs.network_file import NetworkFile, is_exported, peak_memory_mb
from tapetum.latency import (
    Benchmark,
    Budget,
    Includes,
    benchmark_together,
    find_runtime,
    measure_latency,
)
from tapetum.progress import ProgressCallback, silent
from tapetum.provenance import cpu_model, require_cores
from tapetum.records import Record
from tapetum.scores import ScoreRow, show_number

__all__ = ["BenchmarkRow", "BenchmarkTable", "benchmark"]


class BenchmarkRow(Record):
    """What was measured of one file; None stands for what does not apply or is not known.

    Attributes:
        file: The file, or the files that are used one after the other.
        threads: Inference threads.
        reason: Why it was not timed here; empty where it was.
        size_mb: Size of all files of it, in MB.
        accuracy: Share of right labels, as ``tapetum evaluate`` gives it.
        macro_accuracy: Accuracy averaged over the classes, likewise.
        psnr_db: Mean PSNR of the denoised images, in dB.
        ssim: Mean SSIM of the denoised images.
        num_images: Validation images that it was scored on.
        p50_ms: Median latency of one pass, in milliseconds.
        p95_ms: 95th percentile of the passes.
        paced_ms: Median of passes that begin a fixed time apart; None where they take longer.
        images_per_second: Images in passes one after the other.
        height_px: Height of the images of a pass, in pixels.
        width_px: Width of them.
        batch: Images in a pass.
        precision: Number format.
        runtime: What ran it, with its version.
        provider: What computed.
        peak_share: Rate of multiply-adds over that of dense 3x3 convolutions on as many threads.
        core_share: Share of the core that the passes got.
        throttling: Whether the clock of the processor fell meanwhile.
        memory_mb: Peak memory of a new process that opens and runs it once, with Python, in MB.
    """

    file: str
    threads: int
    reason: str = ""
    size_mb: float
    accuracy: float | None = None
    macro_accuracy: float | None = None
    psnr_db: float | None = None
    ssim: float | None = None
    num_images: int | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    paced_ms: float | None = None
    images_per_second: float | None = None
    height_px: int | None = None
    width_px: int | None = None
    batch: int = 1
    precision: str = "-"
    runtime: str = "-"
    provider: str = "-"
    peak_share: float | None = None
    core_share: float | None = None
    throttling: str = "-"
    memory_mb: float | None = None

    @property
    def results(self) -> dict[str, str]:
        """Size, scores and latencies as text, by their headings."""
        return {
            "size, MB": show_number(self.size_mb, 3),
            "accuracy %": show_number(self.accuracy, 1, scale=100),
            "macro accuracy %": show_number(self.macro_accuracy, 1, scale=100),
            "PSNR, dB": show_number(self.psnr_db, 2),
            "SSIM": show_number(self.ssim, 3),
            "p50, ms": show_number(self.p50_ms, 3),
            "p95, ms": show_number(self.p95_ms, 3),
            "at a pace, ms": show_number(self.paced_ms, 3),
            "images/s": show_number(self.images_per_second, 1),
        }

    @property
    def circumstances(self) -> dict[str, str]:
        """How it ran, by headings."""
        size = "-" if self.width_px is None else f"{self.width_px} x {self.height_px}"
        size += f", {self.batch} at once" if self.batch > 1 else ""
        return {
            "image, px": size,
            "precision": self.precision,
            "runtime": self.runtime,
            "provider": self.provider,
            "share of peak %": show_number(self.peak_share, 0, scale=100),
            "throttling": self.throttling,
            "memory, MB": show_number(self.memory_mb, 0),
        }


class BenchmarkTable(Record):
    """Files of one machine, timed in turn.

    Attributes:
        device: Model of the processor.
        data: The images that were scored; None where none were.
        pace_ms: Time between two passes at a pace, in milliseconds; 0 for none.
        rows: A row for each file and number of threads.
        missed: The limits that were missed, in words.
        remarks: What to know of the figures, in sentences without a full stop.
    """

    device: str
    data: str | None = None
    pace_ms: float = 0.0
    rows: tuple[BenchmarkRow, ...]
    missed: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What the rows share, in words."""
        pace = f"; at a pace: one pass each {self.pace_ms:g} ms" if self.pace_ms else ""
        data = "" if self.data is None else f"; scores on validation images of {self.data}"
        return f"{self.device}{pace}{data}"


class _Limits(NamedTuple):
    """What a user demands of each file."""

    target_ms: float | None
    min_psnr: float | None
    min_accuracy: float | None

    def missed(self, row: BenchmarkRow) -> Iterator[str]:
        """Yield what a row misses, or does not have."""
        accuracy = None if row.macro_accuracy is None else 100 * row.macro_accuracy
        for name, found, bound, limit, unit in (
            ("latency", row.p50_ms, "at most", self.target_ms, "ms"),
            ("PSNR", row.psnr_db, "at least", self.min_psnr, "dB"),
            ("macro accuracy", accuracy, "at least", self.min_accuracy, "%"),
        ):
            title = f"{row.file} with {row.threads} thread(s)"
            if limit is not None and found is None:
                yield f"{title}: the {name} was not measured, and a limit was given"
            elif limit is not None and found is not None and not _is_kept(found, bound, limit):
                yield f"{title}: the {name} is {found:.4g} {unit}, not {bound} {limit:g} {unit}"


def _is_kept(found: float, bound: str, limit: float) -> bool:
    """Return whether a limit is kept; a latency as a budget is, by 2 %."""
    if bound == "at most":
        return found <= (1 + Budget.TOLERANCE) * limit
    return round(found, 4) >= limit


def benchmark(
    files: Sequence[str],
    *,
    threads: Sequence[int] = (),
    data: str | Path | None = None,
    against: Sequence[str] | None = None,
    target_ms: float | None = None,
    min_psnr: float | None = None,
    min_accuracy: float | None = None,
    as_table: bool = False,
    image_px: tuple[int, int] | None = None,
    includes: Includes = "network",
    batch: int = 1,
    runtime: str = "onnxruntime",
    pace_ms: float = 100.0,
    seconds: float = 6.0,
    progress: ProgressCallback = silent,
    **form: Any,
) -> Benchmark | BenchmarkTable:
    """Time networks on this machine; one alone in detail, several files in a table.

    In a table, all files take turns in the same rounds, so that their latencies can be compared.

    Args:
        files: Packages, exported files with their ``FILE.json``, ONNX graphs and architectures.
        threads: Inference threads, a row for each; by default those of the package, 1 in a table.
        data: Images to score each file on, as :func:`evaluate` does with its defaults.
        against: A classifier and a denoiser that would be used one after the other.
        target_ms: Largest latency of one pass, in milliseconds, with a tolerance of 2 %.
        min_psnr: Lowest PSNR, in dB.
        min_accuracy: Lowest macro accuracy, in percent.
        as_table: Whether one file has a table too.
        image_px: Height and width of the image that one package is called with.
        includes: What the latency of one package includes.
        batch: Images in one pass of one network.
        runtime: What runs packages, architectures and graphs by others.
        pace_ms: Time between two images for the latency at a pace; 0 for none.
        seconds: Approximate duration of the other timings, for each file.
        progress: Called after each timing and each image.
        form: ``size_px``, ``channels`` and ``num_classes`` of networks that do not say them.

    Raises:
        InputError: A file cannot be read, none can be timed here, or an option has no effect.
    """
    limits = _Limits(target_ms, min_psnr, min_accuracy)
    if data is None and not (min_psnr is None and min_accuracy is None):
        raise InputError("a lowest score needs images", "name their folder with --data")
    options: dict[str, Any] = {"seconds": seconds, "pace_ms": pace_ms, "progress": progress}
    options["target_ms"] = target_ms
    is_one = len(files) == 1 and len(threads) < 2 and not is_exported(files[0])
    if is_one and not as_table and data is None and against is None:
        call: dict[str, Any] = {"image_px": image_px, "includes": includes, "batch": batch}
        options |= {"threads": (*threads, None)[0], "runtime": runtime, **call, **form}
        return measure_latency(files[0], **options)
    if image_px is not None or includes != "network" or batch != 1:
        raise InputError(
            "--image, --budget-includes and --batch are for one network alone",
            "leave them out, or time one package or graph without the other options",
        )
    counts = threads or (1,)
    for count in counts:
        require_cores(count)
    named, parts = (
        [NetworkFile(name, runtime=runtime, **form) for name in names]
        for names in (files, against or ())
    )
    options["reference"] = find_runtime(runtime)
    return _table(named, parts, counts, data, limits, **options)


def _table(
    named: Sequence[NetworkFile],
    parts: Sequence[NetworkFile],
    threads: Sequence[int],
    data: str | Path | None,
    limits: _Limits,
    **options: Any,
) -> BenchmarkTable:
    """Time and score files in a table, and the sum of the parts."""
    runs = [(file, count) for file in (*named, *parts) for count in threads]
    reasons = {(file, count): file.why_not(count) for file, count in runs}
    if all(reasons[run] for run in runs if run[0] in named):
        said = "; ".join(f"{file.name}: {reasons[file, threads[0]]}" for file in named)
        raise InputError(f"no file can be timed here: {said}")
    ready = [run for run in runs if not reasons[run]]
    # Before the timing, so that images which do not fit are refused at once.
    scores, remarks = _scores(dict.fromkeys(file for file, _ in ready), data, options["progress"])
    timed = benchmark_together([file.at(count) for file, count in ready], **options)
    results = dict(zip(ready, timed, strict=True))
    rows = {
        run: _row(*run, results.get(run), scores.get(run[0]), reason)
        for run, reason in reasons.items()
    }
    shown = [row for (file, _), row in rows.items() if file in named]
    sums = [
        _joined([rows[part, count] for part in parts], parts, count)
        for count in (threads if parts else ())
    ]
    return BenchmarkTable(
        device=cpu_model(),
        data=None if data is None else str(data),
        pace_ms=options["pace_ms"],
        rows=(*shown, *sums),
        missed=tuple(text for row in shown for text in limits.missed(row)),
        remarks=tuple(remarks),
    )


def _scores(
    files: Iterable[NetworkFile], data: str | Path | None, progress: ProgressCallback
) -> tuple[dict[NetworkFile, ScoreRow], list[str]]:
    """Score files on the validation images of a dataset, and say which have no scores."""
    found: dict[NetworkFile, ScoreRow] = {}
    remarks, opened = list[str](), list[tuple[Any, Dataset]]()
    for file in files if data is not None else ():
        network = file.trained()
        if network is None:
            remarks.append(_no_scores(file.name))
            continue
        assert data is not None  # noqa: S101  (there are no files without)
        like = (network.seed, network.form())
        dataset = next((images for other, images in opened if other == like), None)
        if dataset is None:
            dataset = open_images_of(network, data, progress=progress)
            note_part(network, dataset)
            opened.append((like, dataset))
        require_fit(network.architecture, dataset, class_names=network.class_names)
        scores = score(
            network.subject,
            dataset,
            network.noises,
            protocol=network.protocol,
            short_training=network.short_training,
            progress=progress,
        )
        remarks += [f"{file.name}: {warning}" for warning in scores.warnings]
        found[file] = scores.headline
    splits = {None if one.info.split is None else one.info.split.files_sha256 for _, one in opened}
    if len(splits) > 1:
        remarks.append("the files hold out different images, so that scores cannot be compared")
    return found, remarks


def _no_scores(name: str) -> str:
    """Say why a file has no scores, and what belongs beside an exported graph."""
    is_graph = name.endswith(".onnx")
    more = f"; if 'tapetum export' wrote it, keep {name}.json beside it" if is_graph else ""
    return f"{name} has no scores: its classes and preparation are not known{more}"


def _row(
    file: NetworkFile,
    threads: int,
    result: Benchmark | None,
    scores: ScoreRow | None,
    reason: str,
) -> BenchmarkRow:
    """Return the row of a file; without a result the reason alone."""
    if result is None:
        return BenchmarkRow(file=file.name, threads=threads, size_mb=file.size_mb, reason=reason)
    conditions, timing, paced = result.conditions, result.timing, result.paced
    fields = {"accuracy", "macro_accuracy", "psnr_db", "ssim", "num_images"}
    return BenchmarkRow(
        file=file.name,
        threads=threads,
        size_mb=file.size_mb,
        p50_ms=timing.median_ms,
        p95_ms=timing.p95_ms,
        paced_ms=None if paced is None else paced.network.median_ms,
        images_per_second=result.images_per_second,
        **conditions.model_dump(include={"height_px", "width_px", "batch", "precision"}),
        runtime=f"{conditions.runtime} {conditions.runtime_version}",
        provider=file.provider,
        peak_share=result.peak_share,
        core_share=timing.core_share,
        throttling=result.throttling,
        memory_mb=peak_memory_mb([file], threads),
        **({} if scores is None else scores.model_dump(include=fields)),
    )


def _joined(
    rows: Sequence[BenchmarkRow], files: Sequence[NetworkFile], threads: int
) -> BenchmarkRow:
    """Return the row of files that are used one after the other for each image."""
    names = " + ".join(row.file for row in rows)
    size_mb = sum(row.size_mb for row in rows)
    if reason := "; ".join(f"{row.file}: {row.reason}" for row in rows if row.reason):
        return BenchmarkRow(file=names, threads=threads, size_mb=size_mb, reason=reason)
    labels = next((row for row in rows if row.accuracy is not None), rows[0])
    images = next((row for row in rows if row.psnr_db is not None), rows[0])
    sums = {name: _sum(rows, name) for name in ("p50_ms", "p95_ms", "paced_ms")}
    texts = ("precision", "runtime", "provider", "throttling")
    return BenchmarkRow(
        file=names,
        threads=threads,
        size_mb=size_mb,
        accuracy=labels.accuracy,
        macro_accuracy=labels.macro_accuracy,
        psnr_db=images.psnr_db,
        ssim=images.ssim,
        num_images=images.num_images or labels.num_images,
        images_per_second=1 / sum(1 / (row.images_per_second or 1) for row in rows),
        memory_mb=peak_memory_mb(files, threads),
        **sums,
        **{name: " + ".join(dict.fromkeys(getattr(row, name) for row in rows)) for name in texts},
    )


def _sum(rows: Sequence[BenchmarkRow], name: str) -> float | None:
    """Return the sum of a field; None where a row lacks it."""
    values = [getattr(row, name) for row in rows]
    return None if None in values else sum(values)
