"""What a report says of the labels: the confusion matrix."""

from tapetum.report import content
from tapetum.scores import Scores

__all__ = ["NUM_MISTAKES", "label_matrices"]

NUM_MISTAKES = 12
MOST_CLASSES = 30  # of a matrix that can be read


def label_matrices(scores: Scores | None) -> tuple[content.Matrix, ...]:
    """Return the confusion matrix; none without labels.

    Of many classes it has those that are recognised worst.
    """
    if scores is None or not scores.confusion:
        return ()
    names, recalls = list(scores.confusion), scores.mean.recalls
    note = "Mean over the noise levels. Each row is a true class and sums to 100 %."
    if len(names) > MOST_CLASSES:
        note += f" The {MOST_CLASSES} classes of {len(names):,} with the lowest recall."
        names = sorted(sorted(names, key=lambda name: recalls[name])[:MOST_CLASSES])
    shares = tuple(
        tuple(row.get(other, 0) / sum(row.values()) for other in names)
        for row in (scores.confusion[name] for name in names)
    )
    return (content.Matrix("Confusion matrix", "predicted", "true", tuple(names), shares, note),)
