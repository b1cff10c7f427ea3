"""Start a training from the weights of a run or a package, also for other classes or sizes."""

import hashlib
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import onnx
import torch
from torch import Tensor, nn

from tapetum.arch import Architecture, Shape, shape_of
from tapetum.data import Dataset
from tapetum.errors import InputError, RunError
from tapetum.graph import unfold_weights
from tapetum.images import display_name
from tapetum.jobs.choose import require_network, say
from tapetum.nn import TrainableNetwork
from tapetum.progress import shown_path
from tapetum.runtime import open_package
from tapetum.training import RUNS, Batch, Compute, Recipe, Start, load_network

__all__ = ["Source", "open_source", "start_from"]

NUM_BATCHES = 8  # to learn the scales of a package's features from
COUNTER = "num_batches_tracked"  # of a batch normalisation; nothing depends on it
LAST = "classifier.linear"  # the layer whose outputs are the classes


class Source(NamedTuple):
    """A trained network to start from.

    Attributes:
        name: Name of the folder of the run, or of the package.
        sha256: Digest of its weights, in hexadecimal.
        architecture: The architecture.
        class_names: The name of each logit.
        weights: The weights, by name.
        is_folded: Whether batch normalisations lost their scales, as in a package.
        origin: Name, version, digest and licence of the weights of others in it; empty for none.
    """

    name: str
    sha256: str
    architecture: Architecture
    class_names: tuple[str, ...]
    weights: dict[str, Tensor]
    is_folded: bool
    origin: Mapping[str, str]

    @property
    def shape(self) -> Shape:
        """The shape of the architecture.

        Raises:
            InputError: It has none, so that no fit trains such a network.
        """
        shape = shape_of(self.architecture)
        if shape is None:
            raise InputError(
                f"{self.name} is no network that a fit can train: {self.architecture.name} is not "
                "made of the blocks that it chooses from",
                "leave --start out, or train it further with 'tapetum train --start'",
            )
        return shape

    def has_layers_of(self, architecture: Architecture) -> bool:
        """Return whether this is the same network, apart from images, branch and classes."""
        shape = shape_of(architecture)
        return shape is not None and self.shape == shape.model_copy(
            update={"branch": self.shape.branch}
        )

    def suited(self, dataset: Dataset) -> Architecture:
        """Return the architecture with as many classes as a dataset has.

        A network that also denoises has no classifier where there are none.
        """
        architecture, count = self.architecture, len(dataset.info.class_names)
        classifier = architecture.classifier
        if classifier is None or count == classifier.num_classes:
            return architecture
        if not count and architecture.decoder is None:
            return architecture  # refused later, with the reason
        if not count:
            say(f"these images have no labels, so the classifier of {self.name} is left out")
        changed = classifier.model_copy(update={"num_classes": count}) if count else None
        return architecture.model_copy(update={"classifier": changed})


def open_source(path: str | Path) -> Source:
    """Open the folder of a finished run or fit, or a package in fp32."""
    from tapetum.jobs.fit_result import run_at  # imports this module

    path = Path(path)
    require_network(path)
    return _run(run_at(path)) if path.is_dir() else _package(path)


def _name(path: Path) -> str:
    return display_name(Path(path.resolve().name))


def _run(path: Path) -> Source:
    RUNS.require_finished(path)
    request = RUNS.open(path).request
    if not isinstance(request.architecture, Architecture):
        name = request.architecture.name
        raise RunError(f"{path} was trained from a module, {name}", "start from another run")
    weights = load_network(path).state_dict()
    digest = hashlib.sha256((path / "weights.safetensors").read_bytes()).hexdigest()
    names = request.class_names
    origin = {} if request.start is None else request.start.origin
    return Source(_name(path), digest, request.architecture, names, weights, False, origin)


