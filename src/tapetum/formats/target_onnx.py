"""The plain ONNX graph as a format."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tapetum.formats.lowering import folded, lowered
from tapetum.formats.standalone import standalone_graph
from tapetum.formats.target import Outputs, Settings
from tapetum.runtime import GraphSession, Manifest, Package, Precision

__all__ = ["GraphRun", "OnnxTarget"]

_Floats = NDArray[np.float32]


class GraphRun:
    """A plain graph in ONNX Runtime.

    Args:
        content: The serialised graph.
    """

    def __init__(self, content: bytes) -> None:
        self._session = GraphSession(content)
        self.runtime = f"onnxruntime {version('onnxruntime')}"

    def __call__(self, images: _Floats, boxes: _Floats | None) -> Outputs:
        """Run the graph; see :class:`tapetum.formats.target.Run`."""
        names, given = self._session.output_names, {"noisy": np.ascontiguousarray(images)}
        if boxes is not None:
            given["boxes"] = boxes
        feeds = {name: given[name] for name in self._session.input_names}
        found = dict(zip(names, self._session.run(names, feeds), strict=True))
        return Outputs(found.get("denoised"), found.get("probabilities"))


class OnnxTarget:
    """One graph with the preparation of images inside, for any runtime."""

    name: ClassVar[str] = "onnx"
    endings: ClassVar[tuple[str, ...]] = (".onnx",)
    settings: ClassVar[frozenset[str]] = frozenset(("fixed", "batch", "opset"))

    precisions: ClassVar[frozenset[Precision]] = frozenset(("fp32",))

    def require(self, settings: Settings) -> None:
        """Nothing is needed; see :class:`tapetum.formats.target.Target`."""

    def contents(self, package: Package, settings: Settings) -> Mapping[str, bytes]:
        """Return the serialised graph."""
        model = standalone_graph(package)
        if settings.opset is not None:
            model = lowered(model, settings.opset)
        sizes = {} if settings.batch is None else {"n": settings.batch}
        if settings.fixed is not None:
            height, width = settings.fixed
            sizes = {"n": 1, **sizes, "height": height, "width": width}
        if sizes:
            model = folded(model, sizes)
        return {".onnx": model.SerializeToString(deterministic=True)}

    @contextmanager
    def opened(self, path: Path) -> Iterator[GraphRun]:
        """Open the file in ONNX Runtime."""
        yield GraphRun(path.read_bytes())

    def snippet(self, name: str, manifest: Manifest, settings: Settings) -> str:
        """Return lines for ONNX Runtime and Pillow."""
        mode, transpose = (
            ("L", "[None, None]")
            if manifest.image_channels == 1
            else (
                "RGB",
                ".transpose(2, 0, 1)[None]",
            )
        )
        height, width = settings.fixed or (None, None)
        resize = "" if height is None else f".resize(({width}, {height}))"
        feeds = (
            '{"noisy": x}'
            if manifest.labels != "boxes"
            else ('{"noisy": x, "boxes": np.float32([[[10, 12, 38, 40]]])}')
        )
        names = ["denoised"] * manifest.denoises + ["probabilities"] * manifest.classifies
        lines = [
            "import numpy as np, onnxruntime as ort; from PIL import Image",
            f'session = ort.InferenceSession("{name}")',
            f'image = Image.open("IMAGE").convert("{mode}"){resize}',
            f"x = np.asarray(image, np.float32){transpose} / 255",
            f"{', '.join(names)}{',' * (len(names) == 1)} = session.run(None, {feeds})",
        ]
        return "\n".join(lines) + "\n"
