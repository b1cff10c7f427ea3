"""The ways in which a fit chooses its network, and the options that belong to each of them."""

import math
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any, Literal, get_args

from tapetum.errors import InputError, MissingExtraError, nearest
from tapetum.latency import Budget, Conditions, Effort
from tapetum.progress import in_words
from tapetum.provenance import require_cores

__all__ = [
    *("EXPORT_MINUTES", "FEWEST_PROPOSED", "FINAL_TIMING_MINUTES", "MOST_PROPOSED"),
    "METHODS",
    "RUN_INT8",
    "FitOptions",
    "MethodName",
    "effort_of",
    "option_of",
    "parse_targets",
    "require_as_measured",
    "require_method",
    "require_time",
    "timing_minutes",
]

MethodName = Literal["race", "tf-nas", "none"]
FitOptions = SimpleNamespace  # the arguments of tapetum.fit, which names and describes them
METHODS: tuple[MethodName, ...] = get_args(MethodName)

RUN_INT8 = ("onnxruntime", "openvino")  # the runtimes that compute a network in int8

NETWORKS, MINUTES = 300, 6.0  # of a latency table

FINAL_TIMING_MINUTES = 0.7  # of the chosen network, half of it, and of the package
FIT_MS = 600.0  # of timing a candidate until it fits
EXPORT_MINUTES = 0.2  # of the package
MOST_PROPOSED = 24  # candidates of a race
FEWEST_PROPOSED = 2  # without one: the network of the rule, and the plain one beside it

_TF_NAS: tuple[MethodName, ...] = ("tf-nas",)
_SHAPES: tuple[MethodName, ...] = ("race", "none")
_RACE: tuple[MethodName, ...] = ("race",)

OPTION_NAMES = {"learns_depth": "--learn-depth"}  # where the argument has another name

# The methods that an option belongs to, by the name of the argument; every other is for all.
_METHODS_OF: Mapping[str, tuple[MethodName, ...]] = {
    **dict.fromkeys(("space", "operators", "decoder", "up", "learns_depth"), _TF_NAS),
    **dict.fromkeys(("search_recipe", "search_epochs", "networks", "table_minutes"), _TF_NAS),
    **dict.fromkeys(("search_minutes", "workers", "ray"), _RACE),
    **dict.fromkeys(("total_minutes", "start", "prefer", "precision"), _SHAPES),
}


def require_method(options: Mapping[str, Any]) -> None:
    """Refuse an unknown method, and an option of another method."""
    method = options["method"]
    if method not in METHODS:
        raise InputError(f"there is no method {method!r}", nearest(str(method), METHODS))
    for name, methods in _METHODS_OF.items():
        if options.get(name) is None or method in methods:
            continue
        option, theirs = option_of(name), " or ".join(methods)
        raise InputError(
            f"{option} is an option of the method {theirs}, but this fit uses {method}",
            f"leave {option} out, or give --method {methods[0]}",
        )
    for name in ("search_minutes", "total_minutes"):
        value = options.get(name)
        if value is not None and not 0 < value < math.inf:
            problem = f"{option_of(name)} must be greater than 0 (got {value:g})"
            raise InputError(problem, "give minutes")
    runtime = getattr(options.get("runtime"), "name", options.get("runtime"))
    if options.get("precision") == "int8" and runtime not in (None, *RUN_INT8):
        fault = f"a network in int8 runs in {' or '.join(RUN_INT8)}, not in {runtime}"
        raise InputError(fault, "leave --precision or --runtime out")
    workers = options.get("workers")
    ray = options.get("ray")
    if workers is not None and ray is None:
        require_cores(workers, "workers")
    if workers is not None and workers < 1:
        raise InputError(f"--workers must be 1 or more (got {workers})", "leave --workers out")
    if ray is not None and find_spec("ray") is None:
        raise MissingExtraError.of("ray", "ray")


def option_of(argument: str) -> str:
    """Return the option of an argument, as it is typed."""
    return OPTION_NAMES.get(argument, f"--{argument.replace('_', '-')}")


def timing_minutes(target_ms: float, *, races: bool) -> float:
    """Return how long the networks of a budget are timed, in minutes."""
    count = MOST_PROPOSED if races else FEWEST_PROPOSED
    return FINAL_TIMING_MINUTES + count * FIT_MS * max(1.0, target_ms / 20) / 60_000


def require_time(targets: Sequence[float], total_minutes: float | None) -> None:
    """Refuse a total time in which not even timing and export fit, before anything is timed."""
    least = sum(timing_minutes(one, races=False) + EXPORT_MINUTES for one in targets)
    if total_minutes is not None and total_minutes < least:
        alone = f"is too short: timing and export alone take about {in_words(least)}"
        remedy = f"give {math.ceil(least) + 3} minutes or more, and the plan says what they allow"
        raise InputError(f"--total-minutes {total_minutes:g} {alone}", remedy)


def require_as_measured(
    options: FitOptions, measured: Conditions, *, what: str, command: str
) -> None:
    """Refuse options that differ from what was measured on a device.

    Args:
        options: The options of the fit; None stands for what was measured.
        measured: The conditions of the measurement.
        what: What holds it, for the message.
        command: The command that makes another one.
    """
    theirs = {
        "--size": (options.size_px, measured.height_px),
        "--threads": (options.threads, measured.threads),
        "--batch": (options.batch, measured.batch),
        "--runtime": (getattr(options.runtime, "name", options.runtime), measured.runtime),
    }
    wrong = [
        f"{option} is {value}, but {what} was measured with {known}"
        for option, (value, known) in theirs.items()
        if value not in (None, known)
    ]
    if wrong:
        raise InputError("; ".join(wrong), f"leave the option out, or {command}")


def parse_targets(text: str | float) -> tuple[float, ...]:
    """Return the latency budgets of ``--target-ms``, in milliseconds and in order.

    Args:
        text: A number, or several with commas between them, such as ``1,2,4``.

    Raises:
        InputError: One of them is no latency, or occurs twice.
    """
    try:
        targets = tuple(float(part) for part in str(text).split(","))
    except ValueError as error:
        raise InputError(
            f"--target-ms {text!r} is not a list of milliseconds", "give 8, or 1,2,4,8"
        ) from error
    for target_ms in targets:
        Budget.require_positive(target_ms)
    if len({f"{target_ms:g}" for target_ms in targets}) < len(targets):  # as folders are named
        raise InputError(f"--target-ms {text} names a budget twice", "give each budget once")
    return targets


def effort_of(networks: int | None, minutes: float | None) -> Effort:
    """Return how much is timed for a latency table."""
    return Effort(
        NETWORKS if networks is None else networks, MINUTES if minutes is None else minutes
    )
