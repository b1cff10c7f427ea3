"""A process that predicts one shard for :mod:`tapetum.runtime.bulk.pool`.

It gets its work from standard input. When that is closed, because the command wants it to stop or
was killed, the process ends after its image in hand.
"""

import json
import os
import sys
import threading

from tapetum.errors import TapetumError
from tapetum.runtime.bulk.message import Message
from tapetum.runtime.bulk.pool import BAD_INPUT, COMPLETE, STOPPED
from tapetum.runtime.bulk.shards import predict_shard

__all__ = ["main"]


def main() -> int:
    """Predict the shard, and return the exit code."""
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):  # the command was killed while it wrote
        return STOPPED
    job, execution, shard, suspect = Message.from_json(line)
    stop = threading.Event()
    threading.Thread(target=_wait_for_end, args=(stop,), daemon=True).start()
    try:
        is_complete = predict_shard(job, execution, shard, should_stop=stop.is_set, suspect=suspect)
    except TapetumError as error:
        json.dump({"problem": error.problem, "remedy": error.remedy}, sys.stdout)
        return BAD_INPUT
    return COMPLETE if is_complete else STOPPED


def _wait_for_end(stop: threading.Event) -> None:
    # Not by sys.stdin, whose lock the end of the interpreter would wait for.
    while os.read(sys.stdin.fileno(), 1):
        pass
    stop.set()


if __name__ == "__main__":
    sys.exit(main())
