"""The version of Tapetum that wrote a folder of long work, and the commit of a checkout."""

import os
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import tapetum
from tapetum.errors import InputError, RunError
from tapetum.records.reading import read_json

__all__ = [
    "AGAIN",
    "MADE_BY",
    "REQUEST",
    "checkout",
    "describe_unreadable",
    "made_by",
    "maker",
    "request_at",
]

AGAIN = "start again with --overwrite or in another --out; finished packages still work"
MADE_BY = "made_by"  # beside the fields of a request
REQUEST = "request.json"
GIT_TIMEOUT_S = 5.0
MOST_LEVELS = 4  # from a file up to the folder of the work that it belongs to


@cache
def made_by() -> str:
    """Return this version in words, such as ``tapetum 0.1.0 (commit 81035ad)``."""
    version = f"tapetum {tapetum.__version__}"
    package = Path(tapetum.__file__).resolve().parent
    commit = _commit(package)
    return version if commit is None else f"{version} (commit {commit[:7]})"


def checkout(package: Path) -> tuple[str | None, bool | None]:
    """Return the commit of the source in ``package``, and whether the source differs from it."""
    commit = _commit(package)
    if commit is None:
        return None, None
    changes = _git(package, "status", "--porcelain", "--", ".")
    return commit, None if changes is None else changes != ""


def describe_unreadable(path: Path, error: InputError) -> InputError:
    """Return the error for a file that does not fit its record, as its folder explains it."""
    writer = maker(path)
    if writer is None:
        return error
    if writer == made_by():
        return RunError(f"{path} is damaged: {error.problem}", AGAIN)
    return RunError(
        f"{path} was written by {writer}, and this is {made_by()}, which cannot read or "
        "continue it",
        AGAIN,
    )


def maker(path: Path) -> str | None:
    """Return the version that did the long work of a file; None where it is of none."""
    for folder in list(path.absolute().parents)[:MOST_LEVELS]:
        request = request_at(folder / REQUEST)
        if str(request.get("format", "")).startswith("tapetum-"):
            return str(request.get(MADE_BY) or "an older version of tapetum")
    return None


def request_at(path: Path) -> Mapping[str, Any]:
    """Return the fields of a request of any version; none where there is no such file."""
    try:
        values = read_json(path)
    except InputError:
        return {}
    return values if isinstance(values, dict) else {}


def _commit(package: Path) -> str | None:
    """Return the commit of the source in ``package``; None outside of a checkout of its own."""
    answer = _git(package, "rev-parse", "--show-toplevel", "HEAD")
    top, _, commit = (answer or "").partition("\n")
    # An installed copy may lie inside the checkout of another project.
    return commit if commit and Path(top).resolve() / "src" / package.name == package else None


def _git(folder: Path, *arguments: str) -> str | None:
    """Return the output of git; None if it is missing, fails or hangs."""
    # A hook of another repository sets GIT_DIR; optional locks would disturb other processes.
    environment = {key: text for key, text in os.environ.items() if not key.startswith("GIT_")}
    environment["GIT_OPTIONAL_LOCKS"] = "0"
    try:
        done = subprocess.run(  # noqa: S603 - the arguments are ours
            ["git", "-C", str(folder), *arguments],  # noqa: S607 - the user's own git
            capture_output=True,
            check=True,
            encoding="utf-8",
            errors="replace",
            env=environment,
            timeout=GIT_TIMEOUT_S,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
