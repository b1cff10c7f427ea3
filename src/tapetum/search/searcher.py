r"""The state of a search: weights of the supernet, architecture parameters (alphas), widths.

A step of the weights trains two paths (bi-sampling).  A step of the alphas uses images that the
weights have never seen, and moves the expected latency towards its target,

.. math::
    L_w = L(\text{sampled path}) + L(\text{another path}), \qquad
    L_\alpha = L(\text{mixture}) + \lambda \left| \frac{\ell(\text{mixture})}{\ell^*} - 1 \right| .

After each epoch the hidden channels are sorted by their importance, together with the state of the
optimizer.  Once the alphas are trained, widths are scaled to the target after each epoch.

Whatever is drawn at random depends on the seed and the step alone.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tapetum.latency import Budget
from tapetum.search.recipe import SearchRecipe
from tapetum.search.relax import (
    ArchitectureParameters,
    expected_latency,
    latency_penalty,
    mixture_latency,
    sampled_mixture,
    sampled_paths,
)
from tapetum.search.supernet import Mixture, SuperNet
from tapetum.search.widths import Scaled, nominal_widths, scale_candidates
from tapetum.training import Batch, Compute

__all__ = ["Searcher"]

PAIR = 2  # candidates of a slot in a step of the alphas that does not use all


class Searcher:
    """A supernet and its alphas, which are trained in turns.

    The learning rate of the weights falls over ``total_steps`` steps.
    """

    def __init__(
        self, budget: Budget, recipe: SearchRecipe, compute: Compute, *, total_steps: int
    ) -> None:
        self.budget, self.recipe, self.compute = budget, recipe, compute
        self.table, self.total_steps = budget.table, total_steps
        self.widths = nominal_widths(self.table.space)
        space, seed = budget.table.space, recipe.seed
        self.supernet = SuperNet(space, seed=seed, shares_weights=recipe.shares_weights)
        if recipe.channels_last:
            self.supernet.to(memory_format=torch.channels_last)
        compute.share_batch_norms(self.supernet, are_narrowed=True)
        self.supernet.to(compute.device)
        self.alphas = ArchitectureParameters(space, seed=seed).to(compute.device)
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
            self.alphas.parameters(),
            lr=recipe.alpha_learning_rate,
            betas=recipe.alpha_betas,
            weight_decay=recipe.alpha_weight_decay,
        )

    def weight_step(self, batch: Batch, *, step: int, epoch: int) -> dict[str, Tensor]:
        """Train two paths on a batch; return the loss of the sampled one and its terms.

        As published, the warm-up trains the sampled path alone, unless both share the batch.
        """
        self.supernet.train()
        for group in self.weight_optimizer.param_groups:
            cosine = math.cos(math.pi * (step / self.total_steps))
            group["lr"] = self.recipe.learning_rate * ((1 + cosine) / 2)
        temperature, generator = self.temperature(epoch), self._generator(step, 0)
        paths = sampled_paths(
            self.alphas, self.widths, temperature=temperature, generator=generator
        )
        losses = []
        for mixture, share in zip(paths, self._shares(batch, epoch), strict=False):
            loss, terms = self._loss(share, mixture)
            self.compute.accelerator.backward(loss)
            losses.append({"loss": loss.detach(), **terms})
        self.compute.share_gradients(self.supernet)
        nn.utils.clip_grad_norm_(self.supernet.parameters(), self.recipe.clip_norm)
        self.weight_optimizer.step()
        self.weight_optimizer.zero_grad(set_to_none=True)
        return losses[0]

    def alpha_step(self, batch: Batch, *, step: int, epoch: int) -> dict[str, Tensor]:
        """Train the alphas on a batch that the weights have never seen; return the losses."""
        self.supernet.train()
        self.supernet.requires_grad_(False)
        mixture = sampled_mixture(
            self.alphas,
            self.widths,
            temperature=self.temperature(epoch),
            generator=self._generator(step, 1),
            count=PAIR if self.recipe.alpha_update == "pair" else None,
        )
        loss, _ = self._loss(batch, mixture)
        mixture_ms = mixture_latency(mixture, self.table)
        penalty = latency_penalty(mixture_ms, target_ms=self.budget.target_ms)
        self.compute.accelerator.backward(loss + self.recipe.latency_weight * penalty)
        self.supernet.requires_grad_(True)
        self.compute.share_gradients(self.alphas)
        nn.utils.clip_grad_norm_(self.alphas.parameters(), self.recipe.clip_norm)
        self.alpha_optimizer.step()
        self.alpha_optimizer.zero_grad(set_to_none=True)
        return {"alpha_loss": loss.detach(), "mixture_ms": mixture_ms.detach()}

    @torch.no_grad()
    def after_epoch(self, epoch: int) -> Scaled:
        """Sort channels and scale widths; return the network that would be chosen now.

        The alphas decide about widths, so nothing is scaled before they are trained.
        """
        self.supernet.sort_channels(self.widths, self.weight_optimizer)
        best = self.alphas.best(self.widths)
        if epoch < self.recipe.warmup_epochs or not self.recipe.scales_widths:
            return Scaled(best, self.table.predict(best).median_ms, "unscaled")
        scaled, self.widths = scale_candidates(
            self.table,
            best,
            lambda widths: float(expected_latency(self.alphas, widths, self.table)),
            target_ms=self.budget.target_ms,
        )
        return scaled

    @torch.no_grad()
    def expected_ms(self) -> float:
        """Return the expected latency in milliseconds."""
        return float(expected_latency(self.alphas, self.widths, self.table))

    def temperature(self, epoch: int) -> float:
        """Return the temperature of an epoch, from 0; it falls once the alphas are trained."""
        cooled = max(0, epoch - self.recipe.warmup_epochs)
        return self.recipe.temperature * self.recipe.cooling**cooled

    def parts(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        """Return the modules and optimizers of the state by name."""
        return {
            "supernet": self.supernet,
            "alphas": self.alphas,
            "weight_optimizer": self.weight_optimizer,
            "alpha_optimizer": self.alpha_optimizer,
        }

    def settings(self) -> dict[str, Any]:
        """Return the plain data of the state."""
        return {"widths": self.widths}

    def restore(self, settings: Mapping[str, Any]) -> None:
        """Restore what :meth:`settings` returned."""
        self.widths = {path: dict(widths) for path, widths in settings["widths"].items()}

    def _loss(self, batch: Batch, mixture: Mixture) -> tuple[Tensor, dict[str, Tensor]]:
        device, needs_image = self.compute.device, self.recipe.loss.uses_image
        with torch.autocast(device.type, torch.bfloat16, enabled=self.recipe.precision == "bf16"):
            outputs = self.supernet(
                batch.noisy, batch.boxes, mixture=mixture, needs_image=needs_image
            )
        return self.recipe.loss_of(outputs, batch)

    def _shares(self, batch: Batch, epoch: int) -> tuple[Batch, ...]:
        """Return the images of each path that is trained: all of a batch, or half of it."""
        if not self.recipe.splits_batches:
            return (batch,) if epoch < self.recipe.warmup_epochs else (batch, batch)
        middle = len(batch.noisy) // 2
        first = Batch._make(None if value is None else value[:middle] for value in batch)
        return first, Batch._make(None if value is None else value[middle:] for value in batch)

    def _generator(self, step: int, purpose: int) -> torch.Generator:
        return torch.Generator().manual_seed((self.recipe.seed << 32) + 2 * step + purpose)
