"""Options of the commands; those that several commands share have one name and one help text."""

import math
from collections.abc import Callable, Container
from copy import copy
from typing import Any, Literal

import typer

from tapetum.errors import InputError

__all__ = [
    "a_number",
    "a_text",
    "option",
    "parse_counts",
    "parse_size",
    "refuse_given",
    "shown_as",
    "with_augmentation",
]  # and constants

# Panels of a help page, in the order in which they stand there.
MAIN, BUDGET, IMAGES = "Main options", "Budget", "Images"
TRAINING, CHANGES = "Search and training", "Random changes of the training images"
VIDEO, SCALE, LESS = "Videos", "Large folders", "Less common"

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

Rule = dict[str, Any]  # arguments of typer.Option that check a value
MOST_SEED = 2**31 - 1  # torch and numpy both take these


def option(
    default: Any,
    panel: str,
    text: str,
    *names: str,
    rule: Rule | None = None,
    shown: str | bool | None = None,
    **more: Any,
) -> Any:
    """Return an option of a command, as the default of its parameter.

    Args:
        default: The default value; an ellipsis where the option is required.
        panel: Panel of the help page.
        text: Help text: one short sentence.
        names: Names; by default that of the parameter.
        rule: What values are possible, from :func:`a_number` or :func:`a_text`.
        shown: The default in words, where the value itself says nothing.
        more: Further arguments of ``typer.Option``.
    """
    shown = (default is not None and default is not False) if shown is None else shown
    return typer.Option(
        default,
        *names,
        help=text,
        rich_help_panel=panel,
        show_default=shown,
        **{**(rule or {}), **more},
    )


def shown_as(known: Any, default: str) -> Any:
    """Return an option of several commands, which has another default in one of them."""
    other = copy(known)
    other.show_default = default
    return other


def a_number(
    kind: type[int] | type[float],
    example: float,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    among: tuple[int, ...] = (),
) -> Rule:
    """Return the rule of an option that is a number; what breaks it is told what is possible."""
    bounds = [f"{least:g} or more"] if least is not None else []
    bounds += [f"above {above:g}"] if above is not None else []
    bounds += [f"at most {most:,.10g}"] if most is not None else []
    bounds += [f"one of {', '.join(map(str, among))}"] if among else []
    noun = "a whole number" if kind is int else "a number"
    possible = ", ".join([noun, " and ".join(bounds)] if bounds else [noun])

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = float("nan")
        fits = (
            abs(value) < math.inf  # isfinite refuses long whole numbers
            and (least is None or value >= least)
            and (above is None or value > above)
            and (most is None or value <= most)
            and (not among or value in among)
        )
        if not fits:
            raise typer.BadParameter(f"give {possible}, such as {example:g}")
        return value

    return {"parser": parse, "metavar": "INT" if kind is int else "NUMBER"}


def a_text(
    metavar: str, example: str, check: Callable[[str], object], *, possible: str = ""
) -> Rule:
    """Return the rule of an option with a syntax of its own; the check says what is possible."""

    def parse(text: str) -> str:
        try:
            check(text)
        except InputError as error:
            raise typer.BadParameter(f"{possible or error.remedy}, such as {example}") from error
        return text

    return {"parser": parse, "metavar": metavar}


def parse_size(text: str) -> tuple[int, int]:
    """Return height and width of ``480x640``."""
    height, _, width = text.lower().partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise InputError("no size of an image", "give HEIGHTxWIDTH")
    return int(height), int(width)


def parse_counts(text: str) -> tuple[int, ...]:
    """Return the numbers of ``1,2``."""
    words = text.split(",")
    if not all(word.isdecimal() and int(word) for word in words) or len(set(words)) < len(words):
        raise InputError("no list of numbers", "give whole numbers above 0, each once")
    return tuple(map(int, words))


COUNT, CLASSES = a_number(int, 1, least=1), a_number(int, 10, least=1)
SIDE, CHANNELS = a_number(int, 128, least=16, most=4096), a_number(int, 3, among=(1, 3))
MINUTES, SECONDS = a_number(float, 10, above=0), a_number(float, 6, above=0)
SEED, OPERATORS = a_number(int, 0, least=0, most=MOST_SEED), a_number(int, 4, among=(4, 6, 8))
EPOCH_RULE, NETWORKS = a_number(int, 20, least=1), a_number(int, 300, least=1)
RATE = a_number(float, 0.001, above=0)


