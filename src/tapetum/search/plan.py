r"""How the minutes of a race are shared out: how many candidates, how many rounds, how long.

Each rung keeps the best third and trains three times as long. With :math:`n_r` candidates in rung
:math:`r`, on :math:`w` workers, a first rung of :math:`t` seconds takes

.. math:: t \sum_r 3^r \lceil n_r / w \rceil

seconds in all.

References:
    Non-stochastic Best Arm Identification and Hyperparameter Optimization
    (Jamieson & Talwalkar, 2015), https://arxiv.org/abs/1502.07943
"""

__all__ = [
    "FEWEST",
    "JUDGE_SHARE",
    "MOST",
    "THIRD",
    "fewest_steps",
    "first_seconds",
    "how_many",
    "needed_seconds",
    "rungs",
]

MOST = 24
"""Candidates of a race at most."""
FEWEST = 3
"""With fewer candidates a race is not worth its minutes, unless there are no more."""
THIRD = 3
JUDGE_SHARE = 0.1
"""Share of a rung that goes to judging, at most."""
_FEWEST_STEPS, _ENOUGH_STEPS = 100, 200


def rungs(count: int) -> tuple[int, ...]:
    """Return the number of candidates in each rung, such as 24, 8, 3."""
    sizes = []
    while count > 1:
        sizes.append(count)
        count = max(1, round(count / THIRD))
    return tuple(sizes)


def first_seconds(seconds: float, count: int, *, workers: int) -> float:
    """Return the length of the first rung of one candidate, so that the race fills its seconds."""
    return seconds / max(_turns(count, workers), 1)


def _turns(count: int, workers: int) -> float:
    """Return the length of a race in first rungs of one candidate."""
    return sum(-(-size // workers) * 3.0**rung for rung, size in enumerate(rungs(count)))


def fewest_steps(steps_per_pass: int) -> int:
    """Return the steps below which a first rung says nothing.

    Half a pass over the images, but between 100 and 200 steps: one pass over 9,000 images found
    the clearly worse every time, and 80 steps on 90 images said little.
    """
    return max(_FEWEST_STEPS, min(_ENOUGH_STEPS, steps_per_pass // 2))


def how_many(available: int, seconds: float, *, workers: int, step_s: float, steps: int) -> int:
    """Return how many candidates can race so that the first rung has so many steps; 1 for none.

    Args:
        available: Number of candidates that there are.
        seconds: Time for the whole race.
        workers: Candidates that train at the same time.
        step_s: Seconds of a typical step.
        steps: Steps of the first rung, at least.
    """
    for count in range(min(available, MOST), min(available, FEWEST) - 1, -1):
        needed_s = needed_seconds(count, workers=workers, step_s=step_s, steps=steps)
        if count > 1 and needed_s <= seconds:
            return count
    return 1


def needed_seconds(count: int, *, workers: int, step_s: float, steps: int) -> float:
    """Return the time of a race of so many candidates; the other arguments are as above."""
    return _turns(count, workers) * steps * step_s / (1 - JUDGE_SHARE)
