"""Open a page in a headless Chromium that is installed on this machine, through its pipe.

The commands are those of the Chrome DevTools Protocol
(https://chromedevtools.github.io/devtools-protocol/), as JSON that ends in a zero byte.
"""

import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tapetum.errors import PackageError

__all__ = ["BrowserError", "Page", "find_chromium", "open_page"]

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_OPTIONS = (
    *("--headless=new", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-default-apps", "--disable-extensions", "--mute-audio", "--disable-dev-shm-usage"),
)
# Gives a browser two descriptors as its pipe, which it expects at 3 and 4, and becomes it.
_CONNECT = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); "
    "os.execv(sys.argv[3], sys.argv[3:])"
)
ANSWER_S = 120.0  # on a slow and busy machine


def find_chromium() -> str | None:
    """Return the program; None where there is none, and where it cannot be started so."""
    if os.name != "posix":
        return None
    return next((found for name in _NAMES if (found := shutil.which(name)) is not None), None)


class BrowserError(PackageError):
    """The browser does not work here, whatever the page."""


class Page:
    """One page of a browser.

    Attributes:
        requests: The address of everything that the page has requested.
        problems: What its scripts could not do.
    """

    def __init__(self, reading: int, writing: int) -> None:
        self._reading, self._writing = reading, writing
        self._buffer, self._count = b"", 0
        self._session: str | None = None
        self.requests: list[str] = []
        self.problems: list[str] = []

    def go(self, address: str) -> None:
        """Open an address in a new page, and listen to its requests."""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for room in ("Page", "Runtime", "Network", "DOM"):
            self.ask(f"{room}.enable")
        self.ask("Page.navigate", url=address)

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression, awaited where it is a promise.

        Raises:
            PackageError: It throws.
        """
        found = self.ask(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in found:
            details = found["exceptionDetails"]
            text = details.get("exception", {}).get("description") or details.get("text")
            raise PackageError(f"the page failed in the browser: {text}", "update the browser")
        return found["result"].get("value")

    def wait_for(self, expression: str) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + ANSWER_S
        while not self.evaluate(f"Boolean({expression})"):
            if time.monotonic() > end:
                raise PackageError(f"{expression} did not come true in a page", "try again")
            time.sleep(0.05)

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command, and return its result.

        Raises:
            BrowserError: The browser refuses it, or does not answer.
        """
        self._count += 1
        command: dict[str, Any] = {"id": self._count, "method": method, "params": parameters}
        if self._session is not None:
            command["sessionId"] = self._session
        self._write(json.dumps(command).encode() + b"\0")
        while True:
            message = self._next()
            self._note(message)
            if message.get("id") == self._count:
                break
        if "error" in message:
            raise BrowserError(f"the browser refuses {method}: {message['error']}", "update it")
        found: dict[str, Any] = message["result"]
        return found

    def _write(self, content: bytes) -> None:
        try:
            while content:
                content = content[os.write(self._writing, content) :]
        except BrokenPipeError as error:
            raise _ended() from error

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            if not select.select([self._reading], [], [], ANSWER_S)[0]:
                raise BrowserError(f"the browser gave no answer for {ANSWER_S:g} s", "try again")
            part = os.read(self._reading, 1 << 20)
            if not part:
                raise _ended()
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def _note(self, message: dict[str, Any]) -> None:
        method, parameters = message.get("method"), message.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.problems.append(str(parameters["exceptionDetails"]))


def _ended() -> BrowserError:
    return BrowserError("the browser has ended", "try again, or remove it")


@contextmanager
def open_page(program: str, path: Path, *options: str) -> Iterator[Page]:
    """Open a file in a browser, which ends with the context.

    Args:
        program: From :func:`find_chromium`.
        path: The file.
        options: Further options of the program.

    Raises:
        BrowserError: The browser does not work here, such as one that may have no sandbox.
    """
    with TemporaryDirectory(ignore_cleanup_errors=True) as home:
        process, reading, writing = _started([program, *_OPTIONS, *options], home)
        try:
            page = Page(reading, writing)
            page.go(path.resolve().as_uri())
            yield page
        finally:
            _end(process)
            os.close(writing)
            os.close(reading)


def _started(command: Sequence[str], home: str) -> tuple[subprocess.Popen[bytes], int, int]:
    """Start a browser, and return our ends of its pipe, for reading and for writing."""
    import fcntl  # not on Windows

    theirs_reads, ours_writes = os.pipe()
    ours_reads, theirs_writes = os.pipe()
    # Above 3 and 4, so that neither overwrites the other.
    given = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, 10) for one in (theirs_reads, theirs_writes)]
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium has none for root
    program, *options = command
    process = subprocess.Popen(  # noqa: S603  (the program that is installed here)
        [
            *(sys.executable, "-P", "-c", _CONNECT, *map(str, given), program, *options, *sandbox),
            *(f"--user-data-dir={home}", "about:blank"),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=given,
        env=os.environ | {"HOME": home},
    )
    for one in (theirs_reads, theirs_writes, *given):
        os.close(one)
    return process, ours_reads, ours_writes


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a browser, and with it its own processes."""
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
