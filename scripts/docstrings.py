"""Makes docstrings readable as Markdown: reStructuredText roles and code blocks are translated."""

import re
from typing import Any

from griffe import Class, Extension, Object

ROLE = re.compile(r":(?:class|func|meth|mod|attr|data|exc|obj|math):`~?([^`]+)`")


class PlainDocstrings(Extension):
    """Translates every docstring when its object is loaded."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        """Translate the docstring of one object."""
        del kwargs
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value)

    def on_class_members(self, *, cls: Class, **kwargs: Any) -> None:
        """Describe the fields of a record as attributes: its constructor is not in the source."""
        del kwargs
        if cls.docstring and "__init__" not in cls.members:
            cls.docstring.value = cls.docstring.value.replace("\nArgs:\n", "\nAttributes:\n")


def as_markdown(text: str) -> str:
    """Return a docstring with roles, formulas and literal blocks written in Markdown."""
    text = ROLE.sub(lambda role: f"`{role.group(1).rpartition('.')[2]}`", text)
    text = re.sub(r"``([^`]+)``", r"`\1`", text)
    text = re.sub(r"^(\s*)\.\. math::\s*(.+)$", r"\1`\2`", text, flags=re.MULTILINE)
    text = re.sub(r"^Example:$", "Examples:", text, flags=re.MULTILINE)  # else no code block
    return re.sub(r"^(.*)::$", lambda line: _before_block(line.group(1)), text, flags=re.MULTILINE)


def _before_block(text: str) -> str:
    """Return what stands before an indented block: ``like this::`` becomes ``like this:``."""
    return f"{text}:" if text.strip() else ""
