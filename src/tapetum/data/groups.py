"""The group of an image: images of one group stay on one side of a split."""

import re
from pathlib import Path

from tapetum.data.layout import ImageFile
from tapetum.images import display_name

__all__ = ["group_of"]


def group_of(file: ImageFile, base: Path, group_by: str | None) -> str:
    """Return the group of an image: by default its file, so that frames and boxes stay together.

    Args:
        file: The image; its ``group`` is the folder that it lies in, below its class.
        base: The folder that paths are relative to.
        group_by: ``folder``, a regular expression on the relative path, or None.
    """
    key = display_name(file.path.relative_to(base).as_posix())
    if group_by is None:
        return key
    if group_by == "folder":
        return f"{file.group}/" if file.group else key
    match = re.search(group_by, key)
    if match is None:
        return key
    return match[1] if match.re.groups and match[1] is not None else match[0]
