"""Predict the frames of a source one by one, and write what they show."""

import csv
import io
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt

from tapetum.errors import DataError, InputError, RunError
from tapetum.progress import ProgressCallback, silent
from tapetum.records import FiniteOrNone, Record, named_in_errors, replaced, require_free_name
from tapetum.runtime.prediction import labels_of
from tapetum.runtime.predictor import Predictor
from tapetum.runtime.video.drawing import Stabiliser, draw
from tapetum.runtime.video.live import newest, paced
from tapetum.runtime.video.source import Frame, Source
from tapetum.runtime.video.temporal import TemporalAverage
from tapetum.runtime.video.writing import Writer, check_suffix

__all__ = ["VideoSummary", "predict_video"]

COLUMNS = ("frame", "time_s", "label", "confidence", "latency_ms", "prepare_ms")


class VideoSummary(Record):
    """The end of a video: what happened to its frames, and how fast.

    Attributes:
        source: The source, without a password.
        is_live: Whether it does not wait: a camera or a stream.
        video: The video that was written.
        table: The table of its frames.
        num_read: Frames that were read.
        num_skipped: Those that were left out as requested.
        num_dropped: Those that came while the network was busy.
        num_denoised: Those that were predicted and written.
        labels: Number of frames of each label, the most frequent first.
        mean_latency_ms: Mean time in the network, in milliseconds.
        p95_latency_ms: Time in which it was done with 95 % of the frames, to three digits.
        mean_still: Mean share of a frame that was still, from 0 to 1; None without ``temporal``.
        frames_per_second: Frames that were written in each second of this command.
        warnings: What was guessed, converted or left out.
        faults: Why the source could not be read to its end, if so.
    """

    source: str
    is_live: bool
    video: str
    table: str
    num_read: NonNegativeInt
    num_skipped: NonNegativeInt
    num_dropped: NonNegativeInt
    num_denoised: NonNegativeInt
    labels: Annotated[dict[str, int], Field(default_factory=dict)]
    mean_latency_ms: FiniteOrNone = None
    p95_latency_ms: FiniteOrNone = None
    mean_still: FiniteOrNone = None
    frames_per_second: FiniteOrNone = None
    warnings: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


def predict_video(
    predictor: Predictor,
    source: Path | str,
    out: Path,
    *,
    every: int = 1,
    seconds: float | None = None,
    stabilise_s: float = 0.0,
    temporal: bool = False,
    probabilities: bool = False,
    overwrite: bool = False,
    progress: ProgressCallback = silent,
    should_stop: Callable[[], bool] = lambda: False,
) -> VideoSummary:
    """Predict a video, frame by frame and with nothing of later frames.

    ``out`` shows the denoised frames with label, probability and milliseconds, at their times, and
    has the sound of the source. Beside it, a table of the same name has a row for each frame. Both
    get their names when they are complete.

    Args:
        predictor: The opened package.
        source: A video file, the number of a camera, or a URL. Cameras and URLs do not wait: frames
            that come while the network is busy are dropped.
        out: The video: ``.mp4``, ``.mov`` or ``.mkv``.
        every: Predict and write each ``every``-th frame alone.
        seconds: Where to stop, in seconds from the beginning; None for the end of the source.
        stabilise_s: Time constant of the exponential average of the probabilities, in seconds.
        temporal: Whether denoised frames are averaged over time where nothing moves, as
            :mod:`tapetum.runtime.video.temporal` explains.
        probabilities: Whether the table has a column for each class.
        overwrite: Whether to replace earlier files.
        progress: Called after each frame.
        should_stop: Asked before each frame; what was predicted until then is kept.

    Raises:
        InputError: The source cannot be read, or the network takes no frames of a video.
        DataError: No frame could be decoded.
        RunError: The video or its table is there already.
        MissingExtraError: PyAV is not installed.
    """
    table = out.with_suffix(".csv")
    _check(predictor, source, out, table, temporal=temporal, overwrite=overwrite)
    if every < 1 or stabilise_s < 0:
        problem = f"every={every} and stabilise_s={stabilise_s:g} are not possible"
        raise InputError(problem, "give every from 1, and stabilise_s from 0")
    with (
        Source(str(source)) as opened,
        closing(_events(opened, every, seconds, should_stop)) as events,  # a reader ends first
    ):
        average = TemporalAverage() if temporal else None
        work = _Work(predictor, opened, Stabiliser(stabilise_s), average, probabilities)
        total = opened.about_how_many(seconds)
        sounds, first = _first(events, opened)
        pixels = opened.pixels(first)
        predictor.warm_up(*pixels.shape[:2])
        with (
            replaced(table) as rows,
            replaced(out) as file,
            Writer(out, file, opened, pixels.shape, opened.rate / every) as writer,
        ):
            with named_in_errors(table):
                rows.write(work.header)
            for event in chain(sounds, [first], events):
                if not isinstance(event, Frame):
                    writer.copy(event)
                    continue
                shown, row = work.predict(event)
                writer.write(shown, event.time_s)
                with named_in_errors(table):
                    rows.write(row)
                work.report(progress, total)
                if should_stop():
                    break
        work.report(progress, total, ends=True)
        return work.summary(out, table)


