"""LiteRT's file (once TensorFlow Lite) as a format: ``FILE.tflite``, for Android and small boards.

The converter reads a torch module, so the network is built from the weights of its package. It
pins older packages, so it has an environment of its own. In int8 LiteRT's quantiser gets ranges
from noisy images of the user, by default those of all numbers: a joint network lost 0.15 dB with
the moving averages that it would take itself, and nothing with these. The first layers, the last
ones with all that follows them, and the head of the classifier stay in float: another one lost 0.8
dB and 2.7 points in int8 alone, and so 0.01 dB and no point, in the same time.
"""

import json
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from tapetum.errors import MissingExtraError
from tapetum.formats.ranges import Numbers, RangeMethod
from tapetum.formats.target import (
    OF_INT8,
    Contents,
    Floats,
    Images,
    Outputs,
    Settings,
    Target,
    require_plain,
)
from tapetum.formats.target_onnx import image_lines, outputs_text
from tapetum.runtime import Manifest, Package, facts_of

__all__ = ["LiteRtTarget"]

_SIGNATURE = "serving_default"
_ENVIRONMENT = (
    "it pins older packages, so give it an environment of its own: python -m venv litert; "
    "litert/bin/pip install --upgrade pip; litert/bin/pip install '.[litert]'; and work with "
    "litert/bin/tapetum"
)


class _LiteRtRun:
    """A file in LiteRT, on the processor."""

    def __init__(self, path: Path, threads: int) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ModuleNotFoundError as error:
            problem = f"this needs LiteRT, and {error.name} is not installed"
            raise MissingExtraError(problem, _ENVIRONMENT) from error
        self.threads = threads
        self._run = Interpreter(str(path), num_threads=self.threads).get_signature_runner()
        self.runtime = f"LiteRT {version('ai-edge-litert')}"

    def __call__(self, images: Floats, boxes: Floats | None) -> Outputs:
        """Run the file; see :class:`tapetum.formats.target.Run`."""
        found = self._run(noisy=np.ascontiguousarray(images))
        return Outputs(found.get("denoised"), found.get("probabilities"))


class LiteRtTarget(Target):
    """One file for Android and small boards."""

    name = "litert"
    endings = (".tflite",)
    settings = frozenset(("fixed", "batch")) | OF_INT8
    precisions = frozenset(("fp32", "int8"))
    calibrates = "min-max"

    def require(self, settings: Settings) -> None:
        """Refuse without a size or the converter; see :class:`tapetum.formats.target.Target`."""
        settings.size_for("LiteRT")
        _converter()

    def contents(self, package: Package, settings: Settings, images: Images = ()) -> Contents:
        """Return the file, with its metadata.

        Raises:
            PackageError: The network needs boxes, or its weights are in int8 already.
        """
        manifest = package.manifest
        require_plain(manifest, "LiteRT")
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            content = _converted(package, settings)
            if settings.precision == "int8":
                content = _in_int8(content, manifest, settings, images)
            return {".tflite": _described(content, facts_of(manifest))}

    @contextmanager
    def opened(self, path: Path, settings: Settings, *, threads: int = 1) -> Iterator[_LiteRtRun]:
        """Open the file in LiteRT."""
        yield _LiteRtRun(path, threads)

    def snippet(self, name: str, manifest: Manifest, settings: Settings) -> list[str]:
        """Return lines for LiteRT's Python package and Pillow."""
        return [
            "import numpy as np; from PIL import Image, ImageOps",
            "from ai_edge_litert.interpreter import Interpreter",
            *image_lines(manifest, settings),
            f'found = Interpreter("{name}").get_signature_runner()(noisy=x)',
            f"{outputs_text(manifest)} = (found[name] for name in sorted(found))",
        ]


def _converter() -> Any:  # litert_torch has no types
    try:
        import ai_edge_quantizer  # noqa: F401
        import litert_torch
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"this needs the converter of LiteRT, and {error.name} is not installed",
            _ENVIRONMENT,
        ) from error
    return litert_torch


def _converted(package: Package, settings: Settings) -> bytes:
    """Return the file in fp32."""
    import torch

    from tapetum.formats.deployed import DeployedModule

    size = settings.size_for("LiteRT")
    shape = (settings.batch or 1, package.manifest.image_channels, *size)
    module = DeployedModule(package, size).eval()
    converted = _converter().convert(module, sample_kwargs={"noisy": torch.rand(shape)})
    with TemporaryDirectory() as folder:
        path = Path(folder) / "network.tflite"
        converted.export(str(path))
        return path.read_bytes()


def _in_int8(content: bytes, manifest: Manifest, settings: Settings, images: Images) -> bytes:
    """Return a file in int8, with ranges from noisy images."""
    from ai_edge_quantizer import quantizer, recipe
    from ai_edge_quantizer.qtyping import TFLOperationName as Operation

    feeds = [{"noisy": one} for one in images]
    work = quantizer.Quantizer(bytearray(content), recipe.static_wi8_ai8())
    kept = [(".*", Operation.INPUT), (".*", Operation.OUTPUT)]
    scopes = _in_float(manifest, float_ends=settings.float_ends)
    kept += [(scope, Operation.ALL_SUPPORTED) for scope in scopes]
    for scope, operation in kept:
        work.update_quantization_recipe(
            regex=scope, operation_name=operation, algorithm_key="no_quantize"
        )
    found = work.calibrate({_SIGNATURE: feeds[:1]})  # which values need a range
    asked = settings.calibration_method
    _set_ranges(found, content, feeds, "min-max" if asked == "auto" else asked)
    return bytes(work.quantize(found).quantized_model)


def _set_ranges(
    found: dict[str, Any], content: bytes, feeds: Iterable[dict[str, Floats]], method: RangeMethod
) -> None:
    """Replace the smallest and the largest number of each value by a range of a method."""
    from ai_edge_litert.interpreter import Interpreter

    opened = Interpreter(model_content=content, experimental_preserve_all_tensors=True)
    run, numbers = opened.get_signature_runner(), Numbers(np.random.default_rng(0))
    places = {tensor["name"]: tensor["index"] for tensor in opened.get_tensor_details()}
    for feed in feeds:
        run(**feed)
        for name in found:
            numbers.add(name, opened.get_tensor(places[name]))
    for name, limits in numbers.ranges(method).items():
        for end, limit in zip(("min", "max"), limits, strict=True):
            found[name][end] = np.full_like(found[name][end], limit)


def _in_float(manifest: Manifest, *, float_ends: bool) -> Iterator[str]:
    """Yield the scopes of the first and the last layers where they stay, and of what follows."""
    yield from (".*Network_network;.*", ".*DeployedModule;.*", f"{_SIGNATURE}_.*")
    yield r".*Classifier_classifier(;|/torch\.nn\.modules\.linear).*"
    if not float_ends:
        return
    decoder = manifest.architecture.decoder
    first = "Encoder_encoder" if decoder is not None else "Classifier_classifier"
    yield rf".*{first}/.*?/[^/]*_0/.*" if decoder is None else rf".*{first}/[^/]*_0/[^/]*_0/.*"
    if decoder is not None:
        last = len(decoder.levels) - 1
        yield ".*Decoder_decoder/[^/]*_output/.*" if decoder.output else f".*DecoderLevel_{last}/.*"


def _described(content: bytes, facts: Mapping[str, str]) -> bytes:
    """Return a file with metadata as JSON, under the name ``tapetum``."""
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = list(json.dumps(facts, ensure_ascii=False).encode())
    entry.name, entry.buffer = "tapetum", len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))
