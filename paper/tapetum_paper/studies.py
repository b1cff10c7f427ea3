"""The settings of the paper's search at each scale: images, spaces, device, recipes.

The scale ``paper`` is section 4 as printed, with TF-NAS's settings where the paper leaves them
open.  The other scales are ours.  Their targets are positions between the fastest and the slowest
network of the space, since the machine is not known beforehand.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from tapetum.arch import spaces
from tapetum.data import digits
from tapetum.losses import EQUATION_3
from tapetum.noise import NoisePlan
from tapetum.search import SearchRecipe, choose_search_recipe
from tapetum.training import Recipe
from tapetum_paper.deployment import Deployment
from tapetum_paper.paper import UNETS
from tapetum_paper.plan import Scale
from tapetum_paper.searched import Target

__all__ = ["CLEAN", "NOISY", "SIZES", "STUDIES", "Size", "Study"]

Size = Literal["S", "M", "L"]
SIZES: tuple[Size, ...] = ("S", "M", "L")

NOISY = NoisePlan(kind="gaussian", low=0.0, high=1.0)  # section 4
CLEAN = NoisePlan(kind="gaussian", levels=(0.0,))


# Positions in the range of the space; the paper uses 6, 8 and 12 ms on its machine.
SHARES: Mapping[Size, Target] = {
    "S": Target(share=0.2),
    "M": Target(share=0.4),
    "L": Target(share=0.8),
}


class Study(NamedTuple):
    """The search of the paper at one scale.

    Attributes:
        data: Name of the dataset.
        frame: Frame of the spaces.
        deployment: Runtime and conditions.
        search: Search recipe.
        training: Training recipe.
        targets: Latencies of the C-NAS of each size.
        sequential: Latency of the C-NAS that the DC-NAS_seq of table 5 uses twice.
        seeds: Seeds of rows with several seeds.
        quality_seeds: Seeds of ``quality``, whose differences are small.
        train_count: Number of training images, where they are composed.
        test_count: Number of test images, where they are composed.
        ablated: Size of the networks of table 4; the paper's is M.
        widened: Base width that gives a UNet-S and a DC-Net S the latency of the DC-NAS S; in the
            paper they have it with their own width.
    """

    data: Literal["digit-crops", "imagenette128", "imagenet100"]
    frame: spaces.Frame
    deployment: Deployment
    search: SearchRecipe
    training: Recipe
    targets: Mapping[Size, Target] = SHARES
    sequential: Target = Target(share=0.3)
    seeds: tuple[int, ...] = (0,)
    quality_seeds: tuple[int, ...] = (0,)
    train_count: int = 30_000
    test_count: int = 2_000
    ablated: Size = "M"
    widened: int = UNETS["unet-s"].base_width


BRIEF_TRAINING = Recipe(
    name="study",
    epochs=8,
    batch_size=32,
    optimizer="adamw",
    learning_rate=3e-3,
    weight_decay=1e-2,
    schedule="one-cycle",
    warmup=0.3,
    label_smoothing=0.1,
    clip_norm=1.0,
    loss=EQUATION_3,
    noise=NOISY,
    channels_last=True,
    recalibration_batches=50,
)
BRIEF_SEARCH = choose_search_recipe("swift").model_copy(
    # Steps five times as long, since there are 651 instead of about 128,000; and a long warm-up, so
    # that the supernet is above chance when the alphas decide (docs/log.md).
    update={"epochs": 10, "warmup_epochs": 3, "cooling": 0.7, "alpha_learning_rate": 0.05}
)

STUDIES = {
    Scale.smoke: Study(
        data="digit-crops",
        frame=spaces.Frame(
            operators=4,
            image_px=digits.DigitCrops.size_px,
            image_channels=1,
            num_classes=10,
            width=0.25,
        ),
        deployment=Deployment("onnxruntime", 1, 1, digits.DigitCrops.size_px, 1, 60, 1.0),
        search=BRIEF_SEARCH.model_copy(update={"epochs": 2, "warmup_epochs": 1, "batch_size": 2}),
        training=BRIEF_TRAINING.model_copy(
            update={"epochs": 1, "batch_size": 2, "recalibration_batches": 1}
        ),
        train_count=6,
        test_count=2,
        widened=12,
    ),
    Scale.small: Study(
        data="imagenette128",
        frame=spaces.Frame(operators=4, image_px=64, image_channels=3, num_classes=10),
        deployment=Deployment("onnxruntime", 1, 1, 64, 3),
        search=BRIEF_SEARCH,
        training=BRIEF_TRAINING,
        seeds=(0, 1),
        quality_seeds=(0, 1, 2),
        ablated="S",  # so that a row of table 4 is one of table 3
        widened=20,
    ),
    Scale.paper: Study(
        data="imagenet100",
        frame=spaces.Frame(operators=4, image_px=224, image_channels=3, num_classes=100),
        deployment=Deployment("torch", 1, 32, 224, 3),
        targets={"S": Target(ms=6.0), "M": Target(ms=8.0), "L": Target(ms=12.0)},
        sequential=Target(ms=6.7),
        search=choose_search_recipe("tf-nas"),
        training=Recipe(
            name="study",
            epochs=250,
            batch_size=512,
            optimizer="sgd",
            learning_rate=0.2,
            momentum=0.9,
            weight_decay=1e-5,
            schedule="cosine",
            label_smoothing=0.1,
            clip_norm=5.0,
            loss=EQUATION_3,
            noise=NOISY,
            channels_last=True,
        ),
    ),
}
