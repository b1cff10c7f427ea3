"""A predictor in threads, in processes, after a fork, and after its end."""

import multiprocessing
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from packages import JOINT, noise, real, toy
from tapetum.errors import InputError
from tapetum.runtime import Predictor, write_package

IMAGES = [noise(40, 50 + index) for index in range(4)]


def probabilities_of(predictor: Predictor, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """The answer of a worker."""
    probabilities = predictor(image).probabilities
    assert probabilities is not None
    return probabilities


def test_a_pickled_predictor_is_the_same_one() -> None:
    """All of its options survive, and it answers the same to the last bit."""
    options = {"threads": 1, "memory_mib": 300, "top_k": 2, "reject_below": 0.5}
    predictor = Predictor(real(JOINT, boxes=False, size_px=32), mode="both", **options)  # type: ignore[arg-type]
    again = ForkingPickler.loads(ForkingPickler.dumps(predictor))
    for image in IMAGES:
        one, other = predictor(image), again(image)
        np.testing.assert_array_equal(other.probabilities, one.probabilities)
        np.testing.assert_array_equal(other.pixels, one.pixels)
        assert (other.labels, other.by_class) == (one.labels, one.by_class)
    assert again.max_pixels == predictor.max_pixels


def test_worker_processes_answer_the_same() -> None:
    """A predictor can be sent to a pool of fresh processes."""
    predictor = Predictor(toy(JOINT), threads=1)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        given = list(pool.map(probabilities_of, [predictor] * 2, IMAGES[:2]))
    for answer, image in zip(given, IMAGES[:2], strict=True):
        np.testing.assert_array_equal(answer, probabilities_of(predictor, image))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks")
def test_a_forked_process_does_not_hang(tmp_path: Path) -> None:
    """The threads of a session do not survive a fork: the child opens a session of its own."""
    package = real(JOINT, boxes=False, size_px=32)
    write_package(tmp_path / "one.tapetum", package.graph_bytes, package.manifest, "")
    code = """
import multiprocessing, sys
import numpy as np
from tapetum.runtime import Predictor

predictor = Predictor.open(sys.argv[1], threads=2)
image = np.linspace(0, 1, 96 * 96, dtype=np.float32).reshape(96, 96)
wanted = predictor(image).probabilities

def ask(_):
    return predictor(image).probabilities

with multiprocessing.get_context("fork").Pool(1) as pool:
    given = pool.map_async(ask, [0, 1]).get(60)
assert all(np.array_equal(one, wanted) for one in given)
print("equal")
"""
    command = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "one.tapetum")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "equal\n", done.stderr


def test_threads_share_a_predictor() -> None:
    """Sessions that are opened by the first images, in several threads, are no trouble."""
    package = real(JOINT, boxes=False, size_px=32)
    wanted = [probabilities_of(Predictor(package, threads=1), image) for image in IMAGES]
    predictor = Predictor(package, threads=1)
    with ThreadPoolExecutor(4) as pool:
        given = list(pool.map(lambda image: probabilities_of(predictor, image), IMAGES * 4))
    for answer, expected in zip(given, wanted * 4, strict=True):
        np.testing.assert_array_equal(answer, expected)


def test_a_closed_predictor_says_so() -> None:
    """A context manager closes it at its end; it cannot be used after that."""
    with Predictor(toy(JOINT), threads=1) as predictor:
        assert predictor(noise(8, 8)).label is not None
    with pytest.raises(InputError, match="this predictor is closed; open the package again"):
        predictor(noise(8, 8))


def test_warming_up_opens_all_that_the_first_image_needs() -> None:
    """After it, neither a prepared nor a larger image opens another session."""
    predictor = Predictor(real(JOINT, boxes=False, size_px=32), threads=1)
    predictor.warm_up()
    network = predictor._network
    assert network is not None
    opened = set(network._sessions)
    for image in (noise(32, 32), noise(50, 40)):
        predictor(image)
    assert set(network._sessions) == opened
    assert len(opened) == 3


def test_warming_up_takes_boxes() -> None:
    """Where boxes are classified, one is made up."""
    Predictor(real(JOINT, boxes=True), threads=1).warm_up(64, 48)


@pytest.mark.parametrize("size", [(0, 8), (8, -1), ("8", 8), (8.5, 8)], ids=str)
def test_warming_up_takes_whole_numbers(size: Any) -> None:
    """Other sizes are refused in a sentence."""
    with pytest.raises(InputError, match="pass whole numbers of pixels"):
        Predictor(toy(JOINT), threads=1).warm_up(*size)
