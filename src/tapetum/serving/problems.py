"""Refusals as JSON problems (RFC 9457: Problem Details for HTTP APIs)."""

from collections.abc import Collection, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as AnyHTTPException

from tapetum.errors import nearest, printable
from tapetum.records import Record

__all__ = ["PROBLEM_TYPE", "Problem", "add_handlers", "refusal", "responses"]

PROBLEM_TYPE = "application/problem+json"
MOST_FAULTS = 8


class Problem(Record):
    """Why a request was refused.

    Attributes:
        type: Always ``about:blank``: the status says the kind of the problem.
        title: The status in words.
        status: The status of the response.
        detail: What was requested, what was found and what to do next.
    """

    type: str = "about:blank"
    title: str
    status: int
    detail: str


def refusal(status: int, detail: str, headers: Mapping[str, str] | None = None) -> HTTPException:
    """Return the exception that ends a request with a problem."""
    return HTTPException(status, printable(detail), dict(headers or {}))


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries of refusals with these statuses."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {PROBLEM_TYPE: {"schema": Problem.model_json_schema()}},
        }
        for status in statuses
    }


def add_handlers(app: FastAPI, keys: Collection[str]) -> None:
    """Let an application answer every error with a problem; ``keys`` are those of its queries."""
    app.add_exception_handler(AnyHTTPException, _refused)
    app.add_exception_handler(RequestValidationError, partial(_invalid, keys))
    app.add_exception_handler(Exception, _failed)


def _response(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    problem = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail)
    return Response(problem.model_dump_json(), status, dict(headers or {}), PROBLEM_TYPE)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, AnyHTTPException)  # noqa: S101 - registered for it
    detail = str(error.detail)
    if error.status_code in (404, 405) and detail == HTTPStatus(error.status_code).phrase:
        detail = "there is nothing of this name and method; /openapi.json lists what there is"
    return _response(error.status_code, detail, error.headers)


async def _invalid(keys: Collection[str], _: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it
    faults = [_described(fault, keys) for fault in error.errors()[:MOST_FAULTS]]
    return _response(422, printable(f"correct the query: {'; '.join(faults)}"))


def _described(fault: Mapping[str, Any], keys: Collection[str]) -> str:
    """Return a fault of a query in words."""
    name = ".".join(map(str, fault["loc"][1:])) or fault["loc"][0]
    if fault["type"] == "extra_forbidden":
        return f"it has no key {name!r} ({nearest(name, keys)})"
    return f"{name}: {fault['msg']}"


async def _failed(_: Request, __: Exception) -> Response:
    """Say nothing of a fault of our own but that it was logged."""
    return _response(500, "the server has failed; its log says why")
