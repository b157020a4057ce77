"""Runs on many machines, with Ray Data: what `cleanplate.batch` does on one.

Every worker is an actor that hands its photos to a worker process of the batch runs, so that
models, settings, outcomes and report are theirs. Ray itself is imported when it is needed.
"""

from cleanplate.ray.datasets import remove_dataset
from cleanplate.ray.places import Place
from cleanplate.ray.running import run_cluster
from cleanplate.ray.tasks import Workers

__all__ = ["Place", "Workers", "remove_dataset", "run_cluster"]
