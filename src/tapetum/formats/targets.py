"""The formats that a package can be exported to, beside the package itself."""

from pathlib import Path

from tapetum.errors import InputError, PackageError, nearest
from tapetum.formats.target import OF_INT8, Settings, Target
from tapetum.formats.target_executorch import ExecuTorchTarget
from tapetum.formats.target_html import HtmlTarget
from tapetum.formats.target_litert import LiteRtTarget
from tapetum.formats.target_ncnn import NcnnTarget
from tapetum.formats.target_onnx import OnnxTarget
from tapetum.formats.target_openvino import OpenVinoTarget

__all__ = ["PACKAGE", "TARGETS", "find_target", "require_precision"]

PACKAGE = "tapetum"
TARGETS: tuple[Target, ...] = (
    OnnxTarget(),
    OpenVinoTarget(),
    NcnnTarget(),
    LiteRtTarget(),
    ExecuTorchTarget(),
    HtmlTarget(),
)
_REASONS = {
    ("ncnn", "int8"): ": ncnn2table and ncnn2int8, which make int8, are in no Python package"
}


def find_target(name: str | None, out: Path, settings: Settings) -> Target | None:
    """Return the format of a file; None for a package.

    Args:
        name: Name of the format; by default the ending decides.
        out: The file to write.
        settings: What was settled, which the format must follow.

    Raises:
        PackageError: Neither name nor ending is that of a format, or a format of several files
            cannot have this name.
        InputError: The format does not follow a setting.
    """
    known = {target.name: target for target in TARGETS}
    if name is not None and name not in (*known, PACKAGE):
        raise PackageError(f"there is no format {name!r}", nearest(name, (*known, PACKAGE)))
    if name is None:
        endings = {target.endings[0]: target.name for target in TARGETS} | {"": PACKAGE}
        endings[f".{PACKAGE}"] = PACKAGE
        name, ending = endings.get(out.suffix.lower()), out.suffix.lower()
        if name is None:
            listed = " or ".join(one for one in endings if one)
            problem = f"an export ends in {listed}, not in {ending}"
            raise PackageError(problem, "choose one of these endings, or name it with --format")
    target = known.get(name)
    if target is not None:
        _require_ending(target, out)
    follows = OF_INT8 if target is None else target.settings
    for field in sorted(settings.given - follows):
        able = [one.name for one in TARGETS if field in one.settings]
        able += [PACKAGE] if field in OF_INT8 else []
        option = f"--{field.replace('_', '-')}"
        raise InputError(f"{option} has no effect on {name}", f"it is for {', '.join(able)}")
    return target


def _require_ending(target: Target, out: Path) -> None:
    """Refuse a name from which the other files of a format get no names of their own."""
    first, *others = target.endings
    if others and out.suffix.lower() != first:
        problem = f"{target.name} writes {first} and {' and '.join(others)}, and not {out.name}"
        raise PackageError(problem, f"end --out with {first}")


def require_precision(target: Target, precision: str) -> None:
    """Refuse a precision that a format does not have.

    Raises:
        PackageError: It does not; ``auto`` needs int8.
    """
    asked = "int8" if precision == "auto" else precision
    if asked not in target.precisions:
        *others, last = sorted(target.precisions, reverse=True)
        listed = f"{', '.join(others)} or {last}" if others else last
        able = [one.name for one in TARGETS if asked in one.precisions]
        able += [PACKAGE] if asked == "int8" else []
        raise PackageError(
            f"{target.name} is written in {listed}, and {precision} was asked for"
            + _REASONS.get((target.name, asked), ""),
            f"choose one of these; {asked} is for {', '.join(able)}",
        )
