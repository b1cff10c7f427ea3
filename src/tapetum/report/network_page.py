"""The page that runs a network on images of its reader: one file, or the page of a server."""

import html
from collections.abc import Mapping
from importlib import resources
from string import Template
from typing import Literal

__all__ = ["network_page", "runtime_notice"]

Engine = Literal["wasm", "server"]

_FILES = resources.files("tapetum.report") / "page"

# What a page may load and reach. Neither may load anything from another address.
_POLICIES: dict[Engine, str] = {
    "wasm": "script-src 'unsafe-inline' 'wasm-unsafe-eval' blob:; connect-src blob:; ",
    "server": "script-src 'unsafe-inline'; connect-src 'self'; ",
}
_POLICY = (
    "default-src 'none'; {}style-src 'unsafe-inline'; img-src blob: data:; media-src blob:; "
    "base-uri 'none'; form-action 'none'"
)


def network_page(
    title: str, lead: str, *, engine: Engine, about: str, parts: Mapping[str, str] | None = None
) -> str:
    """Return the page as HTML.

    Args:
        title: Heading, as text.
        lead: The sentences below it, as text.
        engine: What runs the network: the page itself (``wasm``), or the server it came from.
        about: What stands at its end, as HTML.
        parts: What the engine reads, by its name, as text without ``<``.
    """
    inside = (parts or {}).items()
    return Template(_read("page.html")).substitute(
        title=html.escape(title),
        lead=html.escape(lead),
        policy=_POLICY.format(_POLICIES[engine]),
        style=_read("page.css"),
        about=about,
        parts="\n".join(
            f'<script type="text/plain" id="{name}">{text}</script>' for name, text in inside
        ),
        engine=_read(f"{engine}.js"),
        script=_read("page.js"),
    )


def runtime_notice(version: str) -> str:
    """Return the licence of ONNX Runtime Web, which a page contains, as HTML."""
    return Template(_read("wasm-notice.html")).substitute(runtime_version=html.escape(version))


def _read(name: str) -> str:
    return (_FILES / name).read_text(encoding="utf-8")
