"""One HTML file as a format: a page with the network and its runtime inside.

It opens from a file or from any server, and requests nothing. The graph is the plain one, with the
preparation of images inside; colours and transparency are converted by the page.
"""

import base64
import gzip
import html
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tapetum.errors import PackageError
from tapetum.formats.chromium import BrowserError, Page, find_chromium, open_page
from tapetum.formats.standalone import standalone_graph
from tapetum.formats.target import OF_INT8, Contents, Floats, Images, Outputs, Settings, Target
from tapetum.formats.target_onnx import GraphRun
from tapetum.formats.webruntime import find_web_runtime
from tapetum.report import content, network_page, runtime_notice
from tapetum.runtime import (
    AddedNoise,
    BrightnessRange,
    Manifest,
    Package,
    facts_of,
    noise_text,
)

__all__ = ["HtmlTarget"]

MEMORY_MIB = 512  # of a phone's browser, for the values between the layers
_WHAT = {
    (True, True): "Denoises an image and names what is in it.",
    (True, False): "Denoises an image.",
    (False, True): "Names what is in a noisy image.",
}


class HtmlTarget(Target):
    """One file for a browser, on a computer or a phone."""

    name = "html"
    endings = (".html",)
    settings = frozenset(("target_ms", "title", "web_runtime")) | OF_INT8
    precisions = frozenset(("fp32", "int8"))

    def require(self, settings: Settings) -> None:
        """Refuse where onnxruntime-web is missing; see :class:`tapetum.formats.target.Target`."""
        find_web_runtime(settings.web_runtime)

    def contents(self, package: Package, settings: Settings, images: Images = ()) -> Contents:
        """Return the page.

        Raises:
            PackageError: The network needs boxes, or is neither for grey nor for RGB.
        """
        manifest = package.manifest
        if manifest.labels == "boxes" or manifest.colour == "other":
            need = "boxes" if manifest.labels == "boxes" else "other channels than grey or RGB"
            raise PackageError(
                f"{manifest.name} needs {need}, which a page does not have", "export it as .onnx"
            )
        runtime = find_web_runtime(settings.web_runtime)
        graph = standalone_graph(package).SerializeToString(deterministic=True)
        page = network_page(
            settings.title or content.task_title("", manifest.class_names),
            f"{_WHAT[manifest.denoises, manifest.classifies]} Nothing leaves this device: the "
            "network is in the page.",
            engine="wasm",
            about=f'<dl class="facts">{_listed(manifest)}</dl>\n{runtime_notice(runtime.version)}',
            parts={
                "facts": json.dumps(_shown(manifest, settings)).replace("<", "\\u003c"),
                "runtime": _packed(runtime.module),
                "wasm": _packed(runtime.wasm),
                "model": _packed(graph),
            },
        )
        return {".html": page.encode()}

    @contextmanager
    def opened(
        self, path: Path, settings: Settings, *, threads: int = 1
    ) -> Iterator["GraphRun | _BrowserRun"]:
        """Open the page in Chromium; where none works, run the graph that it contains."""
        program, why = find_chromium(), "no Chromium was found"
        with ExitStack() as stack:
            if program is not None:
                try:
                    run = _BrowserRun(stack.enter_context(open_page(program, path)))
                except BrowserError as error:
                    why = f"{program} does not work here: {error.problem}"
                else:
                    yield run
                    return
            graph = GraphRun(_graph_in(path.read_text(encoding="utf-8")))
            graph.runtime += f" ({why}, so that the page itself was not opened)"
            yield graph

    def snippet(self, name: str, manifest: Manifest, settings: Settings) -> list[str]:
        """Return how the page is opened, and how a script of one's own calls it."""
        return [
            f"# open {name} in a browser, from a file or from any static server, such as",
            "python3 -m http.server --bind 127.0.0.1",
            "// in a script of the page, on float32 values in base64, channels first:",
            "await tapetum.ready",
            "const { denoised, probabilities } = await tapetum.run(values, height, width)",
        ]


