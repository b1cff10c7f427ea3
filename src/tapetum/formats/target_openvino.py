"""OpenVINO's own files as a format: ``FILE.xml`` with the layers, ``FILE.bin`` with the weights.

The plain graph is read by OpenVINO, with the preparation of images inside. In int8 it has the
nodes of :mod:`tapetum.graph.quantise`, from which OpenVINO computes in int8 too: a joint network
lost 0.03 dB so, and 2.2 dB by NNCF with its defaults or with the first and last layer in float, at
the same speed. What the rest is computed in is said when a file is opened, not in the file. The
default is bf16 where a processor has it, so that the snippet and the proof state what is meant.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from tapetum.errors import InputError
from tapetum.formats.target import OF_INT8, Contents, Floats, Images, Outputs, Settings, Target
from tapetum.formats.target_onnx import feeds_text, image_lines, outputs_text, plain_graph
from tapetum.latency import load_openvino
from tapetum.runtime import Manifest, Package, facts_of

__all__ = ["OpenVinoTarget"]


def _hint(settings: Settings) -> str:
    """Return what OpenVINO is told to compute in."""
    return "bf16" if settings.precision == "bf16" else "f32"


class _OpenVinoRun:
    """A file in OpenVINO, on the processor."""

    def __init__(self, path: Path, hint: str, threads: int) -> None:
        openvino = load_openvino()
        self.threads = threads
        self._network = openvino.Core().compile_model(
            path,
            "CPU",
            {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1},
        )
        found = self._network.get_property("INFERENCE_PRECISION_HINT").to_string()
        if found != hint:
            raise InputError(
                f"OpenVINO computes in {found} on this processor, and {hint} was asked for",
                "choose --precision fp32",
            )
        self._request = self._network.create_infer_request()
        self.runtime = f"OpenVINO {str(openvino.__version__).split('-')[0]} ({hint})"

    def __call__(self, images: Floats, boxes: Floats | None) -> Outputs:
        """Run the file; see :class:`tapetum.formats.target.Run`."""
        feeds = {"noisy": np.ascontiguousarray(images)}
        if boxes is not None:
            feeds["boxes"] = boxes
        answer = self._request.infer(feeds, share_inputs=True)
        found = {port.get_any_name(): value for port, value in answer.items()}
        return Outputs(found.get("denoised"), found.get("probabilities"))


class OpenVinoTarget(Target):
    """Two files for Intel processors, and others that OpenVINO runs on."""

    name = "openvino"
    endings = (".xml", ".bin")
    settings = frozenset(("fixed", "batch")) | OF_INT8
    precisions = frozenset(("fp32", "fp16", "bf16", "int8"))

    def require(self, settings: Settings) -> None:
        """Refuse where OpenVINO is missing; see :class:`tapetum.formats.target.Target`."""
        load_openvino()

    def contents(self, package: Package, settings: Settings, images: Images = ()) -> Contents:
        """Return layers and weights; the metadata stand among the layers, under ``tapetum``."""
        openvino = load_openvino()
        graph = plain_graph(package, settings).SerializeToString()
        model: Any = openvino.Core().read_model(graph)
        for key, text in facts_of(package.manifest).items():
            model.set_rt_info(text, ["tapetum", key])
        with TemporaryDirectory() as folder:
            path = Path(folder) / "network.xml"
            openvino.save_model(model, path, compress_to_fp16=settings.precision == "fp16")
            return {ending: path.with_suffix(ending).read_bytes() for ending in self.endings}

    @contextmanager
    def opened(self, path: Path, settings: Settings, *, threads: int = 1) -> Iterator[_OpenVinoRun]:
        """Open the file in OpenVINO."""
        yield _OpenVinoRun(path, _hint(settings), threads)

    def snippet(self, name: str, manifest: Manifest, settings: Settings) -> list[str]:
        """Return lines for OpenVINO and Pillow."""
        options = f'{{"INFERENCE_PRECISION_HINT": "{_hint(settings)}"}}'
        return [
            "import numpy as np, openvino as ov; from PIL import Image, ImageOps",
            *image_lines(manifest, settings),
            f'{outputs_text(manifest)} = ov.Core().compile_model("{name}", "CPU", {options})'
            f"({feeds_text(manifest)}).values()",
        ]
