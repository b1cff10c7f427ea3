"""Refuse at once what a job would refuse after torch is loaded, which takes seconds."""

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import create_model

from tapetum.arch import open_architecture
from tapetum.data import describe_folder
from tapetum.errors import InputError, PackageError, nearest
from tapetum.jobs.choose import is_digits, is_start_name, require_network, require_wanted
from tapetum.jobs.device import require_scope
from tapetum.jobs.elsewhere import open_timings
from tapetum.jobs.methods import FitOptions, effort_of, require_method, require_time
from tapetum.latency import Budget, bundle, find_runtime
from tapetum.provenance import require_cores
from tapetum.records import FolderKind, Record, read_json, require_free_name

__all__ = ["RUN", "SEARCH", "refuse_early"]

# Names of the rooms of torch, for --recipe and --search-recipe.
RECIPES = ("published", "quick", "swift", "images")
SEARCH_RECIPES = ("swift", "tf-nas")

LONGEST_S = 1.0  # for a look at the folder, which the job reads again


# As the rooms of torch have them; those know all fields of a request.
RUN, SEARCH, FIT, FRONT = (
    FolderKind(name, create_model("Request", __base__=Record, format=(str, form)), Record, command)
    for name, form, command in (
        ("run", "tapetum-run", "tapetum train"),
        ("search", "tapetum-search", "tapetum search"),
        ("fit", "tapetum-fit", "tapetum fit"),
        ("fit of several budgets", "tapetum-front", "tapetum fit"),
    )
)
_KINDS = {"train": RUN, "search": SEARCH, "fit": FIT, "fit_front": FRONT, "demo": FIT}


def refuse_early(job: str, options: Mapping[str, Any]) -> None:
    """Refuse options of a job without torch; the job itself checks them all.

    Args:
        job: Name of the job, such as ``train``.
        options: Its arguments.

    Raises:
        TapetumError: As the job would raise it.
    """
    if os.environ.get("RANK", "0") != "0":  # of torchrun: the main process makes the folder
        return
    if kind := _KINDS.get(job):
        again = {name: bool(options.get(name)) for name in ("resume", "overwrite")}
        kind.require_idle(options["out"])
        kind.require_free(options["out"], **again)
    if job == "train":
        require_wanted(options["architecture"], options["start"])
    if options.get("architecture") is not None:
        open_architecture(str(options["architecture"]))
    if options.get("threads") is not None and options.get("latency") is None:
        require_cores(options["threads"])  # a latency table may be of a larger device
    _refuse_recipes(job, options)
    for name in ("source", "path", "start"):
        if options.get(name) is not None and not is_start_name(options[name]):
            _refuse_network(Path(options[name]))
    if job == "calibrate" and options["out"] is not None:
        require_free_name(options["out"], overwrite=options["overwrite"], kind=PackageError)
    if job in ("fit", "fit_front"):
        require_method(options)
        if options["latency"] is None:
            runtime, batch = find_runtime(options["runtime"] or "onnxruntime"), options["batch"]
            require_scope(options["budget_includes"], runtime, batch or 1)
        for path in options.get("beside") or ():
            FIT.require_finished(path)
        targets = options["target_ms"] if job == "fit_front" else (options["target_ms"],)
        require_time(targets, options["total_minutes"])
    if job in ("search", "fit"):
        _refuse_target(options)
    if job in ("train", "search", "fit", "fit_front") and not is_digits(options["data"]):
        _refuse_data(options)


def _refuse_network(path: Path) -> None:
    """Refuse a path at which there is neither a finished run or fit nor a file."""
    require_network(path)
    if path.is_dir():
        kind = FIT if FIT.is_at(path) else RUN
        kind.require_finished(path)


def _refuse_recipes(job: str, options: Mapping[str, Any]) -> None:
    """Refuse a recipe without a name that is known, and a file that cannot be read."""
    given = {"recipe": options.get("recipe"), "search recipe": options.get("search_recipe")}
    if job == "search":
        given = {"search recipe": options.get("recipe")}
    for what, name in given.items():
        known = RECIPES if what == "recipe" else SEARCH_RECIPES
        if name is not None and name.endswith(".json"):
            read_json(Path(name))
        elif name is not None and name not in known:
            raise InputError(f"no {what} is called {name!r}", nearest(name, known))


def _refuse_target(options: Mapping[str, Any]) -> None:
    """Refuse a latency target that no network of the table keeps, and a table in vain."""
    if options["latency"] is not None and options.get("method") not in (None, "tf-nas"):
        open_timings(FitOptions(**options))
    elif options["latency"] is not None:
        Budget.of(bundle.open_table(Path(options["latency"])), options["target_ms"])
    elif "networks" in options:
        effort_of(options["networks"], options["table_minutes"])


class _LargeError(Exception):
    """A folder is large."""


def _refuse_data(options: Mapping[str, Any]) -> None:
    """Refuse a folder that cannot be understood; a look at a large one is broken off."""
    begun = time.monotonic()

    def looking(done: int, total: int) -> None:
        if done < total and time.monotonic() - begun > LONGEST_S:
            raise _LargeError

    names = ("labels", "layout", "group_by", "white", "size_px")
    with suppress(_LargeError):
        given = {name: options[name] for name in names if options.get(name) is not None}
        describe_folder(Path(options["data"]), **given, looking=looking)
