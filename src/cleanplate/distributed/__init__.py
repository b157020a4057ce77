"""Runs on many machines, with Ray Data.

Every worker is a Ray actor that sends its photos to a worker process of `cleanplate.batch`, so that
models, settings, results and reports are the same. Ray is imported only when it is needed.
"""

from cleanplate.distributed.cluster import connect_to_cluster
from cleanplate.distributed.config import Workers
from cleanplate.distributed.driver import check_locations, run_cluster
from cleanplate.distributed.location import Location
from cleanplate.distributed.ray_datasets import remove_dataset

__all__ = [
    "Location",
    "Workers",
    "check_locations",
    "connect_to_cluster",
    "remove_dataset",
    "run_cluster",
]
