"""Count requests and responses, whatever route they take."""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tapetum.serving.service import Service

__all__ = ["CountRequests"]


class CountRequests:
    """Counts each response by its route, and forbids browsers to guess its type.

    Args:
        app: The application inside.
        service: Whose metrics count.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                # Not the path, of which there is no end.
                route = getattr(scope.get("route"), "path", "other")
                self._service.metrics.requests.labels(route, message["status"]).inc()
                more = [(b"x-content-type-options", b"nosniff")]
                message = {**message, "headers": [*message.get("headers", ()), *more]}
            await send(message)
            accepted_at = scope["state"].get("accepted_at")
            is_last = message["type"] == "http.response.body" and not message.get("more_body")
            if is_last and accepted_at is not None:
                self._service.count_answer(time.perf_counter() - accepted_at)

        await self._app(scope, receive, counted)
