"""A network in a file, opened in a process of its own."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tapetum.jobs import network_file


def test_the_current_folder_provides_no_module_of_the_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A json.py of somebody else is not run."""
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong module')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(network_file, "_CHILD", "import json; print(json.dumps(7))")
    file: Any = SimpleNamespace(arguments={}, name="a.onnx")
    assert network_file.peak_memory_mb([file], 1) == 7
