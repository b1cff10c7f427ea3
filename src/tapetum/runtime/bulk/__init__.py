"""Predict many images: files in, files and one row for each image out.

``out`` is a folder of long work (:mod:`tapetum.records`)::

    OUT/
      request.json        what was requested
      predictions.jsonl   one row for each image, written as it is done
      a/x.png             the denoised image of a/x.png, in the file type of the input
      a/x.noisy.png       the same with added noise, if noise was added
      result.json         counts and speed; written last

A killed job continues where it was: an image with a prediction is not predicted again, and a file
without one is tried again. The images can be split into shards, which processes or machines work on
independently: each writes rows to a file of its own, and the last one joins them.
"""

from tapetum.runtime.bulk.boxes import read_boxes
from tapetum.runtime.bulk.cluster import num_cpus, ray_cluster
from tapetum.runtime.bulk.job import Execution, Job, Summary
from tapetum.runtime.bulk.plan import Shard
from tapetum.runtime.bulk.pool import MOST_DEATHS, DiedError
from tapetum.runtime.bulk.rows import PredictionRow, read_rows
from tapetum.runtime.bulk.run import run_job

__all__ = [
    "MOST_DEATHS",
    "DiedError",
    "Execution",
    "Job",
    "PredictionRow",
    "Shard",
    "Summary",
    "num_cpus",
    "ray_cluster",
    "read_boxes",
    "read_rows",
    "run_job",
]
