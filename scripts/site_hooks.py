"""Hooks of the site's build: a generated page, links into the repository, no outside resources."""

import logging
import os
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

SCRIPTS = Path(__file__).resolve().parent
LOG = logging.getLogger("mkdocs.hooks.site")  # warnings end a strict build

LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((\.\./[^)#\s]+)[^)]*\)")
# Anything that a browser loads by itself; a plain link to another site is no such thing.
LOADED = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*\bsrc=[\"']?(?:https?:)?//"
    r"|<link\b(?![^>]*rel=[\"']?canonical)[^>]*\bhref=[\"']?(?:https?:)?//"
)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are generated: the command line, and the faces of the rooms."""
    sys.path.insert(0, str(SCRIPTS))  # mkdocs restores the path after it has loaded a hook
    from commands import reference
    from house import room_faces

    files.append(File.generated(config, "reference/cli.md", content=reference()))
    written = sorted((Path(config.docs_dir) / "reference").glob("*.md"))
    described = "\n".join(path.read_text() for path in written)
    rooms = rooms_page(room_faces(), but=re.findall(r"^::: (\S+)", described, re.MULTILINE))
    files.append(File.generated(config, "reference/rooms.md", content=rooms))
    return files


def rooms_page(faces: dict[str, tuple[str, ...]], *, but: list[str]) -> str:
    """Return the page of the public names of every room, but those that another page describes."""
    parts = [
        "# Rooms",
        "A room is a module or a folder of the package; [Architecture](../architecture.md) "
        "lists them. Import a name from its room, such as `from tapetum.noise import add_noise`. "
        "Modules inside a room may change without notice.",
    ]
    for room, names in faces.items():
        parts.append(f"## tapetum.{room}")
        paths = [f"tapetum.{room}.{name}" for name in names]
        parts += [f"[`{path}`][{path}]" if path in but else f"::: {path}" for path in paths]
    return "\n\n".join(parts) + "\n"


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Turn links to files of the repository that are not part of the site into plain paths."""
    del files
    docs = Path(config.docs_dir)
    folder = (docs / page.file.src_uri).parent

    def plain(link: re.Match[str]) -> str:
        target = Path(os.path.normpath(folder / link.group(2)))
        if target.is_relative_to(docs):
            return link.group()
        if not target.exists():
            LOG.warning("%s links to %s, which does not exist", page.file.src_uri, target)
        path = f"`{target.relative_to(docs.parent)}`"
        return path if link.group(1).strip("`") in path else f"{link.group(1)} ({path})"

    return LINK.sub(plain, markdown)


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Refuse a page that would load anything from the internet when it is viewed."""
    del config
    loaded = LOADED.search(output)
    if loaded:
        raise PluginError(f"{page.file.src_uri} loads an outside resource: {loaded.group()}")
    return output
