"""The main job: images in, a trained and scored network out, with a page that shows both."""

from tapetum.jobs.controls import control
from tapetum.jobs.dataset import architecture_for, require_fit
from tapetum.jobs.demo import run_demo
from tapetum.jobs.evaluate import Subject, open_subject, package_predict
from tapetum.jobs.export import export_run
from tapetum.jobs.fit import FitResult, fit_to_budget
from tapetum.jobs.fit_report import write_fit_report
from tapetum.jobs.request import FitRequest, Recipes, ask_budget, budget_recipes, budget_space
from tapetum.jobs.train import choose_recipe, fit, score

__all__ = [
    "FitRequest",
    "FitResult",
    "Recipes",
    "Subject",
    "architecture_for",
    "ask_budget",
    "budget_recipes",
    "budget_space",
    "choose_recipe",
    "control",
    "export_run",
    "fit",
    "fit_to_budget",
    "open_subject",
    "package_predict",
    "require_fit",
    "run_demo",
    "score",
    "write_fit_report",
]
