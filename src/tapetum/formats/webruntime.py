"""The files of onnxruntime-web, which a page contains.

They come from npm, since no Python package has them. They are read from a folder on this machine
and never downloaded here.
"""

import json
import sys
from pathlib import Path
from typing import NamedTuple

from tapetum.errors import MissingExtraError

__all__ = ["WebRuntime", "find_web_runtime"]

TRIED = "1.30.0"
_PACKAGE, _MODULE, _WASM = (
    "onnxruntime-web",
    "ort.wasm.bundle.min.mjs",
    "ort-wasm-simd-threaded.wasm",
)


class WebRuntime(NamedTuple):
    """The runtime of a page.

    Attributes:
        version: Its version.
        module: The script that loads it, an ES module.
        wasm: The program.
    """

    version: str
    module: bytes
    wasm: bytes


def find_web_runtime(given: Path | None) -> WebRuntime:
    """Read the runtime from a folder of the user, or from the environment of Python.

    Args:
        given: The npm package, the folder where npm installed it, or None for ``sys.prefix``.

    Raises:
        MissingExtraError: It is not there.
    """
    root = Path(sys.prefix) if given is None else given
    for folder in (root / "node_modules" / _PACKAGE, root / _PACKAGE, root):
        module, wasm = folder / "dist" / _MODULE, folder / "dist" / _WASM
        if module.is_file() and wasm.is_file():
            return WebRuntime(
                _version(folder), _without_map(module.read_bytes()), wasm.read_bytes()
            )
    raise MissingExtraError(
        f"a page contains {_PACKAGE}, which is not in {root}",
        f"install it from npm: npm install --prefix '{sys.prefix}' {_PACKAGE}@{TRIED}; or give the "
        "folder that has it with --web-runtime",
    )


def _version(folder: Path) -> str:
    try:
        return str(json.loads((folder / "package.json").read_bytes())["version"])
    except (OSError, ValueError, LookupError, TypeError):
        return "of an unknown version"


def _without_map(module: bytes) -> bytes:
    """Return a script without the name of its source map, which a browser would look for."""
    return module.partition(b"//# sourceMappingURL=")[0]
