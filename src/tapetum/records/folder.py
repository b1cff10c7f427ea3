"""Folders of long work that survive a kill: one protocol for runs, searches, fits and campaigns.

::

    FOLDER/
      request.json   what was requested, and by which version; written first, in one step
      ...            what the work writes; each part can be written again
      result.json    how the work ended; written last, in one step

A folder without ``result.json`` is unfinished and can be continued.  A folder with it is finished.
Whatever lies between the two files must be safe to do again.
"""

import json
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic, TypeVar

from tapetum.errors import RunError
from tapetum.records.files import hidden_beside, is_part_file, require_place, write_atomically
from tapetum.records.lock import hold
from tapetum.records.reading import read_json
from tapetum.records.record import Record, differences, in_its_version
from tapetum.records.version import AGAIN, MADE_BY, REQUEST, made_by, maker, request_at

__all__ = ["Folder", "FolderKind"]

Q = TypeVar("Q", bound=Record)
R = TypeVar("R", bound=Record)
S = TypeVar("S", bound=Record)

_log = logging.getLogger(__name__)

RESULT = "result.json"


@dataclass(frozen=True)
class Folder(Generic[Q, R]):
    """A folder of long work; see the module's description for its files.

    Attributes:
        kind: The kind of the work.
        path: The folder.
        request: What was requested.
        lock: The descriptor that keeps other commands out, which child processes may inherit.
    """

    kind: "FolderKind[Q, R]"
    path: Path
    request: Q
    lock: int | None = field(default=None, compare=False)

    @property
    def is_finished(self) -> bool:
        """Whether the work has come to its end."""
        return (self.path / RESULT).is_file()

    def result(self) -> R:
        """Return how the work ended.

        Raises:
            RunError: The work is not finished.
        """
        self.kind.require_finished(self.path)
        return self.kind.result_type.read(self.path / RESULT)

    def finish(self, result: R) -> None:
        """Write the result, which marks the end; every other file must be there by then."""
        result.write(self.path / RESULT)

    def reopen(self) -> None:
        """Begin to continue the work: it has no result, and no temporary files of a kill."""
        (self.path / RESULT).unlink(missing_ok=True)
        self.sweep()

    def once(self, name: str, kind: type[S], make: Callable[[], S]) -> S:
        """Return the record of a step, kept under a file name; make it where it is missing."""
        path = self.path / name
        if path.exists():
            return kind.read(path)
        made = make()
        made.write(path)
        return made

    def require_unfinished(self) -> None:
        """Raise a :class:`~tapetum.errors.RunError` if the work is finished."""
        if self.is_finished:
            raise RunError(
                f"the {self.kind.name} in {self.path} is finished, so there is nothing to resume",
                "choose another --out, or replace it with --overwrite",
            )

    def require_same(self, request: Q) -> None:
        """Raise a :class:`~tapetum.errors.RunError` that names each field that differs."""
        if changes := differences(self.request, request):
            by = maker(self.path / REQUEST)
            is_ours = by in (None, made_by())
            started = "was started" if is_ours else f"was started by {by}"
            raise RunError(
                f"the {self.kind.name} in {self.path} {started} with another request: "
                f"{'; '.join(changes)}",
                "request the same again, or choose another --out" if is_ours else AGAIN,
            )

    def sweep(self) -> None:
        """Remove the temporary files of a killed process."""
        for path in self.path.rglob(".*"):
            if not is_part_file(path):
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


