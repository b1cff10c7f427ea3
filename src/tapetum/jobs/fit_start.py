"""The user's own network as the first candidate of a fit, with its weights.

Files in the folder of the fit::

    start_*.safetensors  the weights that a candidate begins with
"""

from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import save

from tapetum.arch import ShapeSpace
from tapetum.jobs.fit_work import FitWork
from tapetum.jobs.start import Source
from tapetum.records import write_atomically
from tapetum.search import Candidate, Proposal, keeps_budget
from tapetum.training import Recipe, Request

__all__ = ["START", "say_start", "start_weights", "with_start"]

START = "start"


def with_start(
    proposal: Proposal, source: Source | None
) -> tuple[tuple[Candidate, ...], tuple[str, ...]]:
    """Return candidates and notes, with the network to start from before them where it fits."""
    candidates, notes = proposal.candidates, proposal.notes
    if source is None or (timing := proposal.timed.find(source.shape)) is None:
        return candidates, notes
    if not keeps_budget(timing.median_ms, proposal.target_ms):
        takes = f"the network of {source.name} takes {timing.median_ms:.3g} ms"
        left_out = f"{takes}, so nothing starts from its weights for {proposal.target_ms:g} ms"
        return candidates, (*notes, left_out)
    others = tuple(one for one in candidates if one.shape != source.shape)
    return (Candidate(name=START, shape=source.shape, timing=timing), *others), notes


def start_weights(
    work: FitWork, candidates: Sequence[Candidate], space: ShapeSpace, recipe: Recipe
) -> dict[str, Path]:
    """Write the weights that candidates begin with, and return the files by their names."""
    files = {}
    for one in candidates:
        path = work.path / f"start_{one.name}.safetensors"
        if not path.exists():
            network, start = work.begin(space.architecture(one.shape, one.name), recipe)
            if start is None:
                continue
            write_atomically(path, save(network.state_dict()))
        files[one.name] = path
    return files


def say_start(source: str, request: Request) -> str:
    """Say whether the training that ships began with the weights of a source."""
    if request.start is not None:
        return request.start.describe()
    return f"the network that ships began with random weights: it is another one than {source}"