def _package(path: Path) -> Source:
    package = open_package(path)
    manifest = package.manifest
    if manifest.precision != "fp32":
        raise InputError(
            f"the weights in {shown_path(path)} are rounded to {manifest.precision}",
            "start from the run that it was exported from, or from a package in fp32",
        )
    graph = onnx.load_model_from_string(package.graph_bytes).graph
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    arrays = unfold_weights(manifest.architecture, constants)
    weights = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
    names, digest = manifest.class_names, manifest.graph_sha256
    origin = manifest.pretrained
    return Source(_name(path), digest, manifest.architecture, names, weights, True, origin)


def start_from(
    network: TrainableNetwork, source: Source, dataset: Dataset, recipe: Recipe
) -> Start:
    """Take all layers of the source that have the same name and shape, and say which.

    The last layer is taken only where the classes are the same.

    Returns:
        What was taken and what was not.
    """
    state = network.state_dict()
    theirs, mine = _layers(source.weights), _layers(state)
    if tuple(dataset.info.class_names) != source.class_names:
        theirs.pop(LAST, None)
    taken = {
        path: values
        for path, values in theirs.items()
        if _shapes(values) == _shapes(mine.get(path, {}))
    }
    if not taken:
        raise InputError(
            f"no layer of {source.name} fits {network.architecture.name}",
            "leave out the name of the architecture, or choose another --start",
        )
    for values in taken.values():
        state |= values
    network.load_state_dict(state)
    if source.is_folded:
        compute, images = Compute(), dataset.train.augmented(recipe.augmentation)
        batches = compute.batches(recipe, images, 0, alone=True)
        network.to(compute.device).eval()
        _rescale(network, set(taken), islice(batches, NUM_BATCHES))
    start = Start(
        source=source.name,
        sha256=source.sha256,
        taken=tuple(taken),
        fresh=tuple(path for path in mine if path not in taken),
        inherited=dict(source.origin),
    )
    say(start.describe())
    return start


def _layers(weights: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Return the weights by layer; a convolution and its normalisation are one."""
    layers: dict[str, dict[str, Tensor]] = {}
    for name, value in weights.items():
        if not name.endswith(COUNTER):
            path = name.rpartition(".")[0].removesuffix(".conv").removesuffix(".norm")
            layers.setdefault(path, {})[name] = value
    return layers


def _shapes(values: dict[str, Tensor]) -> dict[str, Any]:
    return {name: value.shape for name, value in values.items()}


@torch.no_grad()
def _rescale(network: nn.Module, paths: set[str], batches: Iterable[Batch]) -> None:
    """Give batch normalisations the statistics of their inputs, with the same outputs.

    In training they will divide by these, and have to multiply by as much. Afterwards the network
    is on the CPU: Apple's GPU has no float64.
    """
    norms = {
        path: module
        for path, module in network.named_modules()
        if isinstance(module, nn.BatchNorm2d) and path.removesuffix(".norm") in paths
    }
    sums: dict[str, list[Tensor]] = {path: [] for path in norms}

    def watch(path: str) -> Any:
        def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:  # noqa: ARG001
            x = inputs[0].cpu().double()
            sums[path].append(torch.stack([x.mean((0, 2, 3)), x.square().mean((0, 2, 3))]))

        return note

    handles = [norm.register_forward_pre_hook(watch(path)) for path, norm in norms.items()]
    for batch in batches:
        network(batch.noisy, batch.boxes)
    for handle in handles:
        handle.remove()
    network.to("cpu")
    for path, norm in norms.items():
        _give_statistics(norm, *torch.stack(sums[path]).mean(0))


def _give_statistics(norm: nn.BatchNorm2d, mean: Tensor, square: Tensor) -> None:
    """Set mean and variance of a normalisation so that what it computes stays the same."""
    assert norm.running_mean is not None and norm.running_var is not None  # noqa: S101, PT018
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    shift = norm.bias.double() - norm.running_mean.double() * scale
    variance = (square - mean.square()).clamp_min(0)
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
    norm.weight.copy_(scale * (variance + norm.eps).sqrt())
    norm.bias.copy_(shift + mean * scale)
