"""What holds for the whole project: rooms, sizes, public names, what an import may load.

The rooms and the list of torch-free ones are read from ``pyproject.toml``, so that no test keeps
a copy of them.  A contract that guards something also has a test that proves it can fail.
"""

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import tapetum

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "tapetum"
MODULES = sorted(SOURCE.rglob("*.py"))
PYTHON_FILES = [*MODULES, *sorted((ROOT / "tests").rglob("*.py"))]
PYTHON_FILES += sorted((ROOT / "benchmarks").rglob("*.py"))

MAX_BODY_LINES = 45
MAX_FILE_LINES = 500


def contract(name: str) -> dict[str, Any]:
    """One of the import contracts of ``pyproject.toml``."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = settings["tool"]["importlinter"]["contracts"]
    return next(found for found in contracts if found["id"] == name)


TORCH_FREE = contract("torch-free")["source_modules"]


@cache
def syntax(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text())


def module_name(path: Path) -> str:
    """The dotted name of a module of the package."""
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def module_names_in(room: str) -> list[str]:
    """The room and every module inside it."""
    names = [module_name(path) for path in MODULES]
    return [name for name in names if name == room or name.startswith(f"{room}.")]


def run_python(code: str, *arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Runs ``code`` in a fresh interpreter, on the package below ``folder``."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder / "src"), "COLUMNS": "200"},
        timeout=120,
    )


def loaded_after(code: str) -> set[str]:
    """Top-level packages that a fresh interpreter has loaded after ``code``."""
    report = "import sys; print('\\n' + ' '.join({name.partition('.')[0] for name in sys.modules}))"
    result = run_python(f"{code}\n{report}")
    assert result.returncode == 0, result.stderr
    return set(result.stdout.splitlines()[-1].split())


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs import-linter on the package below ``folder`` with the contracts beside it."""
    code = "from importlinter.cli import lint_imports_command as lint; lint()"
    return run_python(code, "--no-cache", "--config", "pyproject.toml", folder=folder)


@pytest.fixture
def empty_house(tmp_path: Path) -> Path:
    """A package with every room of the contracts, all of them empty."""
    package = tmp_path / "src" / "tapetum"
    package.mkdir(parents=True)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (package / "__init__.py").touch()
    for line in contract("rooms")["layers"]:
        for room in re.findall(r"\w+", line):
            (package / f"{room}.py").touch()
    return tmp_path


def test_imports_go_down_only() -> None:
    """Every room imports only rooms below it, and no unlisted room exists."""
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_drawn_rooms_are_the_checked_rooms() -> None:
    """The drawing in docs/architecture.md has the rooms of the contract, line by line."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    drawing = page.partition("## The rooms")[2].partition("\n\n    ")[2].partition("\n\n")[0]
    drawn = [re.split(r" {2,}", line.strip())[0] for line in drawing.splitlines()]
    checked = [re.sub(r"[()]", "", line) for line in contract("rooms")["layers"]]
    assert drawn == checked


def test_an_empty_house_keeps_the_contracts(empty_house: Path) -> None:
    """Rooms that import nothing break no contract, so the failures below have one cause each."""
    result = lint_imports(empty_house)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("room", "code"),
    [
        ("attic", ""),
        ("errors", "import tapetum.records"),
        ("graph", "import tapetum.runtime"),
        ("records", "import torch"),
    ],
    ids=["unlisted room", "import upwards", "import sideways", "torch in a torch-free room"],
)
def test_the_contracts_can_fail(empty_house: Path, room: str, code: str) -> None:
    """An unlisted room, an arrow up or sideways, and torch on a small device are each refused."""
    (empty_house / "src" / "tapetum" / f"{room}.py").write_text(code)
    result = lint_imports(empty_house)
    assert result.returncode != 0
    assert "1 kept, 1 broken" in result.stdout
    assert f"- tapetum.{room}" in re.sub(r" +", " ", result.stdout)


def test_torch_free_rooms_load_no_torch() -> None:
    """Importing every module of every torch-free room loads neither torch nor what needs it."""
    names = [name for room in TORCH_FREE for name in module_names_in(room)]
    assert not loaded_after(f"import {', '.join(names)}") & set(
        contract("torch-free")["forbidden_modules"]
    )


def test_the_torch_test_can_fail() -> None:
    """The same look at a room of torch finds torch, so its silence elsewhere means something."""
    assert "torch" in loaded_after("import tapetum.losses")


def test_the_base_installation_is_small() -> None:
    """At most eight direct dependencies; the runtime and ``--help`` load no package of an extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert len(project["dependencies"]) <= 8
    needed = [one for extra in project["optional-dependencies"].values() for one in extra]
    optional = {re.split(r"[\[><=]", one)[0].replace("-", "_") for one in needed} - {"tapetum"}
    assert optional >= {"torch", "scipy", "safetensors"}
    assert not loaded_after("import tapetum.runtime, tapetum.cli") & optional


