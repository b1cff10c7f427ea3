"""Training: one loop for every network, recipes as data, runs that survive a kill."""

from tapetum.training.batches import Batch, evaluation_batches, training_batches
from tapetum.training.checkpoint import EpochRecord, Position
from tapetum.training.compute import Compute, is_main_process
from tapetum.training.evaluate import NetworkSubject, Predict, network_predict
from tapetum.training.length import Length
from tapetum.training.loop import EpochLoop
from tapetum.training.process import prepare_process
from tapetum.training.recipe import Balance, BaseRecipe, Recipe
from tapetum.training.run import RUNS, Request, Result, Run, Start, load_network
from tapetum.training.short import ShortTraining
from tapetum.training.trainer import train
from tapetum.training.validate import look

__all__ = [
    "RUNS",
    "Balance",
    "BaseRecipe",
    "Batch",
    "Compute",
    "EpochLoop",
    "EpochRecord",
    "Length",
    "NetworkSubject",
    "Position",
    "Predict",
    "Recipe",
    "Request",
    "Result",
    "Run",
    "ShortTraining",
    "Start",
    "evaluation_batches",
    "is_main_process",
    "load_network",
    "look",
    "network_predict",
    "prepare_process",
    "train",
    "training_batches",
]
