"""Frozen data, files that are never half-written, and folders of long work that survive a kill."""

from tapetum.records.files import (
    as_path,
    hidden_beside,
    named_in_errors,
    replaced,
    require_free_name,
    write_atomically,
    write_csv,
)
from tapetum.records.folder import Folder, FolderKind
from tapetum.records.lock import hold, hold_name
from tapetum.records.note import Note, Weight, by_weight
from tapetum.records.reading import open_regular, parse_json, read_bytes, read_json
from tapetum.records.record import (
    FiniteOrNone,
    Record,
    changed,
    describe_faults,
    differences,
    faults_are_ours,
)
from tapetum.records.version import checkout

__all__ = [
    "FiniteOrNone",
    "Folder",
    "FolderKind",
    "Note",
    "Record",
    "Weight",
    "as_path",
    "by_weight",
    "changed",
    "checkout",
    "describe_faults",
    "differences",
    "faults_are_ours",
    "hidden_beside",
    "hold",
    "hold_name",
    "named_in_errors",
    "open_regular",
    "parse_json",
    "read_bytes",
    "read_json",
    "replaced",
    "require_free_name",
    "write_atomically",
    "write_csv",
]
