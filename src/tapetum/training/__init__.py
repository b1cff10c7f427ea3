"""Training: one loop for every network, recipes as data, runs that survive a kill."""

from tapetum.training.checkpoint import EpochRecord, Position
from tapetum.training.compute import Compute, is_main_process
from tapetum.training.evaluate import (
    Predict,
    ScoreRow,
    Scores,
    evaluate,
    network_predict,
    predict_batch,
)
from tapetum.training.loop import Files, run_epochs
from tapetum.training.process import (
    ProcessSettings,
    prepare_process,
    process_settings,
    suited,
)
from tapetum.training.recipe import (
    IMAGES,
    PUBLISHED,
    QUICK,
    RECIPES,
    SWIFT,
    Recipe,
    adjusted,
    find_recipe,
)
from tapetum.training.run import RUNS, Request, Result, Run, load_network, start_run
from tapetum.training.trainer import train
from tapetum.training.validate import look

__all__ = [
    "IMAGES",
    "PUBLISHED",
    "QUICK",
    "RECIPES",
    "RUNS",
    "SWIFT",
    "Compute",
    "EpochRecord",
    "Files",
    "Position",
    "Predict",
    "ProcessSettings",
    "Recipe",
    "Request",
    "Result",
    "Run",
    "ScoreRow",
    "Scores",
    "adjusted",
    "evaluate",
    "find_recipe",
    "is_main_process",
    "load_network",
    "look",
    "network_predict",
    "predict_batch",
    "prepare_process",
    "process_settings",
    "run_epochs",
    "start_run",
    "suited",
    "train",
]
