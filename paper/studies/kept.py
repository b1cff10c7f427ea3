"""What a long script has found so far, in the file that it writes in the end.

So a script that was stopped goes on where it was, and never mixes what was found under other
settings.  For ``reduced_rows.py``, ``integrated_head.py``, ``sequential_contrast.py`` and
``table_7_accuracy.py``.
"""

import json
from pathlib import Path
from typing import Any


def read(path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """What the file holds, its settings among it; these alone where there is no file.

    Args:
        path: Of the file.
        settings: What decides the result, as JSON gives it back.
    """
    if not path.exists():
        return settings
    known: dict[str, Any] = json.loads(path.read_text())
    others = [name for name, value in settings.items() if known.get(name) != value]
    if others:
        raise SystemExit(f"{path} is of other {' and '.join(others)}; give another --json")
    return known


def write(path: Path, known: dict[str, Any], **facts: Any) -> None:
    """Keeps what is known, with facts about the newest of it."""
    path.write_text(json.dumps(known | facts, indent=2) + "\n")
