"""``tapetum info``: what an architecture, a run or a package is."""

from pathlib import Path
from typing import Annotated

import typer

from tapetum.cli.common import Json, answer, errors_in_one_sentence, table

__all__ = ["info"]


def info(
    subject: Annotated[
        str | None,
        typer.Argument(metavar="ARCH|RUN|PACKAGE", help="Left out: lists the architectures."),
    ] = None,
    size: Annotated[int, typer.Option(help="Side of the image for the cost, pixels.")] = 96,
    channels: Annotated[int, typer.Option(help="1 for grey, 3 for RGB.")] = 1,
    classes: Annotated[int, typer.Option(help="How many names.")] = 10,
    json: Json = False,
) -> None:
    """Tell what an architecture, a run or a package is and what it costs.

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
            facts = list_architectures(size, channels=channels, num_classes=classes)
            if json:
                answer(facts)
            else:
                header = ("architecture", "kind", "parameters", "M multiply-adds")
                rows = [tuple("-" if v is None else str(v) for v in row.values()) for row in facts]
                table(header, rows, title=f"for images of {size} x {size} px")
            return
        path = Path(subject)
        if path.is_dir():
            found = run_facts(path)
        elif path.suffix == ".tapetum" or (path.is_file() and path.suffix != ".json"):
            found = package_facts(path)
        else:
            found = architecture_facts(subject, size, channels=channels, num_classes=classes)
        if json:
            answer(found)
        else:
            table(("", ""), [(key, str(value)) for key, value in found.items()], numbers=False)
