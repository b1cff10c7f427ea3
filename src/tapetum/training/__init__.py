"""Training: one loop for every network, recipes as data, runs that survive a kill."""

from tapetum.training.distributed import is_main_process, start_run
from tapetum.training.eager import EagerTorch
from tapetum.training.evaluate import (
    Predict,
    ScoreRow,
    Scores,
    evaluate,
    network_predict,
    predict_batch,
)
from tapetum.training.loop import train
from tapetum.training.process import (
    ProcessSettings,
    prepare_process,
    process_settings,
    suited,
)
from tapetum.training.recipe import (
    PICTURES,
    PUBLISHED,
    QUICK,
    RECIPES,
    SWIFT,
    Recipe,
    adjusted,
    find_recipe,
)
from tapetum.training.run import Request, Result, RunFolder, load_network

__all__ = [
    "PICTURES",
    "PUBLISHED",
    "QUICK",
    "RECIPES",
    "SWIFT",
    "EagerTorch",
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
