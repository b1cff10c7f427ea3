"""What a server counts, in the text format of Prometheus."""

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

__all__ = ["Metrics"]

# 5 ms to 30 s: small images on a quick network, and large ones behind a full queue.
_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Metrics:
    """The counters of one server, in a registry of their own.

    Args:
        in_flight: Returns how many images wait or are computed.
        capacity: How many may do so.
    """

    def __init__(self, in_flight: Callable[[], int], capacity: int) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "tapetum_requests",
            "Requests by route and status.",
            ("route", "status"),
            registry=registry,
        )
        self.accepted = Counter(
            "tapetum_accepted", "Images that got a place in the queue.", registry=registry
        )
        self.answered = Counter(
            "tapetum_answered", "Accepted images whose response was sent.", registry=registry
        )
        self.seconds = Histogram(
            "tapetum_request_seconds",
            "Seconds from the first byte of an accepted image to the end of the response.",
            buckets=_BUCKETS,
            registry=registry,
        )
        self.network_seconds = Histogram(
            "tapetum_network_seconds",
            "Seconds in the network, by model.",
            ("model",),
            buckets=_BUCKETS,
            registry=registry,
        )
        waiting = Gauge("tapetum_in_flight", "Images that wait or are computed.", registry=registry)
        waiting.set_function(in_flight)
        Gauge("tapetum_capacity", "Images that may wait or be computed.", registry=registry).set(
            capacity
        )
        ProcessCollector(registry=registry)

    def text(self) -> bytes:
        """Return all values in the text format."""
        return generate_latest(self._registry)
