r"""Several processes that train as one.

``torchrun --nproc_per_node 2 -m tapetum train ...`` starts two processes; each one sees its share
of every batch, and Accelerate averages their gradients.  What Accelerate leaves to us is batch
normalisation: its mean and variance must be those of the whole batch,

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
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from accelerate import Accelerator, PartialState
from accelerate.utils import DistributedDataParallelKwargs
from jaxtyping import Float
from torch import Tensor, nn

from tapetum.errors import TrainingError
from tapetum.nn import RowBatchNorm2d, first_channels
from tapetum.training.run import Request, RunFolder

__all__ = [
    "SharedBatchNorm2d",
    "is_main_process",
    "make_accelerator",
    "share_batch_norms",
    "start_run",
]


def make_accelerator() -> Accelerator:
    """Accelerate's view of this process: its device, its rank, how gradients are averaged.

    Mixed precision stays off: Accelerate fixes it once for a whole process, while here each
    recipe has its own.
    """
    _processes()
    gradients = DistributedDataParallelKwargs(gradient_as_bucket_view=True)
    return Accelerator(
        cpu=not torch.accelerator.is_available(),
        mixed_precision="no",
        kwargs_handlers=[gradients],
    )


def is_main_process() -> bool:
    """Whether this process is the one that writes; true where there is only one."""
    return bool(_processes().is_main_process)


def start_run(
    path: Path, request: Request, *, overwrite: bool = False, resume: bool = False
) -> RunFolder:
    """Makes the folder of a run, or opens it to go on; only the main process writes.

    Args:
        path: Of the run.
        request: What is asked now.
        overwrite: Whether an older run at ``path`` may be removed.
        resume: Whether to open the run at ``path`` instead; it must be of the same request.

    Raises:
        RunError: The folder is taken, or holds no run, a finished one, or one of another request.
    """
    processes = _processes()
    if resume:
        run = RunFolder.open(path)
        run.require_unfinished()
        run.require_same(request)
    elif processes.is_main_process:
        run = RunFolder.create(path, request, overwrite=overwrite)
    processes.wait_for_everyone()
    return run if resume else RunFolder.open(path)


def _processes() -> PartialState:
    """All processes of this training.

    Without ``cpu`` Accelerate takes processes that have no CUDA for so many trainings of their
    own, and says nothing: hence the check.
    """
    processes = PartialState(cpu=not torch.accelerator.is_available())
    started = int(os.environ.get("WORLD_SIZE", "1")) if "LOCAL_RANK" in os.environ else 1
    if processes.num_processes != started:
        raise TrainingError(
            f"{started} processes were started but {processes.num_processes} train together",
            "start them with 'torchrun --nproc_per_node N'",
        )
    return processes


def share_batch_norms(
    network: nn.Module,
    *,
    device: torch.device,
    num_processes: int,
    are_narrowed: bool = False,
) -> None:
    """Makes every batch norm of ``network`` see the batches of all processes; names stay.

    Args:
        network: Changed in place; nothing happens with one process.
        device: Where it is trained: CUDA has torch's own layer.
        num_processes: How many share each batch.
        are_narrowed: Whether a layer may get fewer channels than it has, which torch's own refuses.
    """
    if num_processes == 1:
        return
    if device.type == "cuda" and not are_narrowed:
        nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                module.register_module(name, SharedBatchNorm2d.like(child))


class SharedBatchNorm2d(RowBatchNorm2d):
    """Batch normalisation with the statistics of all processes; each has an equal share."""

    @classmethod
    def like(cls, norm: nn.BatchNorm2d) -> "SharedBatchNorm2d":
        """A shared layer with the parameters, the statistics and the settings of ``norm``."""
        shared = cls(norm.num_features, eps=norm.eps, momentum=norm.momentum, affine=norm.affine)
        shared._parameters.update(norm._parameters)
        shared._buffers.update(norm._buffers)
        return shared.train(norm.training)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Normalises by the whole batch in training, by the running statistics otherwise."""
        if not self.training:
            return super().forward(x)
        count = x.numel() // x.shape[1] * dist.get_world_size()
        # Half precision would lose the statistics.
        values = x.to(torch.promote_types(x.dtype, torch.float32))
        mean = _sum_over_processes(values.sum((0, 2, 3))) / count
        centred = values - mean[:, None, None]
        variance = _sum_over_processes(centred.square().sum((0, 2, 3))) / count
        self._move(mean.detach(), variance.detach() * count / max(count - 1, 1))
        scale = torch.rsqrt(variance + self.eps) * first_channels(self.weight, x)
        shift = first_channels(self.bias, x)
        return (centred * scale[:, None, None] + shift[:, None, None]).to(x.dtype)

    @torch.no_grad()
    def _move(self, mean: Tensor, variance: Tensor) -> None:
        if (
            self.running_mean is None
            or self.running_var is None
            or self.num_batches_tracked is None
        ):
            return
        self.num_batches_tracked.add_(1)
        momentum = self.momentum
        if momentum is None:  # torch's convention: the plain average of all batches
            momentum = 1 / float(self.num_batches_tracked)
        self.running_mean[: len(mean)].lerp_(mean, momentum)
        self.running_var[: len(mean)].lerp_(variance, momentum)


class _SumOverProcesses(torch.autograd.Function):
    """Adds up a tensor over all processes; so does its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ARG004 - torch's signature
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ARG004
        total = gradient.clone()
        dist.all_reduce(total)
        return total


def _sum_over_processes(x: Tensor) -> Tensor:
    total: Tensor = _SumOverProcesses.apply(x)
    return total