def _check(
    predictor: Predictor,
    source: Path | str,
    out: Path,
    table: Path,
    *,
    temporal: bool,
    overwrite: bool,
) -> None:
    check_suffix(out)
    manifest = predictor.manifest
    if predictor.takes_boxes or manifest.colour == "other":
        needs = "boxes to classify" if predictor.takes_boxes else "other channels"
        remedy = "denoise only, with --mode image" if predictor.takes_boxes else "use another one"
        raise InputError(f"{manifest.name} needs {needs}, which a video does not have", remedy)
    if out.exists() and Path(source).exists() and out.samefile(source):
        raise InputError(f"{out} is the source itself", "give another --out")
    for path in (out, table):
        require_free_name(path, overwrite=overwrite, kind=RunError)
    if temporal and "denoised" not in predictor.outputs:
        problem = "frames cannot be averaged over time, since none is denoised here"
        raise InputError(problem, "leave temporal out, or choose the mode 'both' or 'image'")


def _events(
    source: Source, every: int, seconds: float | None, should_stop: Callable[[], bool]
) -> Generator[Any, None, None]:
    """Yield what a source gives: all of a file, and of a live one what there is time for."""
    events = source.events(every, seconds)
    if source.is_live:
        events = newest(paced(events) if source.is_paced else events, should_stop)
    yield from events


def _first(events: Iterator[Any], source: Source) -> tuple[list[Any], Frame]:
    """Return the first frame, and the packets of sound before it."""
    sounds: list[Any] = []
    for event in events:
        if isinstance(event, Frame):
            return sounds, event
        sounds.append(event)
    raise DataError(f"no frame came from {source.name}", "; ".join(source.faults))


class _Work:
    """What is done with each frame, and what has come of all of them until now."""

    def __init__(
        self,
        predictor: Predictor,
        source: Source,
        stabiliser: Stabiliser,
        average: TemporalAverage | None,
        probabilities: bool,
    ) -> None:
        self._predictor, self._source, self._stabiliser = predictor, source, stabiliser
        self._average, self._still = average, 0.0
        self._names = predictor.manifest.class_names if probabilities else ()
        self._labels: Counter[str] = Counter()
        self._latencies: Counter[float] = Counter()  # to three digits, so that they are few
        self._latency_ms, self._begun_at = 0.0, time.monotonic()

    @property
    def header(self) -> bytes:
        """The names of the columns."""
        return _line([*COLUMNS, *self._names])

    @property
    def num_dropped(self) -> int:
        """Frames of a live source that came while the network was busy."""
        return self._source.num_kept - self._latencies.total() if self._source.is_live else 0

    def predict(self, frame: Frame) -> tuple[NDArray[np.uint8], bytes]:
        """Return a frame as it is shown, and its row."""
        pixels = self._source.pixels(frame)
        prediction = self._predictor(pixels)
        self._latency_ms += prediction.latency_ms
        self._latencies[float(f"{prediction.latency_ms:.3g}")] += 1
        self._source.notes |= dict.fromkeys(prediction.warnings)
        label, seen = "", None
        words = [f"{prediction.latency_ms:.1f} ms"]
        if prediction.probabilities is not None:
            seen = self._stabiliser(prediction.probabilities[0], frame.time_s)
            names, least = self._predictor.manifest.class_names, self._predictor.reject_below
            label = labels_of(seen[np.newaxis], names, least)[0]
            self._labels[label] += 1
            words = [label, f"{100 * seen.max():.0f} %", *words]
        cells = [frame.number, f"{frame.time_s:.3f}", label]
        cells += ["" if seen is None else f"{seen.max():.4f}"]
        cells += [f"{prediction.latency_ms:.2f}", f"{prediction.prepare_ms:.2f}"]
        if seen is not None and self._names:
            cells += [f"{probability:.4f}" for probability in seen]
        denoised = prediction.pixels
        if denoised is not None and self._average is not None:
            denoised = self._average(pixels, denoised)
            self._still += self._average.still
        return draw(_as_rgb(denoised, pixels), words), _line(cells)

    def report(self, progress: ProgressCallback, total: int | None, *, ends: bool = False) -> None:
        """Tell how far the work is, of about so many frames."""
        done, read = self._latencies.total(), self._source.num_read
        text = f"{done / self._seconds:.3g} a second, {self.num_dropped:,} dropped"
        if total is None:
            progress(0, 1, f"denoising frames until Ctrl-C, {done:,} done, {text}")
        else:
            all_read = read if ends else max(read + 1, total)
            progress(read, all_read, f"denoising, {text}, in about frames")

    def summary(self, out: Path, table: Path) -> VideoSummary:
        """Return what has come of all frames."""
        source, done = self._source, self._latencies.total()
        scores = self._predictor.manifest.scores
        fault = scores.label_fault if scores is not None and self._labels else None
        useless = (f"do not rely on the label: on held-out images {fault}",) if fault else ()
        return VideoSummary(
            source=source.name,
            is_live=source.is_live,
            video=str(out),
            table=str(table),
            num_read=source.num_read,
            num_skipped=source.num_read - source.num_kept,
            num_dropped=self.num_dropped,
            num_denoised=done,
            labels=dict(self._labels.most_common()),
            mean_latency_ms=self._latency_ms / done,
            p95_latency_ms=float(
                np.percentile([*self._latencies.elements()], 95, method="inverted_cdf")
            ),
            mean_still=None if self._average is None else self._still / done,
            frames_per_second=done / self._seconds,
            warnings=(*useless, *source.notes),
            faults=tuple(source.faults),
        )

    @property
    def _seconds(self) -> float:
        return max(time.monotonic() - self._begun_at, 1e-9)


def _as_rgb(denoised: NDArray[np.float32] | None, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return what the network gave as RGB of 8 bits; the frame where it gave no image."""
    if denoised is None:
        return pixels
    values = np.rint(denoised * 255).astype(np.uint8)
    return values if values.ndim == 3 else np.repeat(values[:, :, np.newaxis], 3, axis=2)


def _line(cells: list[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()
