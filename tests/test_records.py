"""Laws of stored data: strict, equal after a round trip, never half-written."""

import math
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from tapetum.errors import InputError, RunError
from tapetum.records import (
    FiniteOrNone,
    Record,
    as_path,
    changed,
    differences,
    replaced,
    require_free_name,
    write_atomically,
    write_csv,
)


class Lamp(Record):
    """A record of two fields."""

    colour: str
    power_watt: int


class Measured(Record):
    """A record of measured numbers."""

    values: dict[str, FiniteOrNone]


def test_a_record_survives_a_round_trip(tmp_path: Path) -> None:
    """What is written and read again is equal."""
    lamp = Lamp(colour="amber", power_watt=4)
    lamp.write(tmp_path / "deep" / "lamp.json")
    assert Lamp.read(tmp_path / "deep" / "lamp.json") == lamp


def test_a_record_cannot_be_changed() -> None:
    """Assigning to a field is an error."""
    with pytest.raises(ValidationError):
        Lamp(colour="amber", power_watt=4).colour = "red"  # type: ignore[misc]


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    """A file with two faults gives one sentence that names both."""
    path = tmp_path / "lamp.json"
    path.write_text('{"power_watt": "many", "shape": "round"}')
    with pytest.raises(InputError, match=r"colour: .*power_watt: .*shape: ") as caught:
        Lamp.read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe\x00"])
def test_what_is_no_json_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    """Broken and binary files give a sentence with the path."""
    path = tmp_path / "lamp.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"lamp\.json is not JSON"):
        Lamp.read(path)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    """Reading nothing gives a sentence with the path."""
    with pytest.raises(InputError, match=r"cannot read .*lamp\.json: No such file"):
        Lamp.read(tmp_path / "lamp.json")


def test_a_failed_write_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk fails in the middle, the old content stays and no part is left behind."""
    path = tmp_path / "lamp.json"
    write_atomically(path, b"old")

    def fail(_: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, None])
def test_a_measure_that_is_not_finite_is_none(value: float | None) -> None:
    """It becomes none when it is stored, so that it is equal after a round trip."""
    measured = Measured(values={"psnr_db": value, "loss": 0.5})
    assert measured.values == {"psnr_db": None, "loss": 0.5}
    assert Measured.from_json(measured.to_json(), source="a test") == measured


@pytest.mark.parametrize(("umask", "mode"), [(0o077, 0o600), (0o002, 0o664), (0o022, 0o644)])
def test_the_umask_says_who_may_read_a_file(umask: int, mode: int, tmp_path: Path) -> None:
    """A written file has the rights that any new file of this user has."""
    before = os.umask(umask)
    try:
        write_atomically(tmp_path / "file", b"content")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode


class Room(Record):
    """A record that holds another."""

    lamp: Lamp
    doors: int = 1


def test_only_what_differs_is_named() -> None:
    """Two records differ in the fields that were changed, however deep, and in no other."""
    room = Room(lamp=Lamp(colour="amber", power_watt=4))
    other = Room(lamp=Lamp(colour="amber", power_watt=6), doors=2)
    assert differences(room, room) == []
    assert differences(room, other) == ["lamp.power_watt was 4, is 6", "doors was 1, is 2"]


def test_a_changed_record_is_validated_again() -> None:
    """A change gives a new record, and an impossible one names the record and all its faults."""
    lamp = Lamp(colour="amber", power_watt=4)
    assert changed(lamp, {"power_watt": 6}, what="the lamp").power_watt == 6
    assert lamp.power_watt == 4
    with pytest.raises(InputError, match=r"the lamp cannot be changed so: .*power_watt: .*shape: "):
        changed(lamp, {"power_watt": "many", "shape": "round"}, what="the lamp")


def test_rows_of_unequal_columns_keep_their_places(tmp_path: Path) -> None:
    """A row without a later column has an empty cell there, and no rows leave an empty file."""
    path = tmp_path / "rows.csv"
    write_csv(path, [{"epoch": 1}, {"epoch": 2, "psnr": 20.5}])
    assert path.read_text() == "epoch,psnr\n1,\n2,20.5\n"
    write_csv(path, [])
    assert path.read_text() == ""


def test_differences_are_found_inside_of_lists() -> None:
    """The place in a list is named, and not the whole of two lists that begin alike."""

    class House(Record):
        rooms: tuple[Room, ...]

    rooms = [Room(lamp=Lamp(colour="amber", power_watt=watt)) for watt in (4, 6)]
    house, other = House(rooms=(rooms[0], rooms[0])), House(rooms=(rooms[0], rooms[1]))
    assert differences(house, other) == ["rooms.1.lamp.power_watt was 4, is 6"]
    assert "rooms was" in differences(house, House(rooms=()))[0]


@pytest.mark.parametrize("given", [5, None, b"run", ["run"], object()])
def test_what_is_no_path_is_one_sentence(given: object) -> None:
    """Whatever type a caller gives, the sentence names it; texts and paths are paths."""
    with pytest.raises(InputError, match=r"a run is given by its path, not by .*pass a str"):
        as_path(given, "a run")
    assert as_path("run", "a run") == as_path(Path("run"), "a run") == Path("run")


@pytest.mark.parametrize("name", ["new.bin", "deep/new.bin", "old.bin", "folder", "old.bin/new"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_place_is_checked_before_the_work(name: str, overwrite: bool, tmp_path: Path) -> None:
    """Only a file may be replaced, when asked, and nothing lies below a file; nothing is made."""
    (tmp_path / "old.bin").write_bytes(b"old")
    (tmp_path / "folder").mkdir()
    before, path = sorted(tmp_path.rglob("*")), tmp_path / name
    if name in ("new.bin", "deep/new.bin", *(["old.bin"] if overwrite else [])):
        require_free_name(path, overwrite=overwrite)
    else:
        with pytest.raises(RunError, match=r"old\.bin|folder"):
            require_free_name(path, overwrite=overwrite, kind=RunError)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("can_lock", [True, False])
def test_an_error_while_writing_is_that_of_the_writer(
    can_lock: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where an open file cannot be removed; a lock is kept until its file is gone."""
    if not can_lock:
        monkeypatch.setattr("tapetum.records.files.fcntl", None)
    remove = Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        assert file.closed == (not can_lock)
        remove(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    with pytest.raises(ValueError, match="mine"), replaced(tmp_path / "a") as file:
        raise ValueError("mine")
    assert file.closed
    assert not [*tmp_path.iterdir()]
