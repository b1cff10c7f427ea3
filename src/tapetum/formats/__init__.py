"""Export a trained network as a package or in another format: write, run, compare, describe.

Functions that compare with a trained network load torch; the others do not.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tapetum.formats.exported import Comparison, Exported, Parity, WrittenFile
from tapetum.formats.opening import OpenedFile
from tapetum.formats.precision import FineTuner, PrecisionChoice, choose_precision
from tapetum.formats.proof import Examples
from tapetum.formats.quantise import FEWEST_IMAGES, quantise
from tapetum.formats.repacking import noted, repack, with_scores
from tapetum.formats.target import FilePrecision, Settings, SettingsGiven
from tapetum.formats.targets import find_target, require_precision
from tapetum.formats.webruntime import find_web_runtime
from tapetum.formats.writing import require_free, write_target

if TYPE_CHECKING:
    from tapetum.formats.package import export_network, pack
    from tapetum.formats.parity import measure_parity

__all__ = [
    "FEWEST_IMAGES",
    "Comparison",
    "Examples",
    "Exported",
    "FilePrecision",
    "FineTuner",
    "OpenedFile",
    "Parity",
    "PrecisionChoice",
    "Settings",
    "SettingsGiven",
    "WrittenFile",
    "choose_precision",
    "export_network",
    "find_target",
    "find_web_runtime",
    "measure_parity",
    "noted",
    "pack",
    "quantise",
    "repack",
    "require_free",
    "require_precision",
    "with_scores",
    "write_target",
]

_WITH_TORCH = {"export_network": "package", "measure_parity": "parity", "pack": "package"}


def __getattr__(name: str) -> Any:
    if name not in _WITH_TORCH:
        raise AttributeError(f"module 'tapetum.formats' has no attribute {name!r}")
    return getattr(import_module(f"tapetum.formats.{_WITH_TORCH[name]}"), name)
