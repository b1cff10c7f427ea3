"""Training: one loop for every network, recipes as data, runs that survive a kill."""

from tapetum.training.distributed import is_main_process, start_run
from tapetum.training.evaluate import (
    Predict,
    ScoreRow,
    Scores,
    evaluate,
    network_predict,
    predict_batch,
)
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
from tapetum.training.run import Request, Result, RunFolder, load_network
from tapetum.training.trainer import train

__all__ = [
    "IMAGES",
    "PUBLISHED",
    "QUICK",
    "RECIPES",
    "SWIFT",
    "Predict",
    "ProcessSettings",
    "Recipe",
    "Request",
    "Result",
    "RunFolder",
    "ScoreRow",
    "Scores",
    "adjusted",
    "evaluate",
    "find_recipe",
    "is_main_process",
    "load_network",
    "network_predict",
    "predict_batch",
    "prepare_process",
    "process_settings",
    "start_run",
    "suited",
    "train",
]
