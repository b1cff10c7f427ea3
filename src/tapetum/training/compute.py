r"""Where a training computes: the device, and the processes that train as one.

``torchrun --nproc_per_node 2 -m tapetum train ...`` starts two processes.  Each one sees its share
of every batch, and Accelerate averages their gradients.  Batch normalisation needs the mean and the
variance of the whole batch,

.. math::
    \mu = \frac{1}{N} \sum_r \sum_i x_{r,i}, \qquad
    \sigma^2 = \frac{1}{N} \sum_r \sum_i (x_{r,i} - \mu)^2

over all processes :math:`r`.  torch has such a layer for CUDA only; :class:`SharedBatchNorm2d` is
the one for CPUs.  With it, two processes end with the weights of one process that has the same
global batch.

References:
    | Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift
    | (Ioffe & Szegedy, 2015), https://arxiv.org/abs/1502.03167
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from accelerate import Accelerator, PartialState
from accelerate.utils import DistributedDataParallelKwargs, broadcast_object_list
from jaxtyping import Float
from torch import Tensor, nn

from tapetum.data import ImageDataset
from tapetum.errors import TrainingError
from tapetum.nn import RowBatchNorm2d, first_channels
from tapetum.records import Folder, FolderKind, Record
from tapetum.training.batches import Batch, training_batches
from tapetum.training.process import prepare_process
from tapetum.training.recipe import BaseRecipe
from tapetum.training.threads import ThreadGovernor

__all__ = ["Compute", "SharedBatchNorm2d", "is_main_process"]

Q = TypeVar("Q", bound=Record)
R = TypeVar("R", bound=Record)


class Compute:
    """The device of this process, and the processes that share each batch.

    Mixed precision of Accelerate stays off: it is fixed for a whole process, while each recipe has
    its own.

    Attributes:
        accelerator: Accelerate's view of this process.
        device: Where networks are trained.
        num_processes: Number of processes that train together.
        rank: Number of this process, from 0.
        is_main: Whether this process writes files.
        process: How this process computes; it is prepared for training.
        governor: Chooses the number of threads beside a busy neighbour.
    """

    def __init__(self) -> None:
        self.process = prepare_process()
        _processes()
        gradients = DistributedDataParallelKwargs(gradient_as_bucket_view=True)
        self.accelerator = Accelerator(
            cpu=not torch.accelerator.is_available(),
            mixed_precision="no",
            kwargs_handlers=[gradients],
        )
        self.device: torch.device = self.accelerator.device
        self.governor = ThreadGovernor.of_process(self.device)
        self.num_processes = int(self.accelerator.num_processes)
        self.rank = int(self.accelerator.process_index)
        self.is_main = bool(self.accelerator.is_main_process)

    @contextmanager
    def work(
        self, kind: FolderKind[Q, R], path: Path, request: Q, **options: bool
    ) -> Iterator[Folder[Q, R]]:
        """Start or continue a folder as ``kind.work`` does; only the main process writes."""
        with kind.work(path, request, **options) if self.is_main else nullcontext():
            self.wait()
            yield kind.open(path)

    def mean(self, values: Mapping[str, Tensor | float]) -> dict[str, float]:
        """Return the mean of each value over the processes; every process gets the same."""
        row = [torch.as_tensor(v, device=self.device).float().detach() for v in values.values()]
        means: Tensor = self.accelerator.reduce(torch.stack(row), "mean")
        return dict(zip(values, means.tolist(), strict=True))

    def any(self, flag: bool) -> bool:
        """Return whether the flag is set in any process."""
        return flag if self.num_processes == 1 else self.mean({"flag": flag})["flag"] > 0

    def of_main(self, value: float) -> float:
        """Return the value of the main process, exactly."""
        if self.num_processes > 1:
            values = [value]
            broadcast_object_list(values)
            value = values[0]
        return value

    def wait(self) -> None:
        """Wait for all processes."""
        self.accelerator.wait_for_everyone()

    def wait_for_device(self) -> None:
        """Wait until the device has done what is queued, before a clock is read."""
        if self.device.type != "cpu":
            torch.accelerator.synchronize()

    def batches(
        self,
        recipe: BaseRecipe,
        images: ImageDataset,
        epoch: int,
        *,
        first_step: int = 0,
        seed: int | None = None,
        alone: bool = False,
    ) -> Iterator[Batch]:
        """Return an epoch's batches on the device: this process's shares, or all if ``alone``.

        The arguments are those of :func:`~tapetum.training.training_batches`; the seed is by
        default that of the recipe.
        """
        shares = training_batches(
            images,
            recipe.noise,
            batch_size=recipe.batch_size,
            seed=recipe.seed if seed is None else seed,
            epoch=epoch,
            first_step=first_step,
            rank=0 if alone else self.rank,
            world_size=1 if alone else self.num_processes,
            weights=recipe.sampling_weights,
        )
        return (self.move(share, channels_last=recipe.channels_last) for share in shares)

    def move(self, batch: Batch, *, channels_last: bool) -> Batch:
        """Return the batch on the device, its images in one of two orders of values."""
        moved = Batch._make(None if value is None else self._move(value) for value in batch)
        if not channels_last:
            return moved
        noisy, clean = (x.contiguous(memory_format=torch.channels_last) for x in moved[:2])
        return moved._replace(noisy=noisy, clean=clean)

    def _move(self, tensor: Tensor) -> Tensor:
        can_pin = self.device.type == "cuda"
        if can_pin:
            tensor = tensor.pin_memory()  # without it a copy cannot overlap with the computation
        # MPS would read memory of other tensors that was freed meanwhile (pytorch #139550).
        return tensor.to(self.device, non_blocking=can_pin)

    def share_gradients(self, module: nn.Module) -> None:
        """Replace each gradient by its mean over the processes.

        The same weights must have gradients in every process.
        """
        if self.num_processes == 1:
            return
        gradients = [weight.grad for weight in module.parameters() if weight.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        sizes = [gradient.numel() for gradient in gradients]
        means = self.accelerator.reduce(flat, "mean").split(sizes)
        for gradient, mean in zip(gradients, means, strict=True):
            gradient.copy_(mean.view_as(gradient))

    def share_batch_norms(self, network: nn.Module, *, are_narrowed: bool = False) -> None:
        """Make every batch norm see the batches of all processes; parameter names stay.

        Torch's own layer for CUDA refuses fewer channels than it has: such layers ``are_narrowed``.
        """
        if self.num_processes == 1:
            return
        if self.device.type == "cuda" and not are_narrowed:
            nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
            return
        for module in list(network.modules()):
            for name, child in module.named_children():
                if isinstance(child, nn.BatchNorm2d):
                    module.register_module(name, SharedBatchNorm2d.like(child))


def is_main_process() -> bool:
    """Return whether this process writes files; true where there is only one."""
    return bool(_processes().is_main_process)


def _processes() -> PartialState:
    """Return the processes of this training.

    Without ``cpu`` Accelerate takes processes that have no CUDA for separate trainings and says
    nothing: hence the check.
    """
    processes = PartialState(cpu=not torch.accelerator.is_available())
    started = int(os.environ.get("WORLD_SIZE", "1")) if "LOCAL_RANK" in os.environ else 1
    if processes.num_processes != started:
        raise TrainingError(
            f"{started} processes were started but {processes.num_processes} train together",
            "start them with 'torchrun --nproc_per_node N'",
        )
    return processes


class SharedBatchNorm2d(RowBatchNorm2d):
    """Batch normalisation with the statistics of all processes; each has an equal share."""

    @classmethod
    def like(cls, norm: nn.BatchNorm2d) -> "SharedBatchNorm2d":
        """Return a shared layer with the parameters, statistics and settings of ``norm``."""
        shared = cls(norm.num_features, eps=norm.eps, momentum=norm.momentum, affine=norm.affine)
        shared._parameters = norm._parameters.copy()
        shared._buffers = norm._buffers.copy()  # also a scale that is a constant
        return shared.train(norm.training)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Normalise by the whole batch in training, by the running statistics otherwise."""
        if not self.training:
            return super().forward(x)
        count = x.numel() // x.shape[1] * dist.get_world_size()
        # Half precision would lose the statistics.
        values = x.to(torch.promote_types(x.dtype, torch.float32))
        mean = _sum_over_processes(values.sum((0, 2, 3))) / count
        centred = values - mean[:, None, None]
        variance = _sum_over_processes(centred.square().sum((0, 2, 3))) / count
        self._remember(mean.detach(), variance.detach(), count=count)
        scale = torch.rsqrt(variance + self.eps) * first_channels(self.weight, x)
        shift = first_channels(self.bias, x)
        return (centred * scale[:, None, None] + shift[:, None, None]).to(x.dtype)


class _SumOverProcesses(torch.autograd.Function):
    """Sum a tensor, and its gradient, over all processes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ARG004 - torch's signature
        total = x.clone()
        dist.all_reduce(total)
        return total

    backward = forward  # the gradient is summed in the same way


def _sum_over_processes(x: Tensor) -> Tensor:
    total: Tensor = _SumOverProcesses.apply(x)
    return total
