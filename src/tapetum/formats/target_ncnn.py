"""ncnn's own files as a format: ``FILE.param`` with the layers, ``FILE.bin`` with the weights.

ncnn is a small runtime for phones and single-board computers. Its converter, pnnx, takes a graph
for images of one size, in which nothing depends on a size any more. ncnn has no place for metadata,
which stand in ``FILE.param.json``.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from tapetum.errors import MissingExtraError, PackageError, needs_extra
from tapetum.formats.target import Contents, Floats, Images, Outputs, Settings, Target
from tapetum.formats.target_onnx import image_lines, outputs_text, plain_graph
from tapetum.runtime import Manifest, Package

__all__ = ["NcnnTarget"]

_LONGEST_S = 600


class _NcnnRun:
    """A file in ncnn, on the processor."""

    def __init__(self, path: Path, threads: int, *, is_half: bool) -> None:
        ncnn = _ncnn()
        self.threads = threads
        self._mat, self._net = ncnn.Mat, ncnn.Net()
        options = self._net.opt
        options.num_threads = self.threads
        options.use_fp16_storage = options.use_fp16_arithmetic = is_half
        if self._net.load_param(str(path)) or self._net.load_model(str(path.with_suffix(".bin"))):
            raise PackageError("ncnn cannot load what pnnx wrote", "export the network as .onnx")
        self.runtime = f"ncnn {version('ncnn')}"

    def __call__(self, images: Floats, boxes: Floats | None) -> Outputs:
        """Run the file image by image; see :class:`tapetum.formats.target.Run`."""
        rows = [self._one(image) for image in images]
        found = [np.stack(one) for one in zip(*rows, strict=True)]
        denoised = next((one for one in found if one.ndim == 4), None)
        return Outputs(denoised, next((one for one in found if one.ndim == 2), None))

    def _one(self, image: Floats) -> list[Floats]:
        pixels = np.ascontiguousarray(image)  # ncnn reads this memory and does not own it
        with self._net.create_extractor() as extractor:
            extractor.input("in0", self._mat(pixels))
            names = self._net.output_names()
            return [np.array(extractor.extract(name)[1]) for name in sorted(names)]


class NcnnTarget(Target):
    """Two files for phones and single-board computers."""

    name = "ncnn"
    endings = (".param", ".bin")
    settings = frozenset(("fixed",))
    precisions = frozenset(("fp32", "fp16"))

    def require(self, settings: Settings) -> None:
        """Refuse without a size, ncnn or pnnx; see :class:`tapetum.formats.target.Target`."""
        settings.size_for("ncnn")
        _ncnn(), _pnnx()

    def contents(self, package: Package, settings: Settings, images: Images = ()) -> Contents:
        """Return layers and weights.

        Raises:
            PackageError: The network needs boxes, or pnnx does not know one of its layers.
        """
        manifest = package.manifest
        if manifest.labels == "boxes":
            problem = f"{manifest.name} classifies boxes, which pnnx does not convert"
            raise PackageError(problem, "export it as .onnx")
        graph = plain_graph(package, settings)
        with TemporaryDirectory() as folder:
            source = Path(folder) / "network.onnx"
            source.write_bytes(graph.SerializeToString())
            _convert(source, is_half=settings.precision == "fp16")
            return {
                ending: source.with_suffix(f".ncnn{ending}").read_bytes() for ending in self.endings
            }

    @contextmanager
    def opened(self, path: Path, settings: Settings, *, threads: int = 1) -> Iterator[_NcnnRun]:
        """Open the file in ncnn; only files in fp16 are computed so, where a processor can."""
        yield _NcnnRun(path, threads, is_half=settings.precision == "fp16")

    def snippet(self, name: str, manifest: Manifest, settings: Settings) -> list[str]:
        """Return lines for ncnn and Pillow."""
        weights = Path(name).with_suffix(".bin").name
        count = manifest.denoises + manifest.classifies
        is_half = settings.precision == "fp16"
        return [
            "import ncnn, numpy as np; from PIL import Image, ImageOps",
            "net = ncnn.Net()",
            f"net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = {is_half}",
            f'net.load_param("{name}"); net.load_model("{weights}"); run = net.create_extractor()',
            *image_lines(manifest, settings),
            'x = np.ascontiguousarray(x[0]); run.input("in0", ncnn.Mat(x))',
            f"{outputs_text(manifest)} = "
            f'(np.array(run.extract(f"out{{i}}")[1]) for i in range({count}))',
        ]


def _ncnn() -> Any:  # ncnn has no types
    with needs_extra("ncnn", "ncnn"):
        import ncnn
    return ncnn


def _pnnx() -> Path:
    """Return the converter, a program of its own; its module would load torch."""
    found = find_spec("pnnx")
    if found is None or found.origin is None:
        raise MissingExtraError.of("pnnx", "ncnn")
    return Path(found.origin).with_name("pnnx.exe" if os.name == "nt" else "pnnx")


def _convert(source: Path, *, is_half: bool) -> None:
    """Convert a graph; the files of ncnn lie beside it."""
    command = [str(_pnnx()), source.name, f"fp16={int(is_half)}"]
    done = subprocess.run(  # noqa: S603  (a program that the extra installed, and a name of ours)
        command, cwd=source.parent, capture_output=True, text=True, check=False, timeout=_LONGEST_S
    )
    if done.returncode or not source.with_suffix(".ncnn.param").is_file():
        lines = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        raise PackageError(f"pnnx cannot convert the network: {lines[-1]}", "export it as .onnx")
