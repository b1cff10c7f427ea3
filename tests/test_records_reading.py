"""Laws of reading JSON: whatever a file holds, its values come back or one error of ours."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from tapetum.errors import InputError
from tapetum.records import Record, parse_json, read_json
from tapetum.records.reading import read_bytes


class Lamp(Record):
    """Some of every type."""

    name: str
    watts: float
    sockets: tuple[int, ...] = ()
    notes: dict[str, Any] = {}  # noqa: RUF012 - of pydantic


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"[" * 100 + b"]" * 100, "nested too deeply"),
        (b"1" * 5_000, "5000 digits"),
        (b"-" + b"9" * 30, "31 digits"),
        (b"[NaN]", "NaN is no number"),
        (b"[-Infinity]", "-Infinity is no number"),
        (b"[1e999]", "not finite"),
        (b"", "is not JSON"),
        (b'"\xff"', "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b'{"a" 1}', "is not JSON"),
    ],
    ids=lambda value: str(value)[:12],
)
def test_what_is_no_json_is_one_sentence(content: bytes, fault: str, tmp_path: Path) -> None:
    """Depth, digits, constants, bytes and syntax each have their sentence, in little time."""
    path = tmp_path / "values.json"
    path.write_bytes(content)
    begun = time.process_time()
    for read in (read_json, Lamp.read):
        with pytest.raises(InputError, match=rf"values\.json is not JSON.*{fault}|{fault}"):
            read(path)
    assert time.process_time() - begun < 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_the_encodings_of_editors_are_read(encoding: str, tmp_path: Path) -> None:
    """A byte order mark, which some editors write, does not matter."""
    values = {"é": [1, 2.5, None, True, "x" * 100, -(2**63), 2**64 - 1]}
    path = tmp_path / "values.json"
    path.write_bytes(json.dumps(values, ensure_ascii=False).encode(encoding))
    assert read_json(path) == values
    assert parse_json("\ufeff[1]", source="text") == [1]


@pytest.mark.parametrize(
    "values",
    [
        *(None, [], 3, "text", {"name": 3, "watts": []}, {"x": "y"}),
        {"name": "a", "watts": 10**25},
        {"name": "a", "watts": 1, "sockets": ["x"] * 500},
    ],
    ids=lambda value: str(value)[:20],
)
def test_values_of_wrong_types_are_one_bounded_sentence(values: object) -> None:
    """Every type in every place is refused by name, and the message stays short."""
    with pytest.raises(InputError) as caught:
        Lamp.from_json(json.dumps(values), source="lamp.json")
    assert len(str(caught.value)) < 3_200


def test_faults_beyond_twenty_are_counted() -> None:
    """A message names some faults and says how many there are."""
    text = json.dumps({"name": "a", "watts": 1, "sockets": ["x"] * 500})
    with pytest.raises(InputError, match="and 480 more"):
        Lamp.from_json(text, source="lamp.json")


def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path) -> None:
    """A pipe without a writer, a device without end and a folder are refused at once."""
    pipe = tmp_path / "pipe.json"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero"), tmp_path, tmp_path / "none", Path("a\0b")):
        with pytest.raises(InputError, match=r"cannot read|not a regular file"):
            Lamp.read(path)


def test_a_file_above_the_limit_is_not_read_whole(tmp_path: Path) -> None:
    """A sparse file of a terabyte takes no memory."""
    path = tmp_path / "sparse.json"
    path.touch()
    os.truncate(path, 2**40)
    with pytest.raises(InputError, match="larger than 1,000 bytes"):
        read_bytes(path, most_bytes=1_000)