def test_help_loads_nothing_heavy() -> None:
    """A bare ``tapetum --help`` succeeds without torch, onnxruntime or matplotlib."""
    code = """\
import contextlib, sys
from tapetum.cli import main
sys.argv = ["tapetum", "--help"]
with contextlib.suppress(SystemExit):
    main()
"""
    loaded = loaded_after(code)
    assert not loaded & {"torch", "onnxruntime", "matplotlib"}


def definitions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method of a file."""
    for node in ast.walk(syntax(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def num_body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function below its docstring."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return (node.end_lineno or body[0].lineno) - body[0].lineno + 1 if body else 0


def test_functions_fit_on_a_screen() -> None:
    """No function has more than 45 lines, besides its signature and docstring."""
    too_long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in MODULES
        for node in definitions(path)
        if num_body_lines(node) > MAX_BODY_LINES
    ]
    assert not too_long


def test_files_hold_one_concept() -> None:
    """No file of the package is longer than 500 lines."""
    lengths = {path: len(path.read_text().splitlines()) for path in MODULES}
    assert not {str(path): length for path, length in lengths.items() if length > MAX_FILE_LINES}


def test_modules_say_what_they_are() -> None:
    """Every module starts with a docstring."""
    silent = [path for path in MODULES if not ast.get_docstring(syntax(path))]
    assert not silent


def test_modules_offer_what_they_list() -> None:
    """Every module has an ``__all__``, and each name in it exists."""
    for path in MODULES:
        if path.stem != "__main__":  # which is started, not imported
            module = importlib.import_module(module_name(path))
            missing = [name for name in module.__all__ if not hasattr(module, name)]
            assert not missing, module.__name__


def pickles(tree: ast.Module) -> Iterator[str]:
    """Whatever in a file reads or writes pickles."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported = {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported = {(node.module or "").partition(".")[0]}
        else:
            imported = set()
        yield from imported & {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"torch.load", "torch.save"}:
            options = {option.arg: ast.unparse(option.value) for option in node.keywords}
            is_safe = options.get("weights_only") == "True"  # runs nothing of the file
            yield from [] if is_safe else [ast.unparse(node.func)]
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            yield from [] if ast.unparse(node.value) == "False" else ["allow_pickle"]


def test_nothing_is_pickled() -> None:
    """No file of the project loads or saves a pickle, which could run a stranger's code."""
    imitated = Path(__file__).with_name("lite0.py")  # writes a file as another project does
    found = {path: list(pickles(syntax(path))) for path in PYTHON_FILES if path != imitated}
    assert not {str(path): names for path, names in found.items() if names}


@pytest.mark.parametrize(
    "code", ["import pickle", "from joblib import load", "torch.save(x, f)", "f(allow_pickle=True)"]
)
def test_the_pickle_test_can_fail(code: str) -> None:
    """Each way of pickling that the test above looks for is found where it stands."""
    assert list(pickles(ast.parse(code)))


# A letter in brackets keeps each pattern from matching itself.
REGISTRY = re.compile(
    r"p[y]pi\.|python[h]osted|n[p]mjs|deb\.d[e]bian|index[-_]ur[l]|find[-_]lin[k]s"
)


def test_no_package_registry_is_named() -> None:
    """No file of the project names a package registry: where packages come from is pip's affair."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    texts = {path: path.read_bytes().decode("latin-1") for path in paths if path.is_file()}
    assert not [str(path) for path, text in texts.items() if REGISTRY.search(text)]


def test_the_changelog_knows_this_version() -> None:
    """The changelog has a section for the version that the package says it is."""
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(rf"^## \[?{re.escape(tapetum.__version__)}\b", changelog, re.MULTILINE)
