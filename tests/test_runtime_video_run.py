"""A video goes in and comes out: frames, times, sound, table, and what is said about them."""

import csv
import socket
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drawn_videos import av, corner, grey_level, save_video, shown
from packages import CLASSIFIER, DENOISER, JOINT, toy
from tapetum.errors import DataError, InputError, RunError
from tapetum.runtime import Predictor
from tapetum.runtime.video import predict_video, source
from tapetum.runtime.video.writing import Writer


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    """Halves the brightness, and names a frame by whether its mean is above a half."""
    return Predictor(toy(JOINT, channels=3, gain=0.5), threads=1)


def rows_of(path: Path) -> list[dict[str, str]]:
    """The table of a video."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_frame_is_denoised_and_keeps_its_time(predictor: Predictor, tmp_path: Path) -> None:
    """Also where frames do not follow each other at a steady rate."""
    times_s = [0, 0.1, 0.13, 0.5, 0.51, 1.2]
    video, out = save_video(tmp_path / "in.mkv", times_s=times_s), tmp_path / "out.mp4"
    summary = predict_video(predictor, str(video), out)
    assert (summary.num_read, summary.num_denoised, summary.num_dropped) == (6, 6, 0)
    found = shown(out)
    assert found.times_s == pytest.approx(times_s, abs=0.001)
    halves = [grey_level(number) / 2 for number in range(6)]
    assert [corner(frame) for frame in found.frames] == pytest.approx(halves, abs=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mkv", "out.csv", "out.mp4"]


def test_colours_are_those_of_the_source(tmp_path: Path) -> None:
    """A network that changes nothing gives the same red, green and blue."""
    same = Predictor(toy(JOINT, channels=3), threads=1)
    video = tmp_path / "in.mkv"
    with av.open(str(video), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "bgr0"
        pixels = np.zeros((64, 96, 3), np.uint8)
        pixels[32:] = (200, 90, 30)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
        container.mux(stream.encode(None))
    predict_video(same, str(video), tmp_path / "out.mp4")
    found = shown(tmp_path / "out.mp4").frames[0][-16:, -16:].mean((0, 1))
    assert found == pytest.approx([200, 90, 30], abs=4)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_sound_is_copied_as_it_is(suffix: str, predictor: Predictor, tmp_path: Path) -> None:
    """The bytes of its packets, and their time beside the frames."""
    video = save_video(tmp_path / f"in{suffix}", sound="aac")
    summary = predict_video(predictor, str(video), tmp_path / f"out{suffix}")
    assert not summary.warnings
    before, after = shown(video), shown(tmp_path / f"out{suffix}")
    assert [data for _, data in after.sound] == [data for _, data in before.sound]
    shifts = [time_s - after.times_s[0] for time_s, _ in after.sound]
    wanted = [time_s - before.times_s[0] for time_s, _ in before.sound]
    assert shifts == pytest.approx(wanted, abs=0.002)


def test_sound_that_a_file_cannot_have_is_said(predictor: Predictor, tmp_path: Path) -> None:
    """With its codec, and the types that may."""
    video = save_video(tmp_path / "in.mov", sound="pcm_mulaw")
    summary = predict_video(predictor, str(video), tmp_path / "out.mp4")
    assert any("pcm_mulaw" in note and ".mov or .mkv may" in note for note in summary.warnings)
    assert not shown(tmp_path / "out.mp4").sound
    predict_video(predictor, str(video), tmp_path / "out.mov", overwrite=True)
    assert shown(tmp_path / "out.mov").sound == shown(video).sound


@pytest.mark.parametrize(
    ("options", "note"),
    [
        ({"size": (65, 97), "pix_fmt": "yuv444p"}, "97 x 65 px was made even"),
        ({"pix_fmt": "gray"}, "grey frames are stored in colour"),
        ({"pix_fmt": "yuv420p10le"}, "10 bits per channel became 8"),
    ],
)
def test_what_is_converted_is_said(
    options: dict[str, Any], note: str, predictor: Predictor, tmp_path: Path
) -> None:
    """Odd sizes, grey and deep frames are shown as they were, and a sentence says so."""
    video = save_video(tmp_path / "in.mkv", codec="ffv1", **options)
    summary = predict_video(predictor, str(video), tmp_path / "out.mp4")
    assert [note in warning for warning in summary.warnings] == [True]
    frames = shown(tmp_path / "out.mp4").frames
    assert [corner(frame) for frame in frames] == pytest.approx(
        [grey_level(number) / 2 for number in range(6)], abs=3
    )


def test_a_phone_that_was_turned_gives_upright_frames(predictor: Predictor, tmp_path: Path) -> None:
    """The rotation that a file states is applied, here clockwise, and not stated again."""
    video, out = save_video(tmp_path / "in.mp4", is_split=True), tmp_path / "out.mp4"
    content = bytearray(video.read_bytes())
    place = content.index(b"tkhd") + 4 + 40  # the matrix of a track header of version 0
    turned = (0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    content[place : place + 36] = b"".join(
        value.to_bytes(4, "big", signed=True) for value in turned
    )
    video.write_bytes(content)
    summary = predict_video(predictor, str(video), out)
    assert any("turned upright" in note for note in summary.warnings)
    frame = shown(out).frames[5]
    assert frame.shape == (96, 64, 3)
    assert (frame[32:40].mean(), corner(frame)) == pytest.approx((0, grey_level(5) / 2), abs=2)
    with av.open(str(out)) as container:
        assert next(container.decode(video=0)).rotation == 0


def test_a_file_that_is_cut_off_gives_what_could_be_read(
    predictor: Predictor, tmp_path: Path
) -> None:
    """The frames before the cut are written, and the summary says where it is."""
    video = save_video(tmp_path / "in.mkv", 30, codec="ffv1")
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    summary = predict_video(predictor, str(video), tmp_path / "out.mp4")
    assert 5 < summary.num_denoised < 25
    assert len(shown(tmp_path / "out.mp4").frames) == summary.num_denoised
    assert any("cut off" in fault for fault in summary.faults)


def test_what_is_no_video_leaves_nothing(predictor: Predictor, tmp_path: Path) -> None:
    """A missing file, a folder, a text, an address that nobody has, and a name that is no video."""
    text = tmp_path / "notes.mp4"
    text.write_text("hello " * 100)
    video = save_video(tmp_path / "in.mp4")
    cases = (
        (tmp_path / "none.mp4", "out.mp4", "there is no file"),
        (tmp_path, "out.mp4", "is a folder; give a folder of images as PATH"),
        (text, "out.mp4", "cannot read"),
        ("http://127.0.0.1:9/x.mp4", "out.mp4", "cannot read"),
        ("gopher://x", "out.mp4", "is not read"),
        (video, "out.gif", "no name of a video"),
        (video, "in.mp4", "is the source itself"),
    )
    for given, name, said in cases:
        with pytest.raises(InputError, match=said):
            predict_video(predictor, str(given), tmp_path / name, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "notes.mp4"]


def test_earlier_results_are_kept(predictor: Predictor, tmp_path: Path) -> None:
    """Without a word to overwrite them."""
    video, out = save_video(tmp_path / "in.mp4", 2), tmp_path / "out.mp4"
    out.with_suffix(".csv").write_text("mine")
    with pytest.raises(RunError, match=r"out\.csv exists already"):
        predict_video(predictor, str(video), out)
    predict_video(predictor, str(video), out, overwrite=True)
    assert len(rows_of(out.with_suffix(".csv"))) == 2


def test_a_failure_leaves_nothing_behind(predictor: Predictor, tmp_path: Path) -> None:
    """Neither a video nor a table, under any name."""

    def fail(done: int, *_: object) -> None:
        if done == 3:
            raise MemoryError

    video, out = save_video(tmp_path / "in.mp4"), tmp_path / "new" / "out.mp4"
    with pytest.raises(MemoryError):
        predict_video(predictor, str(video), out, progress=fail)
    assert list(out.parent.iterdir()) == []


def test_a_stop_keeps_what_was_done(predictor: Predictor, tmp_path: Path) -> None:
    """The video can be played, and its table has as many rows."""
    calls = iter([False, False, True])
    video, out = save_video(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    summary = predict_video(predictor, str(video), out, should_stop=lambda: next(calls))
    assert summary.num_denoised == len(shown(out).frames) == 3
    assert len(rows_of(out.with_suffix(".csv"))) == 3


def test_every_and_seconds_choose_frames(predictor: Predictor, tmp_path: Path) -> None:
    """One of three frames of the first second, at their own times."""
    video, out = save_video(tmp_path / "in.mp4", 15), tmp_path / "out.mp4"
    summary = predict_video(predictor, str(video), out, every=3, seconds=1.0)
    assert (summary.num_read, summary.num_denoised, summary.num_skipped) == (10, 4, 6)
    assert summary.num_dropped == 0
    assert shown(out).times_s == pytest.approx([0, 0.3, 0.6, 0.9], abs=0.001)
    assert [row["frame"] for row in rows_of(out.with_suffix(".csv"))] == ["0", "3", "6", "9"]


def test_the_table_has_labels_and_times(tmp_path: Path) -> None:
    """Also the probabilities of all classes, and ``unknown`` where no class is probable enough."""
    unsure = Predictor(toy(JOINT, channels=3, scale=5.0), threads=1, reject_below=0.8)
    video = save_video(tmp_path / "in.mkv", 3, codec="ffv1", pix_fmt="bgr0", levels=[0, 128, 255])
    summary = predict_video(unsure, str(video), tmp_path / "out.mp4", probabilities=True)
    rows = rows_of(tmp_path / "out.csv")
    assert [row["label"] for row in rows] == ["dark", "unknown", "bright"]
    assert [row["time_s"] for row in rows] == ["0.000", "0.100", "0.200"]
    for row in rows:
        assert float(row["dark"]) + float(row["bright"]) == pytest.approx(1, abs=1e-3)
        assert float(row["confidence"]) == max(float(row["dark"]), float(row["bright"]))
    assert summary.labels == {"dark": 1, "unknown": 1, "bright": 1}
    assert summary.mean_latency_ms is not None
    latencies = [float(row["latency_ms"]) for row in rows]
    assert summary.mean_latency_ms == pytest.approx(np.mean(latencies), abs=0.01)


def test_a_stable_label_looks_back_only(predictor: Predictor, tmp_path: Path) -> None:
    """One bright frame does not change it, and what comes later changes no earlier row."""
    levels = [20, 20, 20, 240, 20, 240, 240, 240, 240, 240]
    labels = []
    for number, shown_levels in enumerate((levels, levels[:7])):
        video = save_video(tmp_path / f"{number}.mp4", len(shown_levels), levels=shown_levels)
        out = tmp_path / f"out-{number}.mp4"
        predict_video(predictor, str(video), out, stabilise_s=0.3)
        labels.append([row["label"] for row in rows_of(out.with_suffix(".csv"))])
    assert labels[0][:6] == ["dark"] * 6
    assert labels[0][-1] == "bright"
    assert labels[1] == labels[0][:7]


def test_frames_are_averaged_on_request(predictor: Predictor, tmp_path: Path) -> None:
    """Less noise is left of a still image, and the summary tells how much was still."""
    settings = {"codec": "ffv1", "pix_fmt": "bgr0", "levels": [100] * 10, "noise": 20}
    video = save_video(tmp_path / "in.mkv", 10, **settings)
    alone = predict_video(predictor, str(video), tmp_path / "alone.mp4")
    summary = predict_video(predictor, str(video), tmp_path / "mean.mp4", temporal=True)
    assert alone.mean_still is None
    assert summary.mean_still is not None
    assert 0.6 < summary.mean_still < 1  # there is no frame before the first one
    lower_halves = [shown(tmp_path / name).frames[-1][32:] for name in ("alone.mp4", "mean.mp4")]
    assert lower_halves[1].std() < 0.75 * lower_halves[0].std()


def test_labels_alone_are_no_frames_to_average(tmp_path: Path) -> None:
    """The request is refused before anything is written."""
    half = Predictor(toy(CLASSIFIER, channels=3), threads=1)
    video = save_video(tmp_path / "in.mp4", 2)
    with pytest.raises(InputError, match="cannot be averaged over time"):
        predict_video(half, str(video), tmp_path / "out.mp4", temporal=True)
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize(("name", "factor"), [(DENOISER, 0.5), (CLASSIFIER, 1.0)])
def test_half_a_network_gives_its_half(name: str, factor: float, tmp_path: Path) -> None:
    """Without a label frames are denoised alone; without an image they stay as they are."""
    half = Predictor(toy(name, channels=3, gain=0.5), threads=1)
    video, out = save_video(tmp_path / "in.mp4", 2), tmp_path / "out.mp4"
    summary = predict_video(half, str(video), out)
    assert bool(summary.labels) == (name == CLASSIFIER)
    assert corner(shown(out).frames[1]) == pytest.approx(factor * grey_level(1), abs=3)


@pytest.mark.parametrize("temporal", [False, True])
def test_a_grey_network_takes_any_video(temporal: bool, tmp_path: Path) -> None:
    """What it denoises is stored in colour; a sentence says that the colours are gone."""
    grey, video = Predictor(toy(JOINT, gain=0.5), threads=1), save_video(tmp_path / "in.mp4", 2)
    summary = predict_video(grey, str(video), tmp_path / "out.mp4", temporal=temporal)
    assert any("is grey, as the network is" in warning for warning in summary.warnings)
    assert corner(shown(tmp_path / "out.mp4").frames[1]) == pytest.approx(grey_level(1) / 2, abs=2)


def test_the_memory_does_not_grow_with_the_video(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few frames live at any time, and none of them waits in the encoder for later ones."""
    living, most, inside = set[int](), list[int](), [0]

    class Counted(source.Frame):
        def __init__(self, *values: Any) -> None:
            super().__init__(*values)
            living.add(id(self))
            weakref.finalize(self, living.discard, id(self))
            most.append(len(living))

    def write(writer: Writer, *values: Any) -> None:
        inside.append(inside[-1] + 1)
        real_write(writer, *values)

    def mux(writer: Writer, packets: list[Any]) -> None:
        inside[-1] -= len(packets)
        real_mux(writer, packets)

    real_write, real_mux = Writer.write, Writer._mux
    monkeypatch.setattr(source, "Frame", Counted)
    monkeypatch.setattr(Writer, "write", write)
    monkeypatch.setattr(Writer, "_mux", mux)
    video = save_video(tmp_path / "in.mp4", 90)
    summary = predict_video(predictor, str(video), tmp_path / "out.mp4")
    assert summary.num_denoised == 90
    assert len(most) == 90
    assert max(most) <= 3
    assert max(inside) == 0


