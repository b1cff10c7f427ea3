"""The benchmark of uneven labels: its images, its networks, and that it can be called."""

import subprocess
import sys
from pathlib import Path

import pytest

from uneven_labels import NUM_TRAIN, NUM_VALIDATION, SHARES, network, uneven_folder

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


def test_no_image_is_in_both_parts_and_every_class_has_its_share(tmp_path: Path) -> None:
    """Of classes as large as those of Imagenette, which lie in two parts of their own."""
    for part, count in (("train", 750), ("val", 200)):
        for number in range(10):
            folder = tmp_path / "imagenette128" / part / f"n{number:02}"
            folder.mkdir(parents=True)
            for index in range(count):
                (folder / f"{part}-{index}.png").touch()
    made = uneven_folder(tmp_path, tmp_path / "out", seed=1)
    for name, share in zip(sorted(path.name for path in (made / "train").iterdir()), SHARES):  # noqa: B905
        parts = [
            {link.resolve() for link in (made / part / name).iterdir()} for part in ("train", "val")
        ]
        assert [len(part) for part in parts] == [
            round(share * total) for total in (NUM_TRAIN, NUM_VALIDATION)
        ]
        assert not parts[0] & parts[1]


@pytest.mark.parametrize("balance", ["before", "none", "auto"])
def test_every_case_has_a_network_for_its_classes(balance: str) -> None:
    """And the colours of its images, the earlier default too."""
    made = network(balance)
    assert (made.image_channels, made.num_classes) == (3, len(SHARES))
    assert not made.classifies_boxes


@pytest.mark.slow
@pytest.mark.parametrize("script", sorted(path.name for path in BENCHMARKS.glob("*.py")))
def test_every_benchmark_can_be_called(script: str) -> None:
    """With ``--help``; a module that others share does nothing."""
    done = subprocess.run([sys.executable, BENCHMARKS / script, "--help"], capture_output=True)
    assert done.returncode == 0, done.stderr
