"""Sources: which are live, what of them is shown, and the times of their frames."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from drawn_videos import save_video
from tapetum.errors import InputError, MissingExtraError
from tapetum.runtime.video import source
from tapetum.runtime.video.source import Source


def test_a_number_is_a_camera_and_a_path_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless the file of that name is meant, as in ``./0``."""
    monkeypatch.chdir(tmp_path)
    save_video(tmp_path / "0.mp4", 1).rename(tmp_path / "0")
    monkeypatch.setattr("sys.platform", "linux")
    assert source._place("0")[0] == "/dev/video0"
    assert source._place("./0") == (str(tmp_path / "0"), {})
    monkeypatch.setattr("sys.platform", "darwin")
    assert source._place("0")[1]["format"] == "avfoundation"
    monkeypatch.setattr("sys.platform", "win32")
    with pytest.raises(InputError, match="cameras have no number"):
        source._place("0")


def test_a_name_of_a_file_is_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg would join the files of ``concat:a|b``; here it is the name of one file."""
    monkeypatch.chdir(tmp_path)
    save_video(tmp_path / "x.mkv", 2).rename(tmp_path / "concat:x.mkv")
    with Source("concat:x.mkv") as opened:
        assert len(list(opened.events(1, None))) == 2


def test_a_password_is_not_shown() -> None:
    """Neither in the name of a source nor in an error."""
    with pytest.raises(InputError) as caught:
        Source("http://me:secret@127.0.0.1:9/x.mp4")
    assert "secret" not in str(caught.value)
    assert "http://***@127.0.0.1:9/x.mp4" in str(caught.value)


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ("/user=admin&password=secret&channel=1", "/user=admin&password=***&channel=1"),
        ("/user=admin_password=secret_channel=1/x", "/user=admin_password=***/x"),
        ("/x.mp4?id=7&Access-Token=secret#top", "/x.mp4?id=7&Access-Token=***#top"),
        ("/x.mp4?pwd=secret;mode=a@b", "/x.mp4?pwd=***;mode=a@b"),
    ],
)
def test_a_password_in_the_path_or_the_query_is_not_shown(place: str, shown: str) -> None:
    """As cameras want it; the rest of the address stays readable."""
    with pytest.raises(InputError) as caught:
        Source(f"http://127.0.0.1:9{place}")
    assert "secret" not in str(caught.value)
    assert f"http://127.0.0.1:9{shown}:" in str(caught.value)


def test_times_begin_at_zero_and_increase(tmp_path: Path) -> None:
    """Whatever a source says: late beginnings, repeated stamps, jumps back, no stamps."""
    with Source(str(save_video(tmp_path / "x.mp4", 1))) as opened:
        opened.start_s = None
        stamps = [50.0, 50.1, 50.1, 49.0, None, 50.5]
        times_s = [opened._time_of(SimpleNamespace(time=stamp)) for stamp in stamps]
    assert times_s == pytest.approx([0, 0.1, 0.101, 0.102, 0.202, 0.5], abs=0.001)
    assert len(opened.notes) == 2


def test_without_any_time_stamp_the_rate_tells(tmp_path: Path) -> None:
    """A bare stream of H.264 says no times; the first frame is at zero."""
    with Source(str(save_video(tmp_path / "x.h264", 3))) as opened:
        times_s = [frame.time_s for frame in opened.events(1, None)]
    assert times_s == pytest.approx([number / opened.rate for number in range(3)])
    assert any("without a time stamp" in note for note in opened.notes)


def test_damaged_packets_are_left_out_and_counted(tmp_path: Path) -> None:
    """The frames around them are read; damage behind ``seconds`` does not count."""
    video = save_video(tmp_path / "x.mov", 10, codec="png", pix_fmt="rgb24")
    parts = video.read_bytes().split(b"\x89PNG")
    video.write_bytes(b"\x89PNG".join(parts[:5]) + b"\0\0\0\0" + b"\x89PNG".join(parts[5:]))
    said = [f"1 damaged packets of {video} were left out"]
    for seconds, count, faults in ((None, 9, said), (0.65, 6, said), (0.25, 3, [])):
        with Source(str(video)) as opened:
            assert len(list(opened.events(1, seconds))) == count
        assert opened.faults == faults


def test_damage_of_a_stream_that_was_ended_is_a_note(tmp_path: Path) -> None:
    """A stream is joined in its middle, so that it is no fault; but it is said."""
    with Source(str(save_video(tmp_path / "x.mp4", 3))) as opened:
        opened.is_live, opened._num_damaged = True, 2
        assert len(list(opened.events(1, 0.15))) == 2
    assert not opened.faults
    assert list(opened.notes) == [f"2 damaged packets of {opened.name} were left out"]


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"pip install '\.\[video\]'"):
        Source("x.mp4")
