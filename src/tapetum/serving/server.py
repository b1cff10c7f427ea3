"""Run a server until a signal stops it."""

import asyncio
import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn

from tapetum.errors import InputError
from tapetum.serving.app import create_app
from tapetum.serving.service import Service

__all__ = ["bind", "serve"]

_BACKLOG = 1024
# Longer than clients and proxies keep an idle connection (60 s as a rule), so that none of them
# sends a request on a connection that is being closed here.
_KEEP_ALIVE_S = 75
_SECONDS_TO_SEND = 10  # the last responses, to clients that read slowly


def bind(host: str, port: int) -> socket.socket:
    """Take a port.

    Args:
        host: Address or name of an interface.
        port: From 1 to 65535; 0 for any free one.

    Raises:
        InputError: The port is taken, or there is no such interface.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except UnicodeError as error:  # of IDNA, in which names are asked for
        problem = f"{host!r} is not an address or a name of a host"
        raise InputError(problem, "correct --host") from error
    except OSError as error:
        # Python repeats the address behind the words of the system.
        reason = (error.strerror or str(error)).partition(" (while")[0]
        problem = f"cannot listen on {host}, port {port}: {reason}"
        raise InputError(problem, "use another --port or --host") from error


def serve(service: Service, listener: socket.socket, on_ready: Callable[[], None]) -> None:
    """Answer requests until SIGTERM or Ctrl-C; then finish what was accepted, and return.

    A second Ctrl-C ends it at once.

    Args:
        service: Models, limits and tokens.
        listener: From :func:`bind`; it is closed at the end.
        on_ready: Called when requests are answered.
    """
    limits = service.limits
    seconds = limits.upload_s + limits.timeout_s + _SECONDS_TO_SEND
    config = uvicorn.Config(
        create_app(service),
        log_config=None,  # faults go to standard error
        access_log=False,
        server_header=False,
        ws="none",
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=int(seconds),
    )
    asyncio.run(_Server(config, service, on_ready).serve([listener]))


class _Server(uvicorn.Server):
    """A server that ends without an error where a signal asks it to."""

    def __init__(
        self, config: uvicorn.Config, service: Service, on_ready: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._service, self._on_ready = service, on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        self._on_ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Stop; unlike the original, do not raise the signal again at the end."""
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = self._service.is_stopping = True
