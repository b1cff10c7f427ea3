"""The documents: commands that exist, code that parses, links that lead somewhere, no fetching."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import commands
import docstrings
import house
import pytest
import site_hooks

import tapetum
from tapetum.training import Recipe

OPTIONS = {
    command.words: {"--help"}
    | {name for each in command.parameters for name in (*each.opts, *each.secondary_opts)}
    for command in commands.commands()
}
PLACEHOLDER = re.compile(r"^tapetum( latency)?( [A-Z.]+.*)?$")  # such as `tapetum COMMAND --help`


def typed_commands(text: str) -> Iterator[str]:
    """Every command of Tapetum in the code of a document: lines of blocks, and inline code."""
    text = re.sub(r" \\\n *", " ", text)  # a command may go on in the next line
    inline = re.findall(r"`(tapetum [^`]+)`", text)
    lines = re.findall(r"^ *(?:\$ )?(tapetum [^`\n]+)$", text, re.MULTILINE)
    yield from (line.partition("  #")[0] for line in inline + lines if not PLACEHOLDER.match(line))


def unknown_parts(line: str) -> list[str]:
    """The command, if there is none of that name, or else its options that do not exist."""
    words = shlex.split(line)
    known = max((each for each in OPTIONS if words[: len(each)] == list(each)), key=len, default=())
    if len(known) < 2 and not words[1].startswith("-"):
        return [line]
    given = {word.partition("=")[0] for word in words if word.startswith("--")}
    return sorted(given - OPTIONS[known])


@pytest.mark.parametrize("page", house.documents(), ids=lambda path: path.name)
def test_commands_of_the_documents_exist(page: Path) -> None:
    """A reader who copies a command meets no unknown command and no unknown option."""
    found = {line: unknown_parts(line) for line in typed_commands(page.read_text())}
    assert not {line: parts for line, parts in found.items() if parts}


@pytest.mark.parametrize(
    ("line", "unknown"),
    [
        ("tapetum fit photos --target-ms 8 --out runs/photos", []),
        ("tapetum fit photos --budget 8", ["--budget"]),
        ("tapetum launch", ["tapetum launch"]),
    ],
)
def test_an_unknown_option_is_found(line: str, unknown: list[str]) -> None:
    """The test above fails on a wrong command and on a wrong option, and on nothing else."""
    assert list(typed_commands(f"text\n\n```bash\n{line}\n```\n")) == [line]
    assert unknown_parts(line) == unknown


@pytest.mark.parametrize("page", house.documents(), ids=lambda path: path.name)
def test_python_of_the_documents_parses(page: Path) -> None:
    """Every Python block is valid Python."""
    for block in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
        compile(block, str(page), "exec")


def test_the_recipe_of_the_documents_changes_what_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All other fields stay those of the recipe by name."""
    page = (house.ROOT / "docs" / "reference" / "files.md").read_text()
    (block,) = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "files.md", "exec"), {})  # noqa: S102
    written = Recipe.read(tmp_path / "mine.json")
    assert written == Recipe.named("images").adjusted(half_size=0, weight_decay=0.02)


def test_links_of_the_readme_exist() -> None:
    """Every relative link of README.md and CONTRIBUTING.md leads to a file."""
    for name in ("README.md", "CONTRIBUTING.md"):
        links = re.findall(r"\]\((?!https?:)([^)#]+)", (house.ROOT / name).read_text())
        assert not [link for link in links if not (house.ROOT / link).exists()]


def test_the_documented_torch_free_rooms_are_the_checked_ones() -> None:
    """docs/architecture.md lists the rooms of the contract in pyproject.toml."""
    settings = tomllib.loads((house.ROOT / "pyproject.toml").read_text())
    contracts = settings["tool"]["importlinter"]["contracts"]
    checked = next(each for each in contracts if each["id"] == "torch-free")["source_modules"]
    page = (house.ROOT / "docs" / "architecture.md").read_text()
    line = page.partition("*Torch-free rooms.*")[2].partition(" never ")[0]
    assert {f"tapetum.{room}" for room in re.findall(r"`(\w+)`", line)} == set(checked)


def test_the_python_reference_has_every_public_name() -> None:
    """Each name that ``import tapetum`` offers is described in docs/reference/api.md."""
    page = (house.ROOT / "docs" / "reference" / "api.md").read_text()
    described = set(re.findall(r"heading: tapetum\.(\w+)", page))
    assert described == set(tapetum.__all__) - {"__version__"}


@pytest.mark.parametrize(
    ("html", "is_loaded"),
    [
        ('<script src="https://example.org/a.js">', True),
        ("<img src=//example.org/a.png>", True),
        ('<link rel="stylesheet" href="https://example.org/a.css">', True),
        ('<link rel="canonical" href="https://example.org/">', False),
        ('<a href="https://example.org">', False),
        ('<script src="assets/a.js">', False),
    ],
)
def test_outside_resources_are_found(html: str, is_loaded: bool) -> None:
    """What a browser would fetch by itself is told from a link that a reader may follow."""
    assert bool(site_hooks.LOADED.search(html)) is is_loaded


def test_docstrings_become_markdown() -> None:
    """Roles, double backticks, formulas and literal blocks are written as Markdown has them."""
    text = "Like :class:`~a.b.Thing` and ``x``::\n\n    y\n\n.. math:: a + b\n"
    assert docstrings.as_markdown(text) == "Like `Thing` and `x`:\n\n    y\n\n`a + b`\n"
