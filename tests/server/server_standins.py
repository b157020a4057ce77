"""A real server on 127.0.0.1, with models that know colours instead of networks."""

import copy
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi")
import httpx
import uvicorn

from cleanplate.remover import Remover
from cleanplate.segmentation.interactive import Outline
from cleanplate.server import COMPAT, App, ServerConfig, create_app
from cleanplate.types import Mask, RGBImage

RED, GREY = (220, 20, 20), (90, 120, 100)
PERSON = np.s_[30:70, 40:60]  # rows and columns of the red object
PLAIN = {"trust_env": False, "verify": False}  # of httpx: no proxy, no 40 ms for certificates


class SlowInpainter:
    """Fills with grey, darker with a higher seed, after waiting for `released`."""

    name, provider, working_size = "slow", "NumPy", None

    def __init__(self) -> None:
        self.released = threading.Event()
        self.released.set()
        self.begun = threading.Semaphore(0)
        self.seed = 0

    def with_seed(self, seed: int) -> "SlowInpainter":
        other = copy.copy(self)
        other.seed = seed
        return other

    def hold(self) -> None:
        """Wait from now on; `begun` counts the calls."""
        self.begun = threading.Semaphore(0)
        self.released.clear()

    def inpaint(self, image: RGBImage, mask: Mask) -> RGBImage:
        self.begun.release()
        self.released.wait(20)
        return np.where(mask[..., None], np.uint8(GREY) - np.uint8(self.seed % 50), image)


class SquarePrompter:
    """Outlines a square of 20 px around a point."""

    name, provider = "square", "NumPy"

    def set_image(self, image: RGBImage) -> tuple[int, int]:
        return image.shape[:2]

    def predict(self, prepared, *, points=(), box_xyxy=None) -> Outline:
        mask = np.zeros(prepared, np.bool_)
        x, y, _ = map(round, points[0])
        mask[y - 10 : y + 10, x - 10 : x + 10] = True
        return Outline(mask, 0.9)


@dataclass
class Running:
    """A server and a client that has its token."""

    client: httpx.Client
    app: App
    inpainter: SlowInpainter
    port: int


@contextmanager
def serving(models, root: Path | None = None, prompter=None) -> Iterator[Running]:
    """Run a server in a thread.

    Args:
        models: a segmenter, beside which `SlowInpainter` fills; or a remover.
        root: of the folders that it may use.
        prompter: outlines what is clicked.
    """
    inpainter = SlowInpainter()
    config = ServerConfig(
        max_body=4 << 20,
        queue_size=3,
        max_memory=4 << 30,
        root=root,
        compat=frozenset(COMPAT),
    )
    if not isinstance(models, Remover):
        models = Remover(segmenter=models, inpainter=inpainter, prompter=prompter)
    app = create_app(models, config)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            port=0,
            log_level="critical",
            lifespan="on",
            timeout_graceful_shutdown=1,  # an open page listens for ever
        )
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    token = app.state.app.access.token
    with httpx.Client(
        base_url=f"http://127.0.0.1:{port}",
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
        **PLAIN,
    ) as client:
        yield Running(client, app.state.app, inpainter, port)
    inpainter.released.set()
    server.should_exit = True
    thread.join(20)
