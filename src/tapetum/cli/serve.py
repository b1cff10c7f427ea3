"""``tapetum serve``: answer requests over HTTP with packages."""

from pathlib import Path

import typer

from tapetum.cli import options
from tapetum.cli.common import answer, say
from tapetum.cli.options import MAIN, option

__all__ = ["serve"]

LOAD = "Load and limits"
_LOCAL = ("127.0.0.1", "::1", "localhost")


_HOST = option("127.0.0.1", MAIN, "Address to listen on; 0.0.0.0 for all.", metavar="HOST")
_PORT = option(
    8000, MAIN, "Port; 0 for any free one.", rule=options.a_number(int, 8000, least=0, most=65535)
)
_TOKEN_FILE = option(
    None, MAIN, "File with one token a line, of which a client must send one.", metavar="FILE"
)
_WORKERS = option(
    None,
    LOAD,
    "Number of images to compute at once.",
    rule=options.COUNT,
    shown="cores over threads",
)
_QUEUE = option(
    32, LOAD, "Number of images that may wait.", rule=options.a_number(int, 32, least=0)
)
_TIMEOUT = option(
    30.0,
    LOAD,
    "Time limit for an image to wait and be computed, in seconds.",
    rule=options.a_number(float, 30, above=0),
)
_MIB = option(16.0, LOAD, "Largest request, in MiB.", rule=options.a_number(float, 16, above=0))
_MEGAPIXELS = option(
    16.0, LOAD, "Largest image, in megapixels.", rule=options.a_number(float, 16, above=0)
)


def serve(
    packages: list[str] = typer.Argument(
        ..., metavar="PACKAGE", help="Packages as FILE.tapetum, or as NAME=FILE.tapetum."
    ),
    *,
    host: str = _HOST,
    port: int = _PORT,
    token_file: Path | None = _TOKEN_FILE,
    workers: int | None = _WORKERS,
    queue: int = _QUEUE,
    timeout: float = _TIMEOUT,
    max_mib: float = _MIB,
    max_megapixels: float = _MEGAPIXELS,
    threads: int | None = options.PACKAGE_THREADS,
    provider: str = options.PROVIDER,
    memory: int = options.MEMORY,
    reject_below: float = options.REJECT_BELOW,
    json: bool = options.JSON,
) -> None:
    """Answer requests over HTTP with packages, until SIGTERM or Ctrl-C.

    The exit code is 0 after such a signal: what was accepted is answered first.

    Examples:

      tapetum serve photos.tapetum

      tapetum serve day=a/model.tapetum night=b/model.tapetum --host 0.0.0.0 --token-file tokens.txt
    """
    from tapetum import serving
    from tapetum.provenance import usable_cores

    tokens = serving.Tokens.read(token_file) if token_file is not None else serving.Tokens()
    listener = serving.bind(host, port)
    with listener:
        opened = serving.open_models(
            packages,
            serving.ModelOptions(
                threads=threads, memory_mib=memory, provider=provider, reject_below=reject_below
            ),
        )
        busiest = max(model.threads for model in opened.values())
        limits = serving.Limits(
            max_mib=max_mib,
            max_megapixels=max_megapixels,
            workers=workers or max(1, usable_cores() // busiest),
            queue=queue,
            timeout_s=timeout,
        )
        service = serving.Service(opened, limits, tokens)
        shown, number = f"[{host}]" if ":" in host else host, listener.getsockname()[1]
        url = f"http://{shown}:{number}"

        def say_ready() -> None:
            if json:
                answer({"url": url, "models": list(opened), "workers": limits.workers})
            say(f"{', '.join(opened)} at {url}, {limits.workers} at once; Ctrl-C stops it")
            if host not in _LOCAL and not tokens:
                say(f"whoever reaches {host} can use it: set --token-file", label="note")

        serving.serve(service, listener, say_ready)
    say(f"stopped: {service.num_accepted:,} accepted, {service.num_answered:,} answered")
