"""ExecuTorch's program as a format: ``FILE.pte``, for apps on phones and small boards.

ExecuTorch is PyTorch's runtime for devices. Its converter reads a torch module, so the network is
built from the weights of its package. XNNPACK computes most layers; what it does not know, such as
nearest upsampling, ExecuTorch's own kernels compute. In int8 the ranges come from the quantiser of
XNNPACK, on noisy images of the user. As in LiteRT, the first layers, the last ones with all that
follows them, and the head of the classifier stay in float.
"""

import json
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tapetum.errors import PackageError, needs_extra
from tapetum.formats.target import (
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

__all__ = ["ExecuTorchTarget"]


class _ExecuTorchRun:
    """A program in ExecuTorch, on the processor.

    The programs of a process share its threads, and each keeps those that it was loaded with. So a
    program is loaded again after another one has changed their number.
    """

    _changes: ClassVar[int] = 0

    def __init__(self, path: Path, threads: int) -> None:
        self.threads, self._content = threads, path.read_bytes()
        self._loaded_after = -1
        self._load()
        self.runtime = f"ExecuTorch {version('executorch')}"

    def __call__(self, images: Floats, boxes: Floats | None) -> Outputs:
        """Run the program; see :class:`tapetum.formats.target.Run`."""
        import torch

        self._load()
        given = torch.from_numpy(np.ascontiguousarray(images))
        found = [one.numpy() for one in self._method.execute([given])]
        denoised = next((one for one in found if one.ndim == 4), None)
        return Outputs(denoised, next((one for one in found if one.ndim == 2), None))

    def _load(self) -> None:
        """Set the threads, and load the program where it has others."""
        from executorch.extension.pybindings import portable_lib
        from executorch.runtime import Runtime

        if portable_lib._threadpool_get_thread_count() != self.threads:
            portable_lib._unsafe_reset_threadpool(self.threads)
            _ExecuTorchRun._changes += 1
        if self._loaded_after == self._changes:
            return
        try:
            self._method = Runtime.get().load_program(self._content).load_method("forward")
        except RuntimeError as error:  # XNNPACK refuses some graphs only when it loads them
            raise PackageError(f"ExecuTorch: {error}", "export the network as .onnx") from error
        self._loaded_after = self._changes


class ExecuTorchTarget(Target):
    """One program for apps on phones and small boards."""

    name = "executorch"
    endings = (".pte",)
    settings = frozenset(("fixed", "batch", "float_ends"))
    precisions = frozenset(("fp32", "int8"))
    calibrates = "XNNPACK's quantiser"

    def require(self, settings: Settings) -> None:
        """Refuse without a size or ExecuTorch; see :class:`tapetum.formats.target.Target`."""
        settings.size_for("ExecuTorch")
        _require_executorch()

    def contents(self, package: Package, settings: Settings, images: Images = ()) -> Contents:
        """Return the program, with its metadata as the answer of a method ``tapetum``.

        Raises:
            PackageError: The network needs boxes, or its weights are in int8 already.
        """
        manifest = package.manifest
        require_plain(manifest, "ExecuTorch")
        with _quiet():
            return {".pte": _converted(package, settings, images)}

    @contextmanager
    def opened(
        self, path: Path, settings: Settings, *, threads: int = 1
    ) -> Iterator[_ExecuTorchRun]:
        """Open the program in ExecuTorch."""
        _require_executorch()
        with _quiet():
            run = _ExecuTorchRun(path, threads)
        yield run

    def snippet(self, name: str, manifest: Manifest, settings: Settings) -> list[str]:
        """Return lines for ExecuTorch's Python package, which needs torch, and Pillow."""
        return [
            "import numpy as np, torch; from PIL import Image, ImageOps",
            "from executorch.runtime import Runtime",
            *image_lines(manifest, settings),
            "x = torch.from_numpy(np.ascontiguousarray(x))",
            f'run = Runtime.get().load_program("{name}").load_method("forward")',
            f"{outputs_text(manifest)} = (one.numpy() for one in run.execute([x]))",
        ]


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide warnings about interfaces, and what the libraries in C++ write to standard error."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _require_executorch() -> None:
    with needs_extra("executorch"), _quiet():
        import executorch.exir  # noqa: F401


def _converted(package: Package, settings: Settings, images: Images) -> bytes:
    """Return a program, in int8 where that was settled."""
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    from tapetum.formats.deployed import DeployedModule

    size, count = settings.size_for("ExecuTorch"), settings.batch or 1
    example = (torch.rand(count, package.manifest.image_channels, *size),)
    exported = torch.export.export(DeployedModule(package, size).eval(), example)
    if settings.precision == "int8":
        kept = tuple(_in_float(package.manifest, float_ends=settings.float_ends))
        lowered = _in_int8(exported.module(), kept, map(torch.from_numpy, images))
        exported = torch.export.export(lowered, example)
    facts = json.dumps(facts_of(package.manifest), ensure_ascii=False)
    program = to_edge_transform_and_lower(
        exported, partitioner=[XnnpackPartitioner()], constant_methods={"tapetum": facts}
    )
    return bytes(program.to_executorch().buffer)


def _in_int8(module: Any, kept: tuple[str, ...], feeds: Iterable[Any]) -> Any:
    """Return a traced module in int8 but for some parts, with ranges from noisy images."""
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    def is_lowered(node: Any) -> bool:
        """Whether a node is a weight, or computed in a block and not between the parts."""
        names: list[str] = [name for name, _ in node.meta.get("nn_module_stack", {}).values()]
        return not names or (names[-1].count(".") > 1 and not f"{names[-1]}.".startswith(kept))

    quantiser = XNNPACKQuantizer().set_filter_function(is_lowered)
    quantiser.set_global(get_symmetric_quantization_config(is_per_channel=True))
    observed = prepare_pt2e(module, quantiser)
    for feed in feeds:
        observed(feed)
    return convert_pt2e(observed)


def _in_float(manifest: Manifest, *, float_ends: bool) -> Iterator[str]:
    """Yield the beginnings of names: of the classifier's head, and of the ends where they stay."""
    decoder = manifest.architecture.decoder
    yield from ("network.classifier.hidden.", "network.classifier.linear.")
    if float_ends:
        yield "network.classifier.blocks.0." if decoder is None else "network.encoder.levels.0.0."
    if float_ends and decoder is not None:
        last = f"levels.{len(decoder.levels) - 1}"
        yield f"network.decoder.{'output' if decoder.output else last}."
