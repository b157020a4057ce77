"""Photos for clusters, clusters of two nodes on this machine, and an S3 server."""

import io
import logging
import os
from collections.abc import Callable, Iterator
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
        patch.delenv("RAY_ADDRESS", raising=False)
        for name, value in KEYS.items():
            patch.setenv(name, value)
        yield


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
