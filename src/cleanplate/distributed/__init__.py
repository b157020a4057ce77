"""Runs on many machines, with Ray Data: what `cleanplate.batch` does on one.

Every worker is an actor that hands its photos to a worker process of the batch runs, so that
models, settings, outcomes and report are theirs. Ray itself is imported when it is needed.
"""

from cleanplate.distributed.cluster import connected
from cleanplate.distributed.driver import check_places, run_cluster
from cleanplate.distributed.places import Place
from cleanplate.distributed.ray_datasets import remove_dataset
from cleanplate.distributed.tasks import Workers

__all__ = [
    "Place",
    "Workers",
    "check_places",
    "connected",
    "remove_dataset",
    "run_cluster",
]
