"""Networks in one archive, to be timed on a device without this project, and what it found.

``python3 bundle.zip`` on the device runs :mod:`tapetum.latency.agent`, which is in the archive, and
writes a :class:`DeviceTimings`; :func:`run_over_ssh` does so on a
device that ssh reaches. Only ONNX Runtime on the processor is used there.

::

    bundle.zip
      __main__.py     the agent
      job.json        what to time, and how often
      graphs/*.onnx   each network, with weights that take little room
"""

from tapetum.latency.agent import clock_is_coarse
from tapetum.latency.bundle.found import RUNTIME, Bundled, DeviceTimings, Job
from tapetum.latency.bundle.prices import open_table, table_of
from tapetum.latency.bundle.remote import run_here, run_over_ssh
from tapetum.latency.bundle.writing import block_networks, shape_networks, write_bundle

__all__ = [
    "RUNTIME",
    "Bundled",
    "DeviceTimings",
    "Job",
    "block_networks",
    "clock_is_coarse",
    "open_table",
    "run_here",
    "run_over_ssh",
    "shape_networks",
    "table_of",
    "write_bundle",
]
