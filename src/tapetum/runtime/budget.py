"""The latency budget of a fit, beside the files that are made of it."""

from pydantic import PositiveFloat

from tapetum.progress import pasted, shown_path
from tapetum.records import Note, Record, Weight

__all__ = ["KeptBudget"]


class KeptBudget(Record):
    """A latency budget, as the package of a fit kept it.

    Attributes:
        target_ms: The budget, in milliseconds.
        most_ms: The largest latency that keeps it.
        precision: Number format of the package.
        package_ms: Latency of the package, with what the budget includes; None where it was not
            measured.
        fp32_times: How many times as long a pass in fp32 takes as one of the package; None where
            that was not measured.
        file_ms: Latency of one pass of a file on this machine; None where it was not measured.
    """

    target_ms: PositiveFloat
    most_ms: PositiveFloat
    precision: str
    package_ms: PositiveFloat | None = None
    fp32_times: PositiveFloat | None = None
    file_ms: PositiveFloat | None = None

    def note(self, path: str, precision: str) -> Note:
        """Say how a file stands to the budget, and how it is measured.

        Args:
            path: The file.
            precision: Its number format.
        """
        name, is_slow, told = shown_path(path), False, ""
        if self.file_ms is not None:
            is_slow = self.file_ms > self.most_ms
            told = f"one pass of {name} takes {self.file_ms:.3g} ms here, on one thread"
        elif precision == "fp32" != self.precision and self.fp32_times is not None:
            is_slow = self.fp32_times * (self.package_ms or self.target_ms) > self.most_ms
            likely = ", so it is likely to miss the budget" if is_slow else ""
            told = f"a pass in fp32 takes {self.fp32_times:.1f} times as long{likely}"
        measure = f"measure {name} with: tapetum benchmark {pasted(path)}"
        if name.endswith(".html"):
            measure = f"{name} says how long each pass takes"
        weight = Weight.RESULT if is_slow else Weight.REMARK
        return Note("; ".join(filter(None, (self._package, told, measure))), weight)

    @property
    def _package(self) -> str:
        budget = f"the budget of {self.target_ms:g} ms"
        if self.package_ms is None:
            return f"{budget} is that of the {self.precision} package"
        state = "kept" if self.package_ms <= self.most_ms else "missed"
        return f"{budget} was {state} by the {self.precision} package ({self.package_ms:.3g} ms)"
