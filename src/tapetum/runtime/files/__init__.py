"""Read and write image files; :mod:`tapetum.runtime.image` is the way in."""

__all__: list[str] = []