class _BrowserRun:
    """A page in Chromium."""

    threads = None

    def __init__(self, page: Page) -> None:
        self._page = page
        page.wait_for("window.tapetum")
        page.evaluate("tapetum.ready")
        version = page.ask("Browser.getVersion")["product"].replace("/", " ")
        self.runtime = f"{version} with {page.evaluate(_RUNTIME)}"

    def __call__(self, images: Floats, boxes: Floats | None) -> Outputs:
        """Run the network of the page; see :class:`tapetum.formats.target.Run`."""
        denoised, shares = zip(*(self._one(image) for image in images), strict=True)
        return Outputs(_stacked(denoised), _stacked(shares))

    def _one(self, image: Floats) -> tuple[Floats | None, Floats | None]:
        _, height, width = image.shape
        values = base64.b64encode(np.ascontiguousarray(image, "<f4").tobytes()).decode()
        found = self._page.evaluate(f"tapetum.run('{values}', {height}, {width})")
        denoised, shares = (
            None if text is None else np.frombuffer(base64.b64decode(text), "<f4")
            for text in (found["denoised"], found["probabilities"])
        )
        return None if denoised is None else denoised.reshape(image.shape), shares


_RUNTIME = "`onnxruntime-web ${JSON.parse(document.getElementById('facts').textContent).runtime}`"


def _stacked(values: Sequence[Floats | None]) -> Floats | None:
    """Return arrays as one; None where there are none."""
    return None if values[0] is None else np.stack([one for one in values if one is not None])


def _packed(content: bytes) -> str:
    """Return bytes as text, the same each time."""
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()


def _graph_in(page: str) -> bytes:
    found = re.search(r'<script type="text/plain" id="model">([^<]*)</script>', page)
    assert found is not None  # noqa: S101  (it was written so)
    return gzip.decompress(base64.b64decode(found[1]))


def _shown(manifest: Manifest, settings: Settings) -> dict[str, Any]:
    """Return what the script of a page knows."""
    noise = AddedNoise.of(manifest)
    return {
        "name": manifest.name,
        "class_names": manifest.class_names,
        "channels": manifest.image_channels,
        "background": manifest.preparation.background,
        "brightness": _doubts(manifest.brightness),
        "resize": manifest.preparation.resize if manifest.preparation.size_px else "none",
        "size_px": manifest.size_px,
        "max_pixels": max(1, int(MEMORY_MIB * 2**20 / manifest.bytes_per_pixel)),
        "noise": None if noise is None else noise.model_dump(),
        "target_ms": settings.target_ms,
        "runtime": find_web_runtime(settings.web_runtime).version,
        "metadata": facts_of(manifest),
    }


def _doubts(light: BrightnessRange | None) -> dict[str, Any] | None:
    """Return the brightness beyond which a label is doubtful, and what is said then."""
    if light is None:
        return None
    lowest, highest = light.limits
    sides = {"darker": light.doubt("darker"), "brighter": light.doubt("brighter")}
    return {"lowest": lowest, "highest": highest, **sides}


def _listed(manifest: Manifest) -> str:
    """Return the facts of a network as the items of a list."""
    origin = manifest.provenance
    facts = {
        "Classes": ", ".join(manifest.class_names),
        "Images": f"{manifest.colour}, {manifest.preparation.text}",
        "Noise": noise_text(manifest),
        "Brightness": manifest.brightness.text() if manifest.brightness else "",
        "Made": f"{origin.get('date', 'at an unknown time')}, Tapetum {manifest.tapetum_version}",
    }
    facts["Licences"] = ", ".join(
        f"{name}: {licence}" for name, licence in json.loads(facts_of(manifest)["licences"]).items()
    )
    return "".join(
        f"<dt>{name}</dt><dd>{html.escape(text)}</dd>" for name, text in facts.items() if text
    )
