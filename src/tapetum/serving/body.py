"""The image file in a request: within its limits, and never on the disk."""

import asyncio
import sys
from collections.abc import AsyncGenerator

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from tapetum.serving.limits import Limits
from tapetum.serving.problems import refusal

__all__ = ["IMAGE_FIELD", "OPENAPI_BODY", "image_file", "require_possible"]

IMAGE_FIELD = "image"
_FORM = "multipart/form-data"
_RAW = ("", "application/octet-stream", "application/dicom")
_FILE = {"type": "string", "format": "binary"}
OPENAPI_BODY = {
    "required": True,
    "content": {
        _FORM: {
            "schema": {
                "type": "object",
                "properties": {IMAGE_FIELD: _FILE},
                "required": [IMAGE_FIELD],
                "additionalProperties": False,
            }
        },
        "application/octet-stream": {"schema": _FILE},
        "image/*": {"schema": _FILE},
    },
}
"""The body of a request, as OpenAPI describes it."""


class _InMemory(MultiPartParser):
    """A parser whose files stay in memory; the limit of the body holds for them."""

    spool_max_size = sys.maxsize


def require_possible(request: Request, limits: Limits) -> None:
    """Refuse a request by its headers, before anything is received.

    Raises:
        HTTPException: 413 or 415.
    """
    kind = _kind(request)
    if kind != _FORM and kind not in _RAW and not kind.startswith("image/"):
        raise refusal(
            415,
            f"a body of type {kind[:100]} is not an image; send the file as image/png or another "
            f"image type, as application/octet-stream, or as the field {IMAGE_FIELD!r} of {_FORM}",
        )
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > limits.max_bytes:
        raise _too_large(limits)


async def image_file(request: Request, limits: Limits) -> bytes:
    """Receive the image file of a request.

    Raises:
        HTTPException: 408 where it is too slow, 413 where it is too large, 422 where it is empty or
            the form is not as described.
    """
    try:
        async with asyncio.timeout(limits.upload_s):
            if _kind(request) == _FORM:
                content = await _from_form(request, limits)
            else:
                content = b"".join([chunk async for chunk in _limited(request, limits)])
    except TimeoutError:
        detail = f"the request took longer than {limits.upload_s:g} s to arrive; send it again"
        raise refusal(408, detail, {"Connection": "close"}) from None
    if not content:
        raise refusal(422, "the body is empty; send an image file")
    return content


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _limited(request: Request, limits: Limits) -> AsyncGenerator[bytes, None]:
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > limits.max_bytes:
            raise _too_large(limits)
        yield chunk


async def _from_form(request: Request, limits: Limits) -> bytes:
    parser = _InMemory(request.headers, _limited(request, limits), max_files=1, max_fields=0)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        remedy = f"send one file, in the field {IMAGE_FIELD!r}"
        raise refusal(422, f"the form cannot be read: {error.message}; {remedy}") from error
    try:
        file = form.get(IMAGE_FIELD)
        if not isinstance(file, UploadFile):
            raise refusal(422, f"the form has no file in the field {IMAGE_FIELD!r}; add it")
        return await file.read()
    finally:
        await form.close()


def _too_large(limits: Limits) -> Exception:
    detail = f"the body is larger than {limits.max_mib:g} MiB; send a smaller file"
    return refusal(413, detail, {"Connection": "close"})
