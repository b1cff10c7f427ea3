"""What the routes of a server share."""

from collections.abc import Mapping

from tapetum.serving.limits import Limits
from tapetum.serving.metrics import Metrics
from tapetum.serving.models import ServedModel
from tapetum.serving.tokens import Tokens
from tapetum.serving.work import WorkQueue

__all__ = ["Service"]


class Service:
    """The models of a server, who may use them, and how much at once.

    Args:
        models: The packages that are served, by their names.
        limits: What is accepted.
        tokens: Who may ask; by default everyone.
    """

    def __init__(
        self, models: Mapping[str, ServedModel], limits: Limits, tokens: Tokens | None = None
    ) -> None:
        self.models, self.limits = dict(models), limits
        self.tokens = tokens or Tokens()
        self.queue = WorkQueue(limits)
        self.metrics = Metrics(lambda: self.queue.in_flight, self.queue.capacity)
        self.is_stopping = False
        self.num_accepted = self.num_answered = 0

    def count_accepted(self) -> None:
        """Count an image that got a place."""
        self.num_accepted += 1
        self.metrics.accepted.inc()

    def count_answer(self, seconds: float) -> None:
        """Count an accepted image whose response was sent."""
        self.num_answered += 1
        self.metrics.answered.inc()
        self.metrics.seconds.observe(seconds)
