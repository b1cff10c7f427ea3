"""Tapetum: one small network that denoises a noisy image and names what is in it.

The package is a set of rooms, listed in ``docs/architecture.md``.  Importing this module loads
none of the heavy ones; take what you need from the room that has it::

    from tapetum.runtime import Predictor

    predictor = Predictor.open("demo.tapetum")
    result = predictor("night.png")
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
