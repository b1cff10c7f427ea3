"""The queue of the server: bounded in number and time, and nothing that was accepted is lost."""

import asyncio
import threading
import time
from collections.abc import Coroutine
from typing import Any

import pytest
from fastapi import HTTPException
from starlette.testclient import TestClient

from packages import JOINT, real
from serve_hostile import image_bytes
from tapetum.serving import Limits
from tapetum.serving.work import WorkQueue
from tiny_server import PREDICT, client_of, service_of

PNG = {"Content-Type": "image/png"}


async def until(condition: Any) -> None:
    """Wait for something that another thread does."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


def finished(work: Coroutine[Any, Any, Any]) -> Any:
    """Run some work of the event loop."""
    return asyncio.run(work)


def test_a_full_queue_refuses_at_once() -> None:
    """With 503 and when to try again; a place that is free again is given again."""
    service = service_of({"grey": real(JOINT, boxes=False, size_px=24)}, Limits(workers=1, queue=1))
    with client_of(service) as client:
        with service.queue.place(), service.queue.place():
            refused = client.post(PREDICT, content=image_bytes(), headers=PNG)
        assert refused.status_code == 503
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert "2 images wait" in refused.json()["detail"]
        assert client.post(PREDICT, content=image_bytes(), headers=PNG).status_code == 200
    assert (service.num_accepted, service.num_answered) == (1, 1)


def test_an_image_that_takes_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With 503, while its thread still works; the next images are not refused."""
    package = real(JOINT, boxes=False, size_px=24)
    service = service_of({"grey": package}, Limits(timeout_s=0.05))
    may_end = threading.Event()
    with client_of(service) as client:
        monkeypatch.setattr("tapetum.serving.app.predict", lambda *_: may_end.wait(10) and None)
        refused = client.post(PREDICT, content=image_bytes(), headers=PNG)
        may_end.set()
    assert refused.status_code == 503
    assert "retry-after" in refused.headers
    assert "longer than 0.05 s" in refused.json()["detail"]


def test_late_work_keeps_its_place_until_it_ends() -> None:
    """The threads are busy with it, so others must not be accepted in its place."""

    async def law() -> list[int]:
        queue = WorkQueue(Limits(workers=1, queue=0, timeout_s=0.02))
        may_end, seen = threading.Event(), []
        with pytest.raises(HTTPException), queue.place():
            await queue.run(lambda: may_end.wait(10))
        seen.append(queue.in_flight)
        with pytest.raises(HTTPException), queue.place():
            raise AssertionError
        may_end.set()
        await until(lambda: queue.in_flight == 0)
        with queue.place():
            seen.append(await queue.run(lambda: 7))
        queue.close()
        return seen

    assert finished(law()) == [1, 7]


def test_work_that_waited_too_long_never_begins() -> None:
    """Nobody wants its result any more."""

    async def law() -> list[str]:
        queue = WorkQueue(Limits(workers=1, queue=1, timeout_s=0.1))
        may_end, done = threading.Event(), []
        first = asyncio.create_task(queue.run(lambda: may_end.wait(10)))
        await asyncio.sleep(0)  # it begins
        with pytest.raises(HTTPException):
            await queue.run(lambda: done.append("second"))
        may_end.set()
        with pytest.raises(HTTPException):
            await first
        queue.close()
        return done

    assert finished(law()) == []


def test_the_event_loop_goes_on_while_images_are_computed() -> None:
    """The work is done in another thread, and its error comes back."""

    async def law() -> tuple[bool, int]:
        queue, ticks = WorkQueue(Limits(workers=1)), 0
        may_end = threading.Event()
        task = asyncio.create_task(queue.run(lambda: may_end.wait(10)))
        for _ in range(5):
            await asyncio.sleep(0)
            ticks += 1
        may_end.set()
        result = await task
        with pytest.raises(ZeroDivisionError):
            await queue.run(lambda: 1 / 0)
        queue.close()
        return result, ticks

    assert finished(law()) == (True, 5)


def test_no_more_threads_than_workers() -> None:
    """Whatever the number of images that wait."""

    async def law() -> int:
        queue, lock = WorkQueue(Limits(workers=2, queue=20)), threading.Lock()
        now, most = 0, 0

        def work() -> None:
            nonlocal now, most
            with lock:
                now += 1
                most = max(most, now)
            time.sleep(0.002)
            with lock:
                now -= 1

        await asyncio.gather(*(queue.run(work) for _ in range(12)))
        queue.close()
        return most

    assert finished(law()) == 2


def test_a_slow_upload_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """With 408, so that its place is free for others."""
    package = real(JOINT, boxes=False, size_px=24)
    service = service_of({"grey": package}, Limits(upload_s=0.05))

    async def never(*_: Any) -> Any:
        await asyncio.sleep(10)
        yield b""

    monkeypatch.setattr("tapetum.serving.body._limited", never)
    with client_of(service) as client:
        response = _post(client)
    assert response.status_code == 408
    assert "longer than 0.05 s to arrive" in response.json()["detail"]
    assert service.queue.in_flight == 0


def _post(client: TestClient) -> Any:
    return client.post(PREDICT, content=image_bytes(), headers=PNG)
