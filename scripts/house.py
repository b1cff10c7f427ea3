"""Reads the source as text and measures its structure: rooms, faces, imports, functions, prose.

``scripts/check_faces`` and ``scripts/measure_house`` print what is found here.
"""

import ast
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "tapetum"
PAPER = ROOT / "paper" / "tapetum_paper"


class CrossImport(NamedTuple):
    """An import of one room by a file outside of it.

    Attributes:
        path: The importing file.
        line: Line of the import, from 1.
        module: The imported module, such as ``tapetum.latency.table``.
        names: The imported names; empty for ``import tapetum.latency``.
    """

    path: Path
    line: int
    module: str
    names: tuple[str, ...]

    @property
    def room(self) -> str:
        """Name of the imported room."""
        return self.module.split(".")[1]

    def bypassed(self, faces: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
        """Return the names that were not taken from the face of their room."""
        if self.module.count(".") > 1:
            return self.names or (self.module,)
        return tuple(name for name in self.names if name not in faces.get(self.room, ()))


def room_faces(package: Path = PACKAGE) -> dict[str, tuple[str, ...]]:
    """Return the public names of each room: the ``__all__`` of its folder or module."""
    faces = {path.parent.name: path for path in package.glob("*/__init__.py")}
    faces |= {path.stem: path for path in package.glob("*.py") if not path.stem.startswith("__")}
    return {room: _public_names(path) for room, path in sorted(faces.items())}


def _public_names(path: Path) -> tuple[str, ...]:
    for node in ast.parse(path.read_text()).body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        if ast.unparse(target) == "__all__":
            return tuple(ast.literal_eval(node.value))
    return ()


def cross_imports(folder: Path = PACKAGE, package: Path = PACKAGE) -> Iterator[CrossImport]:
    """Yield every import of a room by a file of ``folder`` that is not part of that room."""
    for path in sorted(folder.rglob("*.py")):
        own = path.relative_to(package).parts[0].removesuffix(".py") if folder == package else ""
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                for module, names in _imported(node, package.name):
                    if module.split(".")[1] != own:
                        yield CrossImport(path, node.lineno, module, names)


def _imported(
    node: ast.Import | ast.ImportFrom, package: str
) -> Iterator[tuple[str, tuple[str, ...]]]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.name.startswith(f"{package}."):
                yield alias.name, ()
    elif (node.module or "").startswith(f"{package}."):
        yield node.module or "", tuple(alias.name for alias in node.names)


def bypasses(folder: Path = PACKAGE, package: Path = PACKAGE) -> list[tuple[CrossImport, str]]:
    """Return the imports that bypass a face, each with the names that did so."""
    faces = room_faces(package)
    found = [(each, each.bypassed(faces)) for each in cross_imports(folder, package)]
    return [(each, ", ".join(names)) for each, names in found if names]


def bypass_messages(folder: Path = PACKAGE, package: Path = PACKAGE) -> list[str]:
    """Return one line for each import that bypasses a face: where, what, and the remedy."""
    return [
        f"{each.path.relative_to(folder.parent)}:{each.line}: {names}: "
        f"import it from {package.name}.{each.room}, not from {each.module}"
        for each, names in bypasses(folder, package)
    ]


def names_to_change(room: str, package: Path = PACKAGE) -> set[str]:
    """Return the names that one meets to change a room: its face, and what its files import."""
    imports = [
        each
        for each in cross_imports(package, package)
        if each.path.relative_to(package).parts[0] == room
    ]
    imported = {name for each in imports for name in each.names or (each.module,)}
    return imported | set(room_faces(package)[room])


def function_lengths(package: Path = PACKAGE) -> list[int]:
    """Return the number of lines of every function and method."""
    return [
        (node.end_lineno or node.lineno) - node.lineno + 1
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def count_lines(package: Path = PACKAGE) -> int:
    """Return the number of lines of all Python files."""
    return sum(len(path.read_text().splitlines()) for path in package.rglob("*.py"))


def documents() -> list[Path]:
    """Return the README and every page of the site that is written by hand."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def sentence_lengths(paths: Sequence[Path]) -> list[int]:
    """Return the number of words of every sentence of Markdown files.

    Code blocks, tables, headings, rendered results and comments are not prose and are left out.
    """
    return [
        len(words)
        for path in paths
        for paragraph in _paragraphs(path.read_text())
        for sentence in re.split(r"(?<=[.!?])\W*\s+(?=[\W]*[A-Z0-9`])", paragraph)
        if len(words := re.findall(r"[^\W_][\w'.,%/-]*", sentence)) > 1
    ]


def _paragraphs(text: str) -> Iterator[str]:
    text = re.sub(r"<!-- begin: .*?<!-- end: [^>]*-->", "", text, flags=re.DOTALL)
    text = re.sub(r"^( *)```.*?^\1```", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"<!--.*?-->|!\[[^\]]*\]\([^)]*\)", "", text, flags=re.DOTALL)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    for line in text.splitlines():
        is_prose = not re.match(r" {4}|\t|#|\||:::|\s*$|---", line)
        if is_prose:
            yield re.sub(r"^\s*([-*]|\d+\.)\s+", "", line)


def measures() -> list[tuple[str, str, str]]:
    """Return name, limit and value of each measure of the project."""
    faces, functions = room_faces(), function_lengths()
    return [
        ("lines of src/tapetum", "30,000", f"{count_lines():,}"),
        ("public names of all rooms", "197", f"{sum(map(len, faces.values()))}"),
        ("imports between rooms", "", f"{len(list(cross_imports()))}"),
        ("  that bypass a face", "0", f"{len(bypasses())}"),
        ("  the same, from the paper project", "0", f"{len(bypasses(PAPER))}"),
        ("names to change the search", "50", f"{len(names_to_change('search'))}"),
        ("function lines, median", "9", f"{median(functions):g}"),
        ("function lines, maximum", "80", f"{max(functions)}"),
        ("words in a sentence of the docs, median", "20", f"{_median_words():g}"),
        ("import tapetum", "0.1 s", f"{_import_s('tapetum'):.3f} s"),
        ("import tapetum.runtime", "1 s", f"{_import_s('tapetum.runtime'):.3f} s"),
        ("wheel", "350 kB", _built_size("*.whl")),
        ("sdist", "1,500 kB", _built_size("*.tar.gz")),
    ]


def _median_words() -> float:
    return median(sentence_lengths(documents()))


def _import_s(module: str) -> float:
    """Return the time of an import in a fresh interpreter, without that of the interpreter."""
    return _fastest_run_s(f"import {module}") - _fastest_run_s("pass")


def _fastest_run_s(code: str) -> float:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, env=environment)  # noqa: S603
        times.append(time.perf_counter() - begun)
    return min(times)


def _built_size(pattern: str) -> str:
    files = sorted((ROOT / "dist").glob(pattern), key=lambda path: path.stat().st_mtime)
    return (
        f"{files[-1].stat().st_size / 1000:.0f} kB"
        if files
        else "not built: python -m hatchling build"
    )
