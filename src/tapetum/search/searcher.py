r"""What moves in a search: the supernet's weights, the logits, the widths.

A step of the weights trains two paths (bi-sampling), a step of the logits looks at images that
the weights have never seen, and pulls the expected latency to its target,

.. math::
    L_w = L(\text{sampled path}) + L(\text{another path}), \qquad
    L_\alpha = L(\text{mixture}) + \lambda \left| \frac{E[\ell]}{\ell^*} - 1 \right| .

After each epoch the hidden channels are sorted by their importance, with all that the optimizer
remembers of them, and the widths of the network that would be delivered follow the target.

Like a :class:`~tapetum.training.learner.Learner`, a searcher hands its whole state out; whatever is
drawn at random depends on the seed and the step alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from tapetum.data import Batch
from tapetum.latency import LatencyTable
from tapetum.losses import joint_loss, latency_penalty
from tapetum.search.recipe import SearchRecipe
from tapetum.search.relax import (
    ArchitectureParameters,
    expected_latency,
    sampled_mixture,
    sampled_paths,
)
from tapetum.search.supernet import Mixture, SuperNet
from tapetum.search.widths import Scaled, nominal_widths, scale_widths
from tapetum.training.checkpoint import with_prefix
from tapetum.training.distributed import share_batch_norms
from tapetum.training.learner import at_least_float32, mean_over_processes, move_batch
from tapetum.training.optimize import along_cosine, moments, restore_optimizer

__all__ = ["Searcher"]

PAIR = 2  # candidates of a slot in a step of the logits that does not look at all


class Searcher:
    """A supernet and its logits, which learn in turns.

    Args:
        table: Of the space that is searched.
        recipe: How to search.
        accelerator: Where, and with how many processes.
        target_ms: What the delivered network may take.
        total_steps: Of the weights, for their learning rate.
    """

    def __init__(
        self,
        table: LatencyTable,
        recipe: SearchRecipe,
        accelerator: Accelerator,
        *,
        target_ms: float,
        total_steps: int,
    ) -> None:
        self.table, self.recipe, self.accelerator = table, recipe, accelerator
        self.target_ms, self.total_steps = target_ms, total_steps
        self.widths = nominal_widths(table.space)
        self.supernet = SuperNet(
            table.space, seed=recipe.seed, shares_weights=recipe.shares_weights
        )
        if recipe.channels_last:
            self.supernet.to(memory_format=torch.channels_last)
        share_batch_norms(
            self.supernet,
            device=accelerator.device,
            num_processes=accelerator.num_processes,
            are_narrowed=True,
        )
        self.supernet.to(accelerator.device)
        self.logits = ArchitectureParameters(table.space, seed=recipe.seed).to(accelerator.device)
        self.weight_optimizer = torch.optim.SGD(
            self.supernet.parameters(),
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            fused=True,
        )
        # Fused kernels want the moments of all, though most have no gradient in the first step.
        for parameter in self.supernet.parameters():
            self.weight_optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        self.alpha_optimizer = torch.optim.Adam(
            self.logits.parameters(),
            lr=recipe.alpha_learning_rate,
            betas=recipe.alpha_betas,
            weight_decay=recipe.alpha_weight_decay,
        )

    def weight_step(self, batch: Batch, *, step: int, epoch: int) -> dict[str, Tensor]:
        """Trains two paths on a batch; returns the loss of the sampled one and its terms."""
        self.supernet.train()
        for group in self.weight_optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate * along_cosine(
                1.0, 0.0, step / self.total_steps
            )
        paths = sampled_paths(
            self.logits,
            self.widths,
            temperature=self.temperature(epoch),
            generator=self._generator(step, 0),
        )
        found = []
        for mixture, share in zip(paths, self._shares(batch), strict=True):
            loss, terms = self._loss(share, mixture)
            self.accelerator.backward(loss)
            found.append({"loss": loss.detach(), **terms})
        self._share_gradients(self.supernet)
        nn.utils.clip_grad_norm_(self.supernet.parameters(), self.recipe.clip_norm)
        self.weight_optimizer.step()
        self.weight_optimizer.zero_grad(set_to_none=True)
        return found[0]

    def alpha_step(self, batch: Batch, *, step: int, epoch: int) -> dict[str, Tensor]:
        """Moves the logits by a batch that no weight has learned from."""
        self.supernet.train()
        self.supernet.requires_grad_(False)
        mixture = sampled_mixture(
            self.logits,
            self.widths,
            temperature=self.temperature(epoch),
            generator=self._generator(step, 1),
            count=PAIR if self.recipe.alpha_update == "pair" else None,
        )
        loss, _ = self._loss(batch, mixture)
        expected_ms = expected_latency(self.logits, self.widths, self.table)
        penalty = latency_penalty(expected_ms, target_ms=self.target_ms)
        self.accelerator.backward(loss + self.recipe.latency_weight * penalty)
        self.supernet.requires_grad_(True)
        self._share_gradients(self.logits)
        self.alpha_optimizer.step()
        self.alpha_optimizer.zero_grad(set_to_none=True)
        return {"alpha_loss": loss.detach(), "expected_ms": expected_ms.detach()}

    def after_epoch(self) -> Scaled:
        """Sorts channels and scales widths; returns the network that would be delivered now."""
        self.supernet.sort_channels(self.widths, self.weight_optimizer)
        best = self.logits.best(self.widths)
        if not self.recipe.scales_widths:
            return Scaled(best, self.table.predict(best).median_ms, "target")
        scaled = scale_widths(self.table, best, target_ms=self.target_ms)
        for path, choice in scaled.choices.items():
            if choice is not None:
                self.widths[path][choice.candidate] = choice.hidden_channels
        return scaled

    @torch.no_grad()
    def expected_ms(self) -> float:
        """What the logits expect now."""
        return float(expected_latency(self.logits, self.widths, self.table))

    def to_device(self, batch: Batch) -> Batch:
        """The batch where the supernet is, in the order of values that the recipe asks for."""
        return move_batch(batch, self.accelerator.device, channels_last=self.recipe.channels_last)

    def mean_over_processes(self, values: Mapping[str, Tensor | float]) -> dict[str, float]:
        """The mean of each value over the processes; every process gets the same."""
        return mean_over_processes(self.accelerator, values)

    def temperature(self, epoch: int) -> float:
        """Of an epoch, from 0; it stays as it is until the logits learn."""
        cooled = max(0, epoch - self.recipe.warmup_epochs)
        return self.recipe.temperature * self.recipe.cooling**cooled

    def tensors(self) -> dict[str, Tensor]:
        """The state's tensors by name; :meth:`settings` is the rest of it."""
        parts = {
            "supernet": self.supernet.state_dict(),
            "logits": self.logits.state_dict(),
            "weight_optimizer": moments(self.weight_optimizer),
            "alpha_optimizer": moments(self.alpha_optimizer),
        }
        return {
            f"{part}.{name}": value
            for part, known in parts.items()
            for name, value in known.items()
        }

    def settings(self) -> dict[str, Any]:
        """The state's plain data."""
        return {
            "widths": self.widths,
            "weight_groups": self.weight_optimizer.state_dict()["param_groups"],
            "alpha_groups": self.alpha_optimizer.state_dict()["param_groups"],
        }

    def restore(
        self,
        tensors: Mapping[str, Tensor],
        *,
        widths: Mapping[str, Mapping[str, int]],
        weight_groups: Sequence[Mapping[str, Any]],
        alpha_groups: Sequence[Mapping[str, Any]],
    ) -> None:
        """Goes back to the state that :meth:`tensors` and :meth:`settings` told."""
        self.supernet.load_state_dict(with_prefix(tensors, "supernet."))
        self.logits.load_state_dict(with_prefix(tensors, "logits."))
        self.widths = {path: dict(known) for path, known in widths.items()}
        for optimizer, name, groups in (
            (self.weight_optimizer, "weight_optimizer.", weight_groups),
            (self.alpha_optimizer, "alpha_optimizer.", alpha_groups),
        ):
            restore_optimizer(optimizer, with_prefix(tensors, name), [dict(one) for one in groups])

    def _loss(self, batch: Batch, mixture: Mixture) -> tuple[Tensor, dict[str, Tensor]]:
        device = self.accelerator.device
        with torch.autocast(device.type, torch.bfloat16, enabled=self.recipe.precision == "bf16"):
            outputs = self.supernet(
                batch.noisy,
                batch.boxes,
                mixture=mixture,
                needs_image=self.recipe.loss.uses_image,
            )
        return joint_loss(
            at_least_float32(outputs.image),
            at_least_float32(outputs.logits),
            batch.clean,
            batch.labels,
            weights=self.recipe.loss,
            label_smoothing=self.recipe.label_smoothing,
        )

    def _shares(self, batch: Batch) -> tuple[Batch, Batch]:
        """What each of two paths sees: all of a batch, or half of it."""
        if not self.recipe.splits_batches:
            return batch, batch
        middle = len(batch.noisy) // 2
        first, second = (
            Batch(
                batch.noisy[half],
                batch.clean[half],
                None if batch.labels is None else batch.labels[half],
                None if batch.boxes is None else batch.boxes[half],
            )
            for half in (slice(middle), slice(middle, None))
        )
        return first, second

    def _share_gradients(self, module: nn.Module) -> None:
        """Every process goes on with the mean of all: each sees its share of a batch.

        All of them take the same paths, so that the same weights have gradients everywhere.
        """
        if self.accelerator.num_processes == 1:
            return
        gradients = [one.grad for one in module.parameters() if one.grad is not None]
        flat: Tensor = self.accelerator.reduce(
            torch.cat([one.flatten() for one in gradients]), "mean"
        )
        sizes = [one.numel() for one in gradients]
        for gradient, mean in zip(gradients, torch.split(flat, sizes), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def _generator(self, step: int, purpose: int) -> torch.Generator:
        return torch.Generator().manual_seed((self.recipe.seed << 32) + 2 * step + purpose)
