"""Packages behind HTTP, without torch; start at :func:`serve`.

A request goes through the modules in this order: ``app`` (routes), ``tokens`` (who may ask),
``body`` (the image of a request, within its limits), ``work`` (a bounded queue and its threads),
``models`` (the predictors) and ``answers`` (what is sent back). What is refused is a JSON problem
(``problems``), and everything is counted (``metrics``).
"""

from tapetum.serving.app import create_app
from tapetum.serving.limits import Limits
from tapetum.serving.models import ModelOptions, ServedModel, open_models
from tapetum.serving.server import bind, serve
from tapetum.serving.service import Service
from tapetum.serving.tokens import Tokens

__all__ = [
    "Limits",
    "ModelOptions",
    "ServedModel",
    "Service",
    "Tokens",
    "bind",
    "create_app",
    "open_models",
    "serve",
]
