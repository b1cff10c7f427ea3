"""``tapetum info``: describe an architecture, a run or a package."""

from pathlib import Path
from typing import Annotated

import typer

from tapetum.cli import options
from tapetum.cli.common import answer, errors_in_one_sentence, table

__all__ = ["info"]


def info(
    subject: Annotated[
        str | None,
        typer.Argument(
            metavar="ARCH|RUN|PACKAGE",
            help="Architecture, run or package; without it, architectures are listed.",
        ),
    ] = None,
    size_px: Annotated[
        int,
        typer.Option(
            "--size",
            help="Height and width of the image for the cost, in pixels.",
            rich_help_panel=options.DATA,
        ),
    ] = 96,
    channels: Annotated[
        int,
        typer.Option(
            help="Channels of the image: 1 (grey) or 3 (RGB).", rich_help_panel=options.DATA
        ),
    ] = 1,
    classes: Annotated[
        int, typer.Option(help="Number of classes.", rich_help_panel=options.DATA)
    ] = 10,
    json: options.Json = False,
) -> None:
    """Describe an architecture, a run or a package, with its cost.

    Examples:

      tapetum info

      tapetum info dc-net-reduced-integrated --size 224 --channels 3 --classes 100

      tapetum info digits.tapetum
    """
    with errors_in_one_sentence(as_json=json):
        from tapetum.cli.facts import (
            architecture_facts,
            list_architectures,
            package_facts,
            run_facts,
        )

        if subject is None:
            facts = list_architectures(size_px, channels=channels, num_classes=classes)
            if json:
                answer(facts)
            else:
                header = ("architecture", "kind", "parameters", "M multiply-adds")
                rows = [tuple("-" if v is None else str(v) for v in row.values()) for row in facts]
                table(header, rows, title=f"for images of {size_px} x {size_px} px")
            return
        path = Path(subject)
        if path.is_dir():
            described = run_facts(path)
        elif path.suffix == ".tapetum" or (path.is_file() and path.suffix != ".json"):
            described = package_facts(path)
        else:
            described = architecture_facts(subject, size_px, channels=channels, num_classes=classes)
        if json:
            answer(described)
        else:
            table(("", ""), [(key, str(value)) for key, value in described.items()], numbers=False)
