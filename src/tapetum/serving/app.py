"""The routes of a server."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.responses import HTMLResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

from tapetum import __version__
from tapetum.errors import InputError
from tapetum.records import Record, parse_json
from tapetum.report import network_page
from tapetum.serving.answers import Answer, AnswerKind, ModelFacts, ModelList, chosen_kind, sent
from tapetum.serving.body import OPENAPI_BODY, image_file, require_possible
from tapetum.serving.counting import CountRequests
from tapetum.serving.limits import Limits
from tapetum.serving.models import Mode, chosen, predict
from tapetum.serving.problems import add_handlers, refusal, responses
from tapetum.serving.service import Service
from tapetum.serving.tokens import Tokens

__all__ = ["create_app"]

_FOR_PROGRAMS = (
    '<p>For programs: <a href="openapi.json">openapi.json</a> describes <code>/v1/predict</code>.'
    "</p>"
)
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "model": Answer,
        "description": "The prediction; or the denoised image alone, with its labels as headers.",
        "content": {"image/png": _BINARY, "image/tiff": _BINARY},
    }
}


class Status(Record):
    """The state of a server.

    Attributes:
        status: In one word.
    """

    status: str


class _Query(BaseModel):
    """The query of a prediction."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = Field(
        None, max_length=100, description="Name of the model; not needed where there is one."
    )
    mode: Mode | None = Field(
        None,
        description="What to compute. By default what the response shows: the label in JSON, both "
        "for an image.",
    )
    answer: AnswerKind | None = Field(
        None, description="Type of the response; by default that of the Accept header."
    )
    top_k: int | None = Field(
        None, ge=1, le=100_000, description="Number of most probable classes; by default all."
    )
    boxes: str | None = Field(
        None,
        # A line of a request has 64 KiB at most, and brackets may be escaped by three characters.
        max_length=16_000,
        pattern=r"^[\[\]0-9eE+., -]*$",
        description="Boxes to classify, as JSON: [[left, top, right, bottom], ...] in pixels.",
    )


def create_app(service: Service) -> ASGIApp:
    """Return the application of a server, for any ASGI server.

    Args:
        service: Its models, limits and tokens.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.queue.close()

    app = FastAPI(
        title="Tapetum",
        version=__version__,
        summary="Denoises an image and classifies it.",
        lifespan=lifespan,
        # Their pages would load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        # What is counted is read at /metrics; nothing is sent.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    add_handlers(app, _Query.model_fields)
    app.include_router(_open_routes(service))
    app.include_router(_guarded_routes(service))
    return CountRequests(app, service)  # outside of all, so that it counts faults too


def _open_routes(service: Service) -> APIRouter:
    """Return what needs no token: the page, and what looks after a server."""
    router = APIRouter()
    shown = network_page(
        "Try an image",
        "Images are sent to this server, which denoises and classifies them.",
        engine="server",
        about=_FOR_PROGRAMS,
    )

    @router.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def root() -> HTMLResponse:
        return HTMLResponse(shown, headers={"Content-Security-Policy": "frame-ancestors 'none'"})

    @router.get("/healthz", summary="Whether the server lives.")
    async def healthz() -> Status:
        return Status(status="alive")

    @router.get("/readyz", summary="Whether the server takes images.", responses=responses(503))
    async def readyz() -> Status:
        if service.is_stopping:
            raise refusal(503, "the server is stopping; ask another one")
        return Status(status="ready")

    return router


def _guarded_routes(service: Service) -> APIRouter:
    """Return what needs a token, if the server has any."""
    refusals = responses(401) if service.tokens else {}
    guards = [Depends(_guard(service.tokens))] if service.tokens else []
    router = APIRouter(dependencies=guards, responses=refusals)

    @router.get("/v1/models", summary="The models, and the limits of the server.")
    async def models() -> ModelList:
        facts = tuple(ModelFacts.of(model) for model in service.models.values())
        return ModelList(models=facts, limits=service.limits)

    @router.get(
        "/metrics",
        summary="Counters in the text format of Prometheus.",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    @router.post(
        "/v1/predict",
        summary="Denoise and classify an image.",
        response_model=None,
        responses={**_ANSWER, **responses(400, 404, 406, 408, 413, 415, 422, 503)},
        openapi_extra={"requestBody": OPENAPI_BODY},
    )
    async def predict_image(request: Request, query: Annotated[_Query, Query()]) -> Response:
        return await _predicted(service, request, query)

    return router


def _guard(tokens: Tokens) -> Callable[..., Awaitable[None]]:
    """Return the dependency that refuses a request without a token."""
    scheme = HTTPBearer(auto_error=False, description="A token of the server.")

    async def guard(
        given: Annotated[HTTPAuthorizationCredentials | None, Depends(scheme)],
    ) -> None:
        if given is None or not tokens.allow(given.credentials):
            detail = "this server wants a token; send the header Authorization: Bearer TOKEN"
            raise refusal(401, detail, {"WWW-Authenticate": "Bearer"})

    return guard


async def _predicted(service: Service, request: Request, query: _Query) -> Response:
    """Refuse what is impossible as early as possible; else receive, wait, compute and answer."""
    model = chosen(service.models, query.model)
    kind = query.answer or chosen_kind(request.headers.get("accept", "*/*"))
    predictor = model.predictor(query.mode, wants_image=kind != "json")
    if query.top_k is not None and (kind != "json" or "logits" not in predictor.outputs):
        detail = "top_k has no effect: the response lists no classes; leave it out"
        raise refusal(422, detail)
    boxes = _boxes(query.boxes)
    require_possible(request, service.limits)
    with service.queue.place():
        service.count_accepted()
        request.state.accepted_at = time.perf_counter()
        try:
            content = await image_file(request, service.limits)
        except ClientDisconnect:
            raise refusal(400, "the client left before its image had arrived") from None

        def work() -> Response:
            image = model.decode(content, service.limits)
            prediction = predict(predictor, image, boxes)
            seconds = prediction.latency_ms / 1000
            service.metrics.network_seconds.labels(model.name).observe(seconds)
            return sent(kind, model.name, image, prediction, query.top_k)

        return await service.queue.run(work)


def _boxes(text: str | None) -> list[Any] | None:
    """Return the boxes of a query, whose numbers the predictor checks."""
    if text is None:
        return None
    try:
        boxes = parse_json(text, source="boxes")
    except InputError as error:
        raise refusal(422, str(error)) from error
    if not isinstance(boxes, list) or not 1 <= len(boxes) <= Limits.MOST_BOXES:
        detail = f"boxes are not a list of 1 to {Limits.MOST_BOXES:,}"
        raise refusal(422, f"{detail}; send [[left, top, right, bottom], ...] in pixels")
    return boxes