def _a_noise(text: str) -> None:
    """Refuse what is no noise of a training."""
    from tapetum.noise import NoisePlan

    NoisePlan.parse(text)


def _a_noise_level(text: str) -> None:
    """Refuse what is no level of a noise."""
    from tapetum.noise import parse_noise

    parse_noise(text)


def _a_white(text: str) -> None:
    """Refuse what is no white level."""
    if text != "auto":
        try:
            fits = 0 < float(text) < float("inf")
        except ValueError:
            fits = False
        if not fits:
            raise InputError("no white level", "give 'auto', or the stored value that means white")


PIXELS = a_text("HxW", "480x640", parse_size)
LEVEL = a_text(
    "LEVEL",
    "speckle:0.1",
    _a_noise_level,
    possible="give a level on the scale from 0 to 1 (25 of 255 is 0.098), as 0.2 or KIND:LEVEL, "
    "where KIND is gaussian, speckle, salt-and-pepper, or poisson-gaussian (as "
    "poisson-gaussian:GAIN,LEVEL)",
)
WHITE_RULE = a_text("NUMBER", "4095", _a_white)

FOLDER = option(..., MAIN, "Folder of images, 'digits' or 'digit-crops'.")
LABELS = option(
    None, IMAGES, "Table (CSV) with columns for file and label, and for split and box if wanted.",
    metavar="FILE",
)  # fmt: skip
LAYOUT = option(
    None, IMAGES, "Way to read the folder: classes, leaves, flat, pairs, parts or pooled.",
    metavar="NAME",
)  # fmt: skip
GROUP_BY = option(
    None, IMAGES, "Keep images of one 'folder', or of one group of a REGEX, on one side of the "
    "split.",
    metavar="GROUP",
)  # fmt: skip
WHITE = option(
    "auto", IMAGES, "Stored value that means white, such as 4095 for 12-bit images.",
    rule=WHITE_RULE,
)  # fmt: skip
SIZE = option(
    None, MAIN, "Side of the training images, in pixels.", "--size", rule=SIDE,
    shown="from the folder",
)  # fmt: skip
RESIZE = option(
    None, IMAGES, "Way to make a labelled image square: squash, letterbox or crop.",
    metavar="NAME", shown="squash",
)  # fmt: skip
MIRROR = option(
    None, CHANGES, "Mirror images left to right: auto, on or off.", metavar="NAME", shown="auto",
)  # fmt: skip
VERTICAL_FLIP = option(None, CHANGES, "Flip images upside down.", shown="off")
QUARTER_TURNS = option(None, CHANGES, "Turn images by multiples of 90 degrees.", shown="off")
CROP_SCALE = option(
    None, CHANGES, "Smallest share of an image that a crop shows; 1 for none.",
    rule=a_number(float, 0.64, above=0, most=1), shown="0.64",
)  # fmt: skip
BRIGHTNESS = option(
    None, CHANGES,
    "Largest relative change of the brightness, for labels under another light.",
    rule=a_number(float, 0.2, least=0, most=0.9),
    shown="0.3 where validation images show another light, else 0",
)  # fmt: skip
BALANCE = option(
    None, TRAINING, "Make uneven classes count alike: auto, none, loss or sampling.",
    metavar="NAME", shown="auto",
)  # fmt: skip
NOISE = option(
    None, MAIN, "Noise for training and scoring (images are 0 to 1).",
    rule=a_text(
        "KIND:LOW-HIGH",
        "gaussian:0-0.5",
        _a_noise,
        possible="give KIND:LOW-HIGH with levels from 0 to 1, where KIND is gaussian, speckle, "
        "salt-and-pepper, or poisson-gaussian (as poisson-gaussian:GAIN,LOW-HIGH)",
    ),
    shown="gaussian:0-0.5; for digits gaussian:0-1",
)  # fmt: skip
PROTOCOL = option(
    None, LESS, "Noisy values: 'benchmark' keeps them, 'camera' clips and rounds to 8 bits.",
    metavar="NAME", shown="benchmark",
)  # fmt: skip
DATA_ROOT = option(
    None, LESS, "Folder with MNIST's idx files, itself or in mnist/ (digits only).",
    envvar="TAPETUM_DATA",
)  # fmt: skip
DOWNLOAD = option(False, LESS, "Download MNIST from the internet (digits only).", "--download")
TRAIN_COUNT = option(
    None, LESS, "Number of training images (digits only).", rule=COUNT, shown="30000"
)
TEST_COUNT = option(
    None, LESS, "Number of validation images (digits only).", rule=COUNT, shown="2000"
)

