"""The main job: pictures in, a trained and scored network out, with a page that shows both."""

from tapetum.fit.job import choose_recipe, fit, score
from tapetum.fit.pictures import (
    Pictures,
    architecture_for,
    open_pictures,
    require_fit,
)
from tapetum.fit.ship import export_run
from tapetum.fit.subject import Subject, open_subject, package_predict

__all__ = [
    "Pictures",
    "Subject",
    "architecture_for",
    "choose_recipe",
    "export_run",
    "fit",
    "open_pictures",
    "open_subject",
    "package_predict",
    "require_fit",
    "score",
]
