"""The plain ONNX graph as a format, and what others that start from it share."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx

from tapetum.formats.lowering import folded, lowered
from tapetum.formats.standalone import standalone_graph
from tapetum.formats.target import OF_INT8, Contents, Floats, Images, Outputs, Settings, Target
from tapetum.runtime import GraphSession, Manifest, Package

__all__ = ["GraphRun", "OnnxTarget", "feeds_text", "image_lines", "outputs_text", "plain_graph"]


def plain_graph(package: Package, settings: Settings) -> onnx.ModelProto:
    """Return the plain graph of a package in the operators and the size that a user settled."""
    model = standalone_graph(package, settings.fixed)
    if settings.opset is not None:
        model = lowered(model, settings.opset)
    sizes = {} if settings.batch is None else {"n": settings.batch}
    if settings.fixed is not None:
        height, width = settings.fixed
        sizes = {"n": 1, **sizes, "height": height, "width": width}
    return folded(model, sizes) if sizes else model


def image_lines(manifest: Manifest, settings: Settings) -> list[str]:
    """Return lines of a snippet that read an image file as the array ``x``, as Tapetum does.

    It is turned upright. Transparent pixels are over the background, and grey files of more than 8
    bits are divided by their white; Pillow reads colours in 8 bits, which RGB networks get of all.
    """
    preparation = manifest.preparation
    height, width = settings.fixed or (None, None)
    resize = "" if height is None else f".resize(({width}, {height}), Image.BILINEAR)"
    whites = f'{{"I": {preparation.white or 65535:g}, "F": {preparation.white or 1:g}}}'
    opened = [
        'image = ImageOps.exif_transpose(Image.open("IMAGE"))',
        f"white = {whites}.get(image.mode[0])",
    ]
    behind = f'Image.new("RGBA", image.size, ({round(255 * preparation.background)},) * 3)'
    composed = f'image = Image.alpha_composite({behind}, image.convert("RGBA"))'
    if manifest.image_channels == 1:
        values = f'np.asarray(image.convert("F"){resize}, np.float32)[None, None]'
        return [
            *opened,
            f'if not white: {composed}.convert("L")',
            f"x = ({values} / (white or 255)).clip(0, 1)",
        ]
    return [
        *opened,
        'if white: image = image.convert("F").point(lambda v: v * (255 / white) + 0.5)',
        f'{composed}.convert("RGB")',
        f"x = np.asarray(image{resize}, np.float32).transpose(2, 0, 1)[None] / 255",
    ]


def outputs_text(manifest: Manifest) -> str:
    """Return the left side of an assignment of the outputs."""
    names = ["denoised"] * manifest.denoises + ["probabilities"] * manifest.classifies
    return ", ".join(names) + "," * (len(names) == 1)


def feeds_text(manifest: Manifest) -> str:
    """Return the inputs by their names, with a box where boxes are classified."""
    boxes = ', "boxes": np.float32([[[10, 12, 38, 40]]])' if manifest.labels == "boxes" else ""
    return f'{{"noisy": x{boxes}}}'


class GraphRun:
    """A plain graph in ONNX Runtime.

    Args:
        content: The serialised graph.
        threads: Inference threads.
    """

    def __init__(self, content: bytes, threads: int = 1) -> None:
        self.threads = threads
        self._session = GraphSession(content, threads=self.threads)
        self.runtime = f"onnxruntime {version('onnxruntime')}"

    def __call__(self, images: Floats, boxes: Floats | None) -> Outputs:
        """Run the graph; see :class:`tapetum.formats.target.Run`."""
        names, given = self._session.output_names, {"noisy": np.ascontiguousarray(images)}
        if boxes is not None:
            given["boxes"] = boxes
        feeds = {name: given[name] for name in self._session.input_names}
        found = dict(zip(names, self._session.run(names, feeds), strict=True))
        return Outputs(found.get("denoised"), found.get("probabilities"))


class OnnxTarget(Target):
    """One graph with the preparation of images inside, for any runtime."""

    name = "onnx"
    endings = (".onnx",)
    settings = frozenset(("fixed", "batch", "opset")) | OF_INT8
    precisions = frozenset(("fp32", "int8"))

    def require(self, settings: Settings) -> None:
        """Nothing is needed; see :class:`tapetum.formats.target.Target`."""

    def contents(self, package: Package, settings: Settings, images: Images = ()) -> Contents:
        """Return the serialised graph."""
        return {".onnx": plain_graph(package, settings).SerializeToString(deterministic=True)}

    @contextmanager
    def opened(self, path: Path, settings: Settings, *, threads: int = 1) -> Iterator[GraphRun]:
        """Open the file in ONNX Runtime."""
        yield GraphRun(path.read_bytes(), threads)

    def snippet(self, name: str, manifest: Manifest, settings: Settings) -> list[str]:
        """Return lines for ONNX Runtime and Pillow."""
        return [
            "import numpy as np, onnxruntime as ort; from PIL import Image, ImageOps",
            *image_lines(manifest, settings),
            f'{outputs_text(manifest)} = ort.InferenceSession("{name}")'
            f".run(None, {feeds_text(manifest)})",
        ]
