"""The work of a worker as JSON, in which paths of any bytes survive."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import TypeAdapter

from tapetum.noise import Noise
from tapetum.records import Record
from tapetum.runtime.bulk.job import Execution, Job
from tapetum.runtime.bulk.plan import Shard

__all__ = ["Message"]


class Message(NamedTuple):
    """What a worker does.

    Attributes:
        job: The job; its paths are absolute.
        execution: Threads and limits.
        shard: The part of the images.
        suspect: Whether to pass over the first image, because workers died of it.
    """

    job: Job
    execution: Execution
    shard: Shard
    suspect: bool

    def to_json(self) -> bytes:
        """Return the message in one line."""
        parts = [asdict(self.job), asdict(self.execution), asdict(self.shard), self.suspect]
        return json.dumps(parts, default=_plain).encode() + b"\n"

    @classmethod
    def from_json(cls, line: bytes) -> "Message":
        """Return the message of a line that :meth:`to_json` has made."""
        values, execution, shard, suspect = json.loads(line)
        values["package"], values["out"] = Path(values["package"]), Path(values["out"])
        values["paths"] = tuple(Path(path) for path in values["paths"])
        noise: Noise | None = TypeAdapter(Noise | None).validate_python(values["noise"])
        values["noise"] = noise
        if values["boxes"] is not None:
            values["boxes"] = {
                name: np.array(rows, np.float32) for name, rows in values["boxes"].items()
            }
        return cls(Job(**values), Execution(**execution), Shard(**shard), suspect)


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.model_dump(mode="json")
    return value.tolist() if isinstance(value, np.ndarray) else str(value)