def test_a_camera_does_not_wait(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames that come while the network is busy are dropped and counted; the newest is taken."""
    place = ("testsrc=size=64x48:rate=25", {"format": "lavfi"})
    monkeypatch.setattr(source, "_place", lambda _: place)

    class Slow:
        """Is busy with its first frame until the camera has shown all of its frames."""

        def __getattr__(self, name: str) -> Any:
            return getattr(predictor, name)

        def __call__(self, pixels: Any) -> Any:
            for thread in threading.enumerate():
                if thread.name == "video source":
                    thread.join()
            return predictor(pixels)

    out = tmp_path / "out.mp4"
    summary = predict_video(Slow(), "0", out, seconds=2.0)  # type: ignore[arg-type]
    assert (summary.num_read, summary.num_dropped) == (50, 50 - summary.num_denoised)
    assert summary.num_denoised == len(shown(out).frames) <= 2
    assert [row["frame"] for row in rows_of(out.with_suffix(".csv"))][-1] == "49"


def test_a_camera_is_let_go_at_the_end(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it would go on, and where the work fails: nothing reads it any more."""
    place = ("testsrc=size=64x48:rate=25", {"format": "lavfi"})
    monkeypatch.setattr(source, "_place", lambda _: place)
    calls = iter([False, False])
    predict_video(predictor, "0", tmp_path / "a.mp4", should_stop=lambda: next(calls, True))

    def fail(*_: object) -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        predict_video(predictor, "0", tmp_path / "b.mp4", progress=fail)
    assert all(thread.name != "video source" for thread in threading.enumerate())
    assert len(shown(tmp_path / "a.mp4").frames) >= 1


def test_a_stream_that_falls_silent_is_cut_off(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came until then is kept, and the summary says why it ends."""
    monkeypatch.setattr(source, "LONGEST_SILENCE_S", 0.5)
    video = save_video(tmp_path / "in.mkv", 30, codec="ffv1", sound="aac")
    is_over = threading.Event()

    def serve() -> None:
        client, _ = server.accept()
        with client:
            client.sendall(video.read_bytes()[: video.stat().st_size // 2])
            is_over.wait(20)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        summary = predict_video(predictor, address, tmp_path / "out.mp4")
        is_over.set()
        thread.join()
    assert summary.is_live
    assert summary.num_read == summary.num_denoised + summary.num_dropped > 5
    assert any("it was silent for 0.5 s" in fault for fault in summary.faults)
    assert shown(tmp_path / "out.mp4").sound


def test_a_source_without_frames_is_refused(predictor: Predictor, tmp_path: Path) -> None:
    """A stop before the first frame, or nothing that can be decoded, gives no empty video."""
    video = save_video(tmp_path / "in.mp4", 2)
    with pytest.raises(DataError, match="no frame came"):
        predict_video(predictor, str(video), tmp_path / "out.mp4", seconds=-1)
