"""Search recipes as frozen data.

:data:`TF_NAS` is the published search, :data:`SWIFT_SEARCH` the same search on a CPU: candidates
share their weights, each of the two paths of a step gets half of its images, and each step of the
architecture parameters (alphas) uses two candidates of a slot instead of all.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from tapetum.arch import Space
from tapetum.data import DatasetInfo, ImageDataset
from tapetum.errors import InputError, nearest
from tapetum.losses import EQUATION_3, LossWeights
from tapetum.noise import NoisePlan
from tapetum.records import changed
from tapetum.training import BaseRecipe

__all__ = ["SWIFT_SEARCH", "TF_NAS", "SearchRecipe", "choose_search_recipe"]

Fraction = Annotated[float, Field(gt=0, lt=1)]

MOST_HASTE = 5.0  # the most by which a shorter search enlarges the steps of the alphas

CLASSIFIER_LOSS = LossWeights(cross_entropy=1.0, charbonnier=0.0)


class SearchRecipe(BaseRecipe):
    """How to search; :class:`~tapetum.training.BaseRecipe` has further fields.

    Attributes:
        epochs: Passes over the images that train the weights.
        warmup_epochs: First epochs, which train the weights alone.
        held_out: Share of the images that trains the alphas alone.
        learning_rate: Initial learning rate of the weights (SGD); it falls along a cosine.
        clip_norm: Limit of the norm of the gradient, of the weights and of the alphas.
        alpha_learning_rate: Learning rate of the alphas (Adam).
        alpha_betas: Betas of Adam for the alphas.
        alpha_weight_decay: Weight decay of the alphas.
        alphas_every_steps: Steps of the weights for each step of the alphas.
        temperature: Initial temperature of the Gumbel-softmax.
        cooling: Factor of the temperature from epoch to epoch.
        latency_weight: Weight of the latency penalty in the loss of the alphas.
        loss: Loss of the task; without a weight for the image the decoder is left out.
        shares_weights: Whether the candidates of a slot share their weights.
        splits_batches: Whether each of the two paths of a step gets half of its images, or all of
            them, as published.
        alpha_update: Whether a step of the alphas uses all candidates of a slot (``full``, as
            published) or two of them, drawn (``pair``).
        scales_widths: Whether widths are scaled to the target after each epoch that trains the
            alphas.
        judged_images: Number of held-out images on which the network of an epoch is scored.
    """

    epochs: PositiveInt
    warmup_epochs: Annotated[int, Field(ge=0)]
    batch_size: Annotated[int, Field(ge=2)]
    held_out: Fraction = 0.2
    learning_rate: PositiveFloat = 2e-2
    weight_decay: NonNegativeFloat = 1e-5
    clip_norm: PositiveFloat = 5.0
    alpha_learning_rate: PositiveFloat = 0.01
    alpha_betas: tuple[float, float] = (0.5, 0.999)
    alpha_weight_decay: NonNegativeFloat = 5e-4
    alphas_every_steps: PositiveInt = 2
    temperature: PositiveFloat = 5.0
    cooling: Annotated[float, Field(gt=0, le=1)] = 0.96
    latency_weight: NonNegativeFloat = 0.1
    loss: LossWeights = CLASSIFIER_LOSS
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1
    noise: NoisePlan = NoisePlan(kind="gaussian", low=0.0, high=1.0)
    shares_weights: bool = False
    splits_batches: bool = False
    alpha_update: Literal["full", "pair"] = "full"
    scales_widths: bool = True
    channels_last: bool = True
    checkpoint_every_steps: PositiveInt = 200
    judged_images: PositiveInt = 500

    @property
    def smallest_part(self) -> float:
        """Share of the training images that has to fill a batch.

        Weights and choices are learnt from different images.
        """
        return min(self.held_out, 1 - self.held_out)

    def require_searchable(self, space: Space, images: ImageDataset, data: DatasetInfo) -> None:
        """Refuse a space that these images and this recipe cannot search.

        Args:
            space: The space.
            images: Images to learn from.
            data: What these images are.

        Raises:
            InputError: The space has no slots, or is for other images; or nothing has a loss.
        """
        if not space.slots:
            raise InputError(
                f"{space.name} has no slot: there is nothing to search", "train its one network"
            )
        if space.image_channels != images.channels:
            raise InputError(
                f"{space.name} is for images of {space.image_channels} channels, "
                f"these have {images.channels}",
                "measure a table of a space for these images",
            )
        if space.classifier is not None:
            _require_labels(space, space.classifier.num_classes, images, data)
        weighs_labels = space.classifier is not None and self.loss.cross_entropy > 0
        if not weighs_labels and not (space.decoder is not None and self.loss.uses_image):
            wanted = ", ".join(name for name, weight in self.loss if weight > 0)
            raise InputError(
                f"the search recipe {self.name} weighs {wanted} alone, which is no loss of the "
                f"networks of {space.name}",
                "search another space, or give a search recipe with other weights",
            )

    @model_validator(mode="after")
    def _trains_the_alphas(self) -> "SearchRecipe":
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"{self.warmup_epochs} epochs of warm-up leave none of {self.epochs} for the alphas"
            )
        return self


def _require_labels(
    space: Space, num_classes: int, images: ImageDataset, data: DatasetInfo
) -> None:
    """Refuse images whose labels are not those of a space that classifies whole images."""
    problem, actual = f"{space.name} classifies whole images", len(images.class_names)
    others = "'tapetum fit' without --method takes others"
    if actual == 0:
        raise InputError(f"{problem}, but these have no labels", f"give labelled images; {others}")
    if data.has_boxes:
        remedy = f"give a folder of labelled images, or 'digit-crops'; {others}"
        raise InputError(f"{problem}, but the labels of this dataset belong to boxes", remedy)
    if num_classes != actual:
        raise InputError(
            f"{space.name} is for {num_classes} classes, these images have {actual}",
            "measure a table of a space for these images",
        )


TF_NAS = SearchRecipe(
    # Paper, section 4; what it leaves to TF-NAS is that of TF-NAS's code.  Ours: candidates that
    # are not the likeliest are scaled too (tapetum.search.widths), and no optimizer is reset.
    name="tf-nas",
    epochs=90,
    warmup_epochs=10,
    batch_size=32,
    label_smoothing=0.0,
)

SWIFT_SEARCH = SearchRecipe(
    name="swift",
    epochs=30,
    warmup_epochs=4,
    batch_size=32,
    cooling=0.9,  # to the temperature of the published search at its end
    shares_weights=True,
    splits_batches=True,
    alpha_update="pair",
)

SEARCH_RECIPES = (SWIFT_SEARCH, TF_NAS)


def choose_search_recipe(
    name: str,
    *,
    loss: Literal["names", "both"] | None = None,
    noise: str | None = None,
    changes: Mapping[str, Any] | None = None,
) -> SearchRecipe:
    """The recipe of a name or a JSON file, with some of it changed, as it suits this machine.

    Args:
        name: Of a recipe, or a path that ends in ``.json``.
        loss: Instead of the recipe's: names alone, or names and the image (eq. 3).
        noise: Instead of the recipe's, such as ``gaussian:0-0.5``.
        changes: Fields by name; those that are null stay as they are.  Fewer epochs shorten the
            warm-up too, cool faster, and move the alphas in larger steps.

    Raises:
        InputError: There is no such recipe, or a change that it cannot take.
    """
    known = {recipe.name: recipe for recipe in SEARCH_RECIPES}
    if name.endswith(".json"):
        recipe = SearchRecipe.read(Path(name))
    elif name in known:
        recipe = known[name]
    else:
        raise InputError(f"no search recipe is called {name!r}", nearest(name, known))
    wanted = {field: value for field, value in (changes or {}).items() if value is not None}
    if loss is not None:
        wanted["loss"] = (CLASSIFIER_LOSS if loss == "names" else EQUATION_3).model_dump()
    if noise is not None:
        wanted["noise"] = NoisePlan.parse(noise).model_dump()
    if "epochs" in wanted and wanted["epochs"] > 0:
        share = wanted["epochs"] / recipe.epochs
        wanted.setdefault("warmup_epochs", round(share * recipe.warmup_epochs))
        wanted.setdefault("cooling", recipe.cooling ** (1 / share))
        haste = min(max(1.0, 1 / share), MOST_HASTE)
        wanted.setdefault("alpha_learning_rate", haste * recipe.alpha_learning_rate)
    return changed(recipe, wanted, what=f"search recipe {name!r}").suited()
