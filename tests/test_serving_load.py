"""The server in a process of its own: hostile files, more than it can compute, and a signal."""

import asyncio
import base64
import itertools
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np
import pytest

from serve_hostile import (
    MUTATED,
    image_bytes,
    mutated,
    schemathesis,
    what_schemathesis_said,
)
from serve_load import OVERLOAD, Server, capacity_of, counted, draw_image, overloaded, running
from tapetum import Predictor
from tapetum.formats.chromium import Page, find_chromium, open_page
from tiny_package import tiny_package
from tiny_server import PREDICT, client_of, packages, service_of

TOKEN = "a-token-of-the-tests-0123456789"  # noqa: S105 - guards nothing


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that denoises and classifies grey images."""
    return tiny_package(tmp_path_factory.mktemp("package") / "photos.tapetum")


@pytest.fixture(scope="module")
def server(package: Path) -> Iterator[Server]:
    """A server of it."""
    with running(package) as server:
        yield server


@pytest.mark.parametrize(
    "count", [60, pytest.param(MUTATED, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_no_damaged_file_is_a_fault_of_the_server(count: int) -> None:
    """Each is answered or refused with 4xx and a problem, and the server is as before."""
    service = service_of({"grey": packages()["grey"]})
    seen: Counter[int] = Counter()
    with client_of(service) as client:
        for content in mutated(count):
            answer = ("json", "png", "tiff")[len(content) % 3]
            response = client.post(f"{PREDICT}?answer={answer}", content=content)
            seen[response.status_code] += 1
            assert response.status_code < 500, response.text
            if response.status_code >= 400:
                assert response.json()["status"] == response.status_code
        assert client.post(PREDICT, content=image_bytes()).status_code == 200
    assert seen[422] > count / 4  # most are recognised and then found to be damaged
    assert seen[200]
    assert service.queue.in_flight == 0


@pytest.mark.slow
def test_the_server_does_what_its_openapi_says(server: Server, tmp_path: Path) -> None:
    """Schemathesis finds no status, type or form of a response that is not described."""
    done = schemathesis(server, tmp_path)
    assert done.returncode == 0, re.sub(r"(.)\1{99,}", r"\1...", done.stdout)[-5000:]
    found = what_schemathesis_said(done.stdout)
    assert (found["operations"], found["unique_failures"]) == (5, 0)


@pytest.mark.slow
@pytest.mark.skipif(find_chromium() is None, reason="no Chromium is installed")
def test_the_page_shows_what_the_server_answers(package: Path, tmp_path: Path) -> None:
    """In a browser that keeps to its policy; it asks its own server and nobody else.

    A wrong token is said, and a right one opens the page. Both networks can be chosen.
    """
    (tmp_path / "empty.html").write_text("<p>")
    (tmp_path / "tokens").write_text(TOKEN)
    (tmp_path / "night.png").write_bytes(image_bytes())
    wanted = Predictor.open(package)(tmp_path / "night.png")
    second = shutil.copy(package, tmp_path / "second.tapetum")
    with (
        running(package, second, "--token-file", str(tmp_path / "tokens")) as server,
        open_page(str(find_chromium()), tmp_path / "empty.html") as page,
    ):
        page.go(f"{server.url}/")
        page.wait_for("window.tapetum && !document.getElementById('token-box').hidden")
        _submit(page, "wrong")
        page.wait_for("/does not know/.test(document.getElementById('state').textContent)")
        _submit(page, TOKEN)
        page.evaluate("tapetum.ready")
        root = page.ask("DOM.getDocument")["root"]["nodeId"]
        node = page.ask("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
        page.ask("DOM.setFileInputFiles", files=[str(tmp_path / "night.png")], nodeId=node)
        page.wait_for("tapetum.numShown === 1")
        shown = page.evaluate("tapetum.shown")
        page.evaluate(
            "(() => { const it = document.getElementById('network'); it.selectedIndex = 1;"
            "it.dispatchEvent(new Event('change')); })()"
        )
        page.wait_for("tapetum.numShown === 2")
        asked = [each for each in page.requests if each.startswith(("http:", "https:"))]
    assert shown["label"] == wanted.label
    np.testing.assert_allclose(shown["probabilities"], wanted.probabilities[0], rtol=1e-6)
    denoised = np.frombuffer(base64.b64decode(shown["denoised"]), "<f4").reshape(20, 23)
    np.testing.assert_allclose(denoised, np.clip(wanted.pixels.squeeze(), 0, 1), atol=0.51 / 255)
    assert not page.problems
    assert asked[0] == f"{server.url}/"
    assert all(each.startswith(server.url) for each in asked)
    assert "model=second" in asked[-1]


def _submit(page: Page, token: str) -> None:
    """Give the page a token."""
    page.evaluate(
        f"(() => {{ document.getElementById('token').value = '{token}';"
        "document.getElementById('token-box').requestSubmit(); })()"
    )


@pytest.mark.slow
def test_more_than_its_capacity_is_refused(package: Path) -> None:
    """What is accepted waits no longer than the queue is long; the memory does not grow."""
    image, workers, queue, seconds = draw_image(), 2, 8, 60.0

    async def law(server: Server) -> None:
        capacity = await capacity_of(server, image, workers + queue // 2, 10)
        load = await overloaded(server, image, OVERLOAD * capacity, seconds)
        assert set(load.statuses) == {200, 503}
        assert not load.unexplained
        assert load.statuses[503] > 0.4 * load.statuses.total()
        # Little's law: time in the server is the places over the throughput.
        longest_mean = (workers + queue) * seconds / load.statuses[200]
        series = httpx2.get(f"{server.url}/metrics").text
        total, count = (
            float(re.findall(rf"^tapetum_request_seconds_{name} (\S+)$", series, re.MULTILINE)[0])
            for name in ("sum", "count")
        )
        assert total / count < 1.2 * longest_mean
        third = load.memory_mib[len(load.memory_mib) // 3]
        assert load.memory_mib[-1] < third + 16

    with running(package, "--workers", workers, "--queue", queue) as server:
        asyncio.run(law(server))


@pytest.mark.slow
def test_sigterm_under_load_loses_nothing_that_was_accepted(package: Path) -> None:
    """Clients get as many answers as the server accepted images; its exit code is 0."""
    image = draw_image()
    with running(package, "--workers", 2, "--queue", 30) as server:
        load = asyncio.run(overloaded(server, image, 60, 4, stop_after=2))
        accepted, answered = counted(server)
        assert server.process.returncode == 0, server.said
    assert accepted == answered == load.statuses[200]
    assert load.statuses[200] > 20
    assert load.statuses[0]  # those that came later met no server
    assert "Traceback" not in server.said


def test_damage_is_drawn_from_a_seed() -> None:
    """So that a file that was a fault once can be made again."""
    first, again = (list(itertools.islice(mutated(20), 20)) for _ in range(2))
    assert first == again
