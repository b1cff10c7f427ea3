"""``tapetum info``: describe an architecture, a run or a package."""

import typer

from tapetum.cli import options
from tapetum.cli.common import answer, table
from tapetum.cli.options import MAIN, option

__all__ = ["info"]


def info(
    subject: str | None = typer.Argument(
        None,
        metavar="ARCH|RUN|PACKAGE",
        help="Architecture, run or package; without it, architectures are listed.",
    ),
    size_px: int = option(
        96, MAIN, "Side of the image for the cost, in pixels.", "--size", rule=options.SIDE
    ),
    channels: int = option(
        1, MAIN, "Channels of the image: 1 (grey) or 3 (RGB).", rule=options.CHANNELS
    ),
    classes: int = option(10, MAIN, "Number of classes.", rule=options.CLASSES),
    json: bool = options.JSON,
) -> None:
    """Describe an architecture, a run or a package, with its cost.

    Examples:

      tapetum info

      tapetum info dc-net-reduced-integrated --size 224 --channels 3 --classes 100

      tapetum info digits.tapetum
    """
    from tapetum.cli.facts import describe, list_architectures

    if subject is not None:
        described = describe(subject, size_px, channels=channels, num_classes=classes)
        if json:
            answer(described)
        else:
            table(("", ""), [(key, str(value)) for key, value in described.items()], numbers=False)
        return
    facts = list_architectures(size_px, channels=channels, num_classes=classes)
    if json:
        answer(facts)
    else:
        header = ("architecture", "kind", "parameters", "M multiply-adds")
        rows = [tuple("-" if v is None else str(v) for v in row.values()) for row in facts]
        table(header, rows, title=f"for images of {size_px} x {size_px} px")
