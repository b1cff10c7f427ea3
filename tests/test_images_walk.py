"""The walk over a folder: what is found, what is left out and why, and what cannot stop it."""

import errno
import os
import socket
from pathlib import Path

import pytest
from PIL import Image

from tapetum.errors import DataError
from tapetum.images import LeftOut, display_name, path_of_name, scan


def save(path: Path) -> Path:
    """Writes a small image, as PNG whatever the ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        Image.new("L", (4, 4)).save(file, "PNG")
    return path


def images_in(folder: Path) -> list[Path]:
    """The images that a walk finds, in its order."""
    return [entry for entry in scan(folder) if isinstance(entry, Path)]


def found(folder: Path) -> set[str]:
    """The paths of the images that a walk finds, relative to the folder."""
    return {path.relative_to(folder).as_posix() for path in images_in(folder)}


def reasons(folder: Path) -> dict[str, str]:
    """The reason of everything that a walk leaves out, by its path in the folder."""
    return {
        entry.path.relative_to(folder).as_posix(): entry.reason
        for entry in scan(folder)
        if isinstance(entry, LeftOut)
    }


def test_images_are_known_by_their_content(tmp_path: Path) -> None:
    """An image counts whatever its ending, and another file does not whatever its ending."""
    save(tmp_path / "a.jfif")
    save(tmp_path / "b")
    (tmp_path / "c.png").write_text("no image")
    (tmp_path / "d.png").touch()
    (tmp_path / "e.zip").write_bytes(b"PK")
    assert found(tmp_path) == {"a.jfif", "b"}
    assert reasons(tmp_path) == {
        "c.png": "its content is not an image of a known format",
        "d.png": "it is empty",
        "e.zip": "it is an archive; unpack it to use its images",
    }


@pytest.mark.parametrize(
    "name",
    [
        *("@eaDir", "@Recycle", "#recycle", "$RECYCLE.BIN", "System Volume Information"),
        *("lost+found", "__MACOSX", ".ipynb_checkpoints", "__pycache__", ".hidden"),
    ],
)
def test_system_folders_are_left_out(tmp_path: Path, name: str) -> None:
    """A folder that a system adds is left out with its images, and named once."""
    save(tmp_path / "class" / name / "thumb.jpg")
    save(tmp_path / "class" / "a.jpg")
    assert found(tmp_path) == {"class/a.jpg"}
    assert list(reasons(tmp_path)) == [f"class/{name}"]


@pytest.mark.parametrize("name", ["._a.png", "a.png~", "Thumbs.db", "desktop.ini", "a.png.part"])
def test_system_and_backup_files_are_left_out(tmp_path: Path, name: str) -> None:
    """A hidden, system or backup file is left out even if it holds an image."""
    save(tmp_path / name)
    assert not found(tmp_path)
    assert list(reasons(tmp_path)) == [name]


def test_links_are_followed(tmp_path: Path) -> None:
    """Links to files and folders elsewhere count as what they lead to."""
    save(tmp_path / "elsewhere" / "a.png")
    image = save(tmp_path / "single.png")
    data = tmp_path / "data"
    (data / "class").mkdir(parents=True)
    (data / "class" / "more").symlink_to(tmp_path / "elsewhere")
    (data / "class" / "b.png").symlink_to(image)
    assert found(data) == {"class/more/a.png", "class/b.png"}


def test_loops_and_broken_links_are_named(tmp_path: Path) -> None:
    """A loop ends, and each link that is not followed is listed."""
    save(tmp_path / "a" / "1.png")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a" / "self")
    (tmp_path / "broken").symlink_to(tmp_path / "missing")
    (tmp_path / "z").symlink_to(tmp_path / "a")
    assert found(tmp_path) == {"a/1.png"}
    left_out = reasons(tmp_path)
    assert set(left_out) == {"a/loop", "a/self", "broken", "z"}
    assert "broken link" in left_out["broken"]
    assert "so its images are found without it" in left_out["z"]


def test_a_folder_is_visited_once(tmp_path: Path) -> None:
    """Two links to one folder give its images once, and the second link is named."""
    save(tmp_path / "pool" / "1.png")
    data = tmp_path / "data"
    data.mkdir()
    for name in ("train", "val"):
        (data / name).symlink_to(tmp_path / "pool")
    assert found(data) == {"train/1.png"}
    assert "the same folder as" in reasons(data)["val"]


def test_pipes_and_sockets_are_never_opened(tmp_path: Path) -> None:
    """A pipe, a socket or a device does not stop the walk."""
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "device.png").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.png"))
        left_out = reasons(tmp_path)
    assert set(left_out) == {"pipe.png", "device.png", "s.png"}
    assert all("a pipe, a socket or a device" in reason for reason in left_out.values())


def test_results_of_ours_are_left_out(tmp_path: Path) -> None:
    """Folders of predictions and of trainings inside the data are left out and named."""
    for name, file, content in (
        ("cleaned", "predictions.json", '[{"image": "a.png"}]'),
        ("rows", "predictions.jsonl", '{"image": "a.png"}'),
        ("run", "request.json", '{"format": "tapetum-run"}'),
    ):
        save(tmp_path / name / "a.png")
        (tmp_path / name / file).write_text(content)
    save(tmp_path / "class" / "a.png")
    save(tmp_path / "theirs" / "a.png")
    (tmp_path / "theirs" / "predictions.json").write_text("{}")
    assert found(tmp_path) == {"class/a.png", "theirs/a.png"}
    left_out = reasons(tmp_path)
    assert "tapetum predict" in left_out["cleaned"]
    assert "tapetum predict" in left_out["rows"]
    assert "(run)" in left_out["run"]


def test_what_is_not_wanted_is_left_out(tmp_path: Path) -> None:
    """A folder given as ``without`` is not visited."""
    save(tmp_path / "a.png")
    save(tmp_path / "out" / "a.png")
    assert next(scan(tmp_path, without=[tmp_path / "out"])) == tmp_path / "a.png"


def test_names_outside_of_utf8_are_found_and_shown(tmp_path: Path) -> None:
    """A name that is no UTF-8, or that would control a terminal, is found and shown escaped."""
    strange = os.fsdecode(os.fsencode(tmp_path / "caf") + b"\xe9.png")
    save(Path(strange))
    save(tmp_path / "a\n\x1b[2J.png")
    names = [display_name(path.name) for path in images_in(tmp_path)]
    assert names == ["a\\x0a\\x1b[2J.png", "caf\\xe9.png"]


def test_the_order_is_that_of_the_names(tmp_path: Path) -> None:
    """The order depends on names alone, and a deep folder is no problem."""
    deep = tmp_path / "deep"
    for _ in range(60):
        deep = deep / "deeper"
    save(deep / "x.png")
    for name in ("b/1.png", "a/2.png", "a/1.png", "c.png"):
        save(tmp_path / name)
    names = [path.name for path in images_in(tmp_path)]
    assert names == ["1.png", "2.png", "1.png", "c.png", "x.png"]


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    """A missing folder and a file are refused in a sentence."""
    with pytest.raises(DataError, match="there is no folder"):
        list(scan(tmp_path / "missing"))
    with pytest.raises(DataError, match="is a file"):
        list(scan(save(tmp_path / "a.png")))


@pytest.mark.parametrize("name", ["Pru\u0308fung/a", "\udcff\udcfe/\u212b", "usual"])
def test_the_path_of_a_kept_name_is_found(name: str, tmp_path: Path) -> None:
    """Names are kept in NFC, with other bytes escaped; the folder may be called otherwise."""
    folder = tmp_path / name
    folder.mkdir(parents=True)
    assert path_of_name(display_name(folder)) == folder
    gone = display_name(folder / "gone")
    assert path_of_name(gone) == folder / "gone"


def test_an_image_that_may_not_be_read_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not called a file of an unknown format."""
    path = save(tmp_path / "secret.png")
    opened = Path.open

    def refuse(self: Path, *given: str) -> object:
        if self == path:
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(self, *given)

    monkeypatch.setattr(Path, "open", refuse)
    assert reasons(tmp_path) == {"secret.png": "it cannot be read: Permission denied"}
