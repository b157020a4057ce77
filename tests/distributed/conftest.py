"""Photos for clusters, a cluster on this machine, and an S3 server."""

import io
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
from cluster_standins import COLOURS
from PIL import Image

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src"
KEYS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def photo(colour: str | None = "person", size: int = 48, seed: int = 0) -> bytes:
    """Return a PNG of noise; with a patch of a colour of `COLOURS`, or full of a deadly one."""
    pixels = np.random.default_rng(seed).integers(90, 160, (size, size + 8, 3)).astype(np.uint8)
    if colour == "person":
        pixels[12:30, 10:24] = COLOURS[colour]
    elif colour is not None:
        pixels[:] = COLOURS[colour]
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "PNG")
    return sink.getvalue()


@pytest.fixture
def make_photo() -> Callable[..., bytes]:
    return photo


@pytest.fixture(scope="session")
def nodes_environment() -> Iterator[None]:
    """Let Ray's processes find this package and the stand-ins, and tell nobody about them."""
    with pytest.MonkeyPatch.context() as patch:
        paths = [str(SOURCE), str(HERE), os.environ.get("PYTHONPATH", "")]
        patch.setenv("PYTHONPATH", os.pathsep.join(path for path in paths if path))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
        # A node that refuses connections is dead after 2 s, not 15.
        patch.setenv("RAY_health_check_period_ms", "1000")
        patch.setenv("RAY_health_check_failure_threshold", "2")
        patch.delenv("RAY_ADDRESS", raising=False)
        for name, value in KEYS.items():
            patch.setenv(name, value)
        yield


class LocalCluster:
    """The cluster that Ray is connected to; a second node can be added, and killed.

    Attributes:
        folder: in which its processes work.
        homes: where the models of both nodes are.
    """

    def __init__(self, address: str, folder: Path) -> None:
        self.address, self.folder = address, folder
        self.homes = folder / "first", folder / "second"
        self._second = None

    def add_second(self) -> None:
        """Add the second node, if it is not there."""
        from ray._private.node import Node
        from ray._private.parameter import RayParams

        if self._second is None:
            parameters = RayParams(
                gcs_address=self.address,
                num_cpus=1,
                object_store_memory=100 << 20,
                include_log_monitor=False,
                env_vars={"CLEANPLATE_HOME": str(self.homes[1])},
            )
            with chdir(self.folder):
                self._second = Node(parameters, head=False)
            while self.count_nodes() < 2:
                time.sleep(0.05)

    def kill_second(self) -> None:
        """Kill all processes of the second node, if it is there."""
        if self._second is not None:
            self._second.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)
            self._second = None

    def count_nodes(self) -> int:
        """Return how many nodes are alive."""
        import ray

        return len([node for node in ray.nodes() if node["Alive"]])


@pytest.fixture(scope="session")
def cluster(nodes_environment, tmp_path_factory) -> Iterator[LocalCluster]:
    """Start a cluster of one core as a run without an address does, and connect to it."""
    pytest.importorskip("ray.data")
    from cleanplate.distributed.cluster import connect_to_cluster

    folder = tmp_path_factory.mktemp("cluster")
    connection = connect_to_cluster(None)  # once: each starts new processes on all nodes
    with pytest.MonkeyPatch.context() as patch, chdir(folder):
        patch.setenv("RAY_OVERRIDE_RESOURCES", '{"CPU": 1}')
        patch.setenv("CLEANPLATE_HOME", str(folder / "first"))
        connection.__enter__()
    import ray

    made = LocalCluster(ray.get_runtime_context().gcs_address, folder)
    yield made
    made.kill_second()
    connection.__exit__(None, None, None)


@pytest.fixture
def two_nodes(cluster) -> LocalCluster:
    """Return the cluster, with a second node."""
    cluster.add_second()
    return cluster


@pytest.fixture(scope="module")
def s3(nodes_environment) -> Iterator[str]:
    """Start an S3 server; return the part of URLs behind the question mark."""
    server_module = pytest.importorskip("moto.server")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it tells every request
    server.start()
    _, port = server.get_host_and_port()
    yield f"?endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"
    server.stop()


@pytest.fixture
def bucket(s3) -> Iterator[object]:
    """Return an empty bucket "photos" as a pyarrow file system sees it."""
    fs = pytest.importorskip("pyarrow.fs")
    store, _ = fs.FileSystem.from_uri(
        f"s3://photos{s3}&allow_bucket_creation=true&allow_bucket_deletion=true"
    )
    store.create_dir("photos")
    yield store
    store.delete_dir("photos")