TARGET_MS = option(..., MAIN, "Latency budget, in milliseconds.", rule=a_number(float, 8, above=0))
BUDGET_INCLUDES = option(
    "network", BUDGET, "Scope of the budget: one pass of the network, its preparation too, or the "
    "whole call.",
    metavar="NAME",
)  # fmt: skip
THREADS = option(1, BUDGET, "Threads of the network.", rule=COUNT)
BATCH = option(1, BUDGET, "Number of images in one pass.", rule=COUNT)
RUNTIME = option("onnxruntime", BUDGET, "Program that runs the network: onnxruntime or openvino.",
                 metavar="NAME")  # fmt: skip
PACKAGE_THREADS = option(
    None, LESS, "Threads of the package.", rule=COUNT, shown="as in its budget, else all cores"
)
PROVIDER = option(
    "cpu", LESS, "Execution provider of ONNX Runtime: cpu, cuda, openvino, ...", metavar="NAME"
)
MEMORY = option(
    1024,
    LESS,
    "Memory limit in MiB; larger images are processed in tiles.",
    rule=a_number(int, 1024, least=1),
)
REJECT_BELOW = option(
    0.0,
    MAIN,
    "Label an image 'unknown' whose confidence is lower, such as 0.6.",
    rule=a_number(float, 0.6, least=0, most=1),
)
NETWORKS_HELP = "Number of random networks that are timed for the latency table."
TABLE_MINUTES = "Time limit for measuring the latency table, in minutes."

FROM_RECIPE = "from the recipe"

SPACE_HELP = "Search space: c-nas, d-nas, dc-nas, dc-nas-seq, or a JSON file."
OPERATORS_HELP = "Number of candidates of each slot: 4, 6 or 8."
DECODER_HELP = "Blocks of the decoder: conv, mbconv, mbconv-1, mbconv-3 or searched."
UP_HELP = "Upsampling: transposed_conv, nearest_conv or pixel_shuffle."
DEPTH_HELP = "Let the search leave out slots that keep the image size."
SEARCH_RECIPE_HELP = "Search recipe: swift, tf-nas (as published), or a JSON file."
SEARCH_RECIPE = option("swift", TRAINING, SEARCH_RECIPE_HELP)
SEARCH_EPOCHS_HELP = "Number of passes over the training images in the search."
SEARCH_EPOCHS = option(None, TRAINING, SEARCH_EPOCHS_HELP, rule=EPOCH_RULE, shown=FROM_RECIPE)

RECIPE = option(
    None, TRAINING, "Training recipe: images, quick, swift, published, or a JSON file.",
    shown="images; for digits quick",
)  # fmt: skip
EPOCHS = option(
    None, TRAINING, "Number of passes over the training images in each training.", rule=EPOCH_RULE,
)  # fmt: skip
BATCH_SIZE = option(
    None, TRAINING, "Number of images in one training step.", rule=a_number(int, 32, least=1),
    shown=FROM_RECIPE,
)  # fmt: skip
SEED_HELP = "Random seed of weights, order, noise and split."
RECIPE_SEED = option(None, LESS, SEED_HELP, rule=SEED, shown="0")

OUT = option(..., MAIN, "New folder for all results.")
RESUME = option(False, MAIN, "Continue interrupted work.", "--resume")
OVERWRITE = option(False, MAIN, "Replace an older result.", "--overwrite")
JSON = option(False, LESS, "Print the result as JSON.", "--json")


def with_augmentation(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a command with its random changes of images as one argument."""
    names = ("mirror", "vertical_flip", "quarter_turns", "crop_scale", "brightness")
    changes = {name: arguments[name] for name in names}
    others = {name: value for name, value in arguments.items() if name not in names}
    return {**others, "augmentation": changes}


def refuse_given(context: typer.Context, names: Container[str], what: str) -> None:
    """Refuse options that were given and would have no effect.

    Args:
        context: The context of the command that was typed.
        names: Parameters that may not be given.
        what: The beginning of the sentence, such as ``a video takes no``.

    Raises:
        InputError: One of them was given.
    """
    given = [
        param.opts[-1]
        for param in context.command.params
        if param.name in names
        and (origin := context.get_parameter_source(param.name)) is not None
        and origin.name != "DEFAULT"
    ]
    if given:
        raise InputError(f"{what} {', '.join(given)}", "leave it out")