@dataclass(frozen=True)
class FolderKind(Generic[Q, R]):
    """A kind of long work, such as training runs.

    Attributes:
        name: The work in messages, such as ``run``.
        request_type: Type of the request; its field ``format`` tells this kind from others.
        result_type: Type of the result.
        command: The command that starts such work, such as ``tapetum train``.
    """

    name: str
    request_type: type[Q]
    result_type: type[R]
    command: str

    @contextmanager
    def work(
        self,
        path: Path,
        request: Q,
        *,
        resume: bool = False,
        overwrite: bool = False,
        shared: bool = False,
        wait_s: float = 0.0,
    ) -> Iterator[Folder[Q, R]]:
        """Create the folder of new work, or open it to continue, and keep other commands out of it.

        Args:
            path: The folder; missing parents are created.
            request: What is requested now.
            resume: Whether to continue work of the same request; where there is none, new work
                starts.
            overwrite: Whether to remove older work of this kind at ``path``, with everything in its
                folder.  A folder of anything else is never touched.
            shared: Whether others that say so too may work in the folder at the same time.
            wait_s: How long to wait for another command, in seconds.

        Raises:
            RunError: The folder is taken, holds another request, cannot be replaced, or another
                command is writing to it; or both ``resume`` and ``overwrite`` are given.
        """
        _refuse_both(resume=resume, overwrite=overwrite)
        with _said_to_resume(path), ExitStack() as locks:

            def lock() -> int | None:
                return locks.enter_context(hold(path, shared=shared, wait_s=wait_s))

            if not path.exists():
                path.resolve().mkdir(parents=True, exist_ok=True)  # follows a link at ``path``
            held = lock() if path.is_dir() else None
            if self.is_at(path) and resume:
                folder = self.open(path)
                folder.require_same(request)
                yield replace(folder, lock=held)
                return
            if self.is_at(path) and not _has_begun(path):
                pass  # the work stopped before it had made anything: nothing is lost
            elif _is_taken(path):
                self._make_room(path, overwrite=overwrite)
                path.resolve().mkdir(parents=True, exist_ok=True)
                held = lock()
            _remove_aside(path)
            _write_request(path, request)
            yield Folder(self, path, request, held)

    def start(self, path: Path, request: Q, **options: bool) -> Folder[Q, R]:
        """Create or open a folder as :meth:`work` does, and keep nobody out of it."""
        with self.work(path, request, **options) as folder:
            return replace(folder, lock=None)

    def extend(self, path: Path, request: Q, *, smaller: Q) -> None:
        """Let work of a smaller request, finished or not, continue as that of a larger one.

        Nothing happens where the folder holds other work, or the requests are equal.
        """
        if request == smaller or not self.is_at(path):
            return
        with hold(path):
            if self.open(path).request == smaller:
                (path / RESULT).unlink(missing_ok=True)
                _write_request(path, request)

    def open(self, path: Path) -> Folder[Q, R]:
        """Open the folder of work that has begun, finished or not.

        Raises:
            RunError: There is no such work at ``path``, or it is of another kind.
            InputError: Its request is damaged.
        """
        self.require_begun(path)
        values = read_json(path / REQUEST)
        if isinstance(values, dict):
            values.pop(MADE_BY, None)
            if values.get("format", self._format) != self._format:
                raise RunError(
                    f"{path} is not the folder of a {self.name}: its {REQUEST} is of another kind",
                    f"give a folder that '{self.command} --out' has made",
                )
        with in_its_version(path / REQUEST):
            request = self.request_type.from_values(values, source=str(path / REQUEST))
        return Folder(self, path, request)

    def exists(self, path: Path) -> bool:
        """Return whether work has begun at ``path``."""
        return (path / REQUEST).is_file()

    def note_start(self, path: Path) -> None:
        """Say that there is nothing to resume at ``path``, if no such work has begun there."""
        if not self.exists(path):
            _log.warning("%s holds no %s to resume: it starts from the beginning", path, self.name)

    def require_begun(self, path: Path) -> None:
        """Raise a :class:`~tapetum.errors.RunError` if no such work has begun at ``path``."""
        if not self.exists(path):
            raise RunError(
                f"{path} is not the folder of a {self.name}: it has no {REQUEST}",
                f"give a folder that '{self.command} --out' has made",
            )

    def require_finished(self, path: Path) -> None:
        """Raise a :class:`~tapetum.errors.RunError` if no work at ``path`` has a result."""
        self.require_begun(path)
        if not (path / RESULT).is_file():
            raise RunError(
                f"the {self.name} in {path} is not finished", "continue it with --resume"
            )

    def require_free(self, path: Path, *, resume: bool = False, overwrite: bool = False) -> None:
        """Raise a :class:`~tapetum.errors.RunError` if a folder is taken or cannot be made.

        Args:
            path: The folder.
            resume: Whether older work of this kind may be continued there.
            overwrite: Whether it may be replaced.
        """
        _refuse_both(resume=resume, overwrite=overwrite)
        if not _is_taken(path):
            require_place(path, RunError)
            return
        if not self.is_at(path):
            raise RunError(
                f"{path} exists and is not the folder of a {self.name}, so it is left alone",
                "choose another --out",
            )
        if _has_begun(path) and not resume and not overwrite:
            raise RunError(
                f"{path} already contains a {self.name}",
                "continue it with --resume, replace it with --overwrite, or choose another --out",
            )

    def require_idle(self, path: Path) -> None:
        """Raise a :class:`~tapetum.errors.RunError` while another command writes to a folder."""
        if self.is_at(path):
            with hold(path):
                pass

    def is_at(self, path: Path) -> bool:
        """Return whether the folder holds such work, of whatever version."""
        return request_at(path / REQUEST).get("format") == self._format

    @property
    def _format(self) -> object:
        return self.request_type.model_fields["format"].default

    def _make_room(self, path: Path, *, overwrite: bool) -> None:
        """Put older work aside in one step if that is allowed; anything else is an error."""
        self.require_free(path, overwrite=overwrite)
        if Path.cwd().is_relative_to(path.resolve()):
            raise RunError(
                f"the {self.name} in {path} contains the current folder",
                "change to another folder to replace it",
            )
        _remove_aside(path)
        try:
            path.resolve().rename(_aside(path))
        except OSError as error:
            raise RunError(
                f"the {self.name} in {path} cannot be replaced: {error.strerror or error}",
                "choose another --out",
            ) from error


def _refuse_both(*, resume: bool, overwrite: bool) -> None:
    if resume and overwrite:
        raise RunError(
            "--resume continues what is there and --overwrite replaces it, so both are not "
            "possible",
            "give one of them",
        )


@contextmanager
def _said_to_resume(path: Path) -> Iterator[None]:
    """Note in an interrupt that the work can be continued, where some of it is kept."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        if path.is_dir() and _has_begun(path):
            interrupt.add_note(
                f"what is done is kept in {path}; repeat the command with --resume to continue"
            )
        raise


def _write_request(path: Path, request: Record) -> None:
    """Write what is requested, and the version that begins the work."""
    values = {MADE_BY: made_by(), **json.loads(request.to_json())}
    write_atomically(path / REQUEST, (json.dumps(values, indent=2) + "\n").encode())


def _is_taken(path: Path) -> bool:
    if not path.is_dir():
        return path.exists()
    return any(not is_part_file(entry) for entry in path.iterdir())


def _has_begun(path: Path) -> bool:
    """Return whether a folder of ours holds anything but its request."""
    entries = path.iterdir()
    return any(entry.name != REQUEST and not is_part_file(entry) for entry in entries)


def _remove_aside(path: Path) -> None:
    """Remove the older work that was at ``path``, or what a kill has left of it."""
    if _aside(path).is_dir():
        shutil.rmtree(_aside(path))


def _aside(path: Path) -> Path:
    """Return where older work waits for its removal: hidden, and nobody else's by its name."""
    return hidden_beside(path.resolve(), ".replaced-by-tapetum")
