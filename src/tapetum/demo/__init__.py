"""The main job on handwritten digits, from nothing: training alone, or a search for a budget too.

:func:`run_demo` trains the paper's network on two-digit pictures; :func:`run_search_demo` finds a
network of its own for single digits, within a budget in milliseconds on this machine.
"""

from tapetum.demo.budget import run_search_demo
from tapetum.demo.digits import ARCHITECTURE, DemoResult, comparison, run_demo

__all__ = ["ARCHITECTURE", "DemoResult", "comparison", "run_demo", "run_search_demo"]
