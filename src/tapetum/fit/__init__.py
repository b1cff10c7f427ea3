"""The main job: pictures in, a trained and scored network out, with a page that shows both."""

from tapetum.fit.budget import Budgeted, fit_to_budget
from tapetum.fit.budget_page import write_budget_page
from tapetum.fit.job import choose_recipe, fit, score
from tapetum.fit.pictures import (
    DIGIT_CROPS,
    DIGITS,
    Pictures,
    architecture_for,
    open_pictures,
    require_fit,
)
from tapetum.fit.request import Asked, Recipes, ask_budget, budget_recipes, budget_space
from tapetum.fit.ship import export_run
from tapetum.fit.subject import Subject, open_subject, package_predict

__all__ = [
    "DIGITS",
    "DIGIT_CROPS",
    "Asked",
    "Budgeted",
    "Pictures",
    "Recipes",
    "Subject",
    "architecture_for",
    "ask_budget",
    "budget_recipes",
    "budget_space",
    "choose_recipe",
    "export_run",
    "fit",
    "fit_to_budget",
    "open_pictures",
    "open_subject",
    "package_predict",
    "require_fit",
    "score",
    "write_budget_page",
]
