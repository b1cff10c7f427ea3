"""Tables in Markdown, and where documents keep their drawings."""

from collections.abc import Iterable

__all__ = ["IMAGES", "markdown_table"]

IMAGES = "images"  # the folder of ``docs/`` for drawings


def markdown_table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown; the first column to the left, the others to the right."""
    titles = list(header)
    lines = [titles, ["---", *["---:"] * (len(titles) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
