"""A server of tiny packages for tests, in this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.testclient import TestClient

from packages import CLASSIFIER, DENOISER, JOINT, real
from tapetum import Predictor
from tapetum.runtime import Package
from tapetum.serving import Limits, ModelOptions, ServedModel, Service, Tokens, create_app

SIDE_PX = 24
PREDICT = "/v1/predict"


def packages() -> dict[str, Package]:
    """One of each kind: joint, in colour, of boxes, and one task alone."""
    return {
        "grey": real(JOINT, boxes=False, size_px=SIDE_PX),
        "colour": real(JOINT, boxes=False, channels=3, size_px=SIDE_PX),
        "boxes": real(JOINT, boxes=True, size_px=SIDE_PX),
        "denoiser": real(DENOISER, size_px=SIDE_PX),
        "classifier": real(CLASSIFIER, boxes=False, size_px=SIDE_PX),
    }


def service_of(
    opened: dict[str, Package], limits: Limits | None = None, tokens: Tokens | None = None
) -> Service:
    """A service of some packages, each with one thread."""
    options = ModelOptions(threads=1)
    models = {name: ServedModel.of(name, each, options) for name, each in opened.items()}
    return Service(models, limits or Limits(), tokens)


@contextmanager
def client_of(service: Service) -> Iterator[TestClient]:
    """A client that gets the responses of a service, 500 among them."""
    with TestClient(create_app(service), raise_server_exceptions=False) as client:
        yield client


def predictor_of(package: Package, mode: Any) -> Predictor:
    """The predictor that a server should agree with."""
    return Predictor(package, mode=mode, threads=1)
