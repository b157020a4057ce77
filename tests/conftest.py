"""What the tests share: models without networks, real photos, and no way to the network."""

import functools
import importlib.resources
import ipaddress
import itertools
import os
import re
import socket
import sys
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from PIL import Image

from cleanplate.errors import UnknownNameError
from cleanplate.hub import MODELS, find_file
from cleanplate.runtime import devices
from cleanplate.segmentation import Completed
from cleanplate.types import Instance, Mask, RGBImage, check_image, check_image_and_mask
from runtime_standins import FakeRuntime, PretendedCuda

settings.register_profile(
    "cleanplate",
    deadline=None,  # the machine may be busy
    max_examples=20,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("cleanplate")


_SLOW_FILE = re.compile(r"^pytestmark = \[?\s*pytest\.mark\.slow", re.MULTILINE)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out files of slow tests alone, if none is asked for: PyTorch takes long to import."""
    if collection_path.suffix != ".py" or config.option.markexpr != "not slow":
        return None
    return bool(_SLOW_FILE.search(collection_path.read_text("utf-8"))) or None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put groups first, then slow tests, then files of many tests: processes end together."""
    count = Counter(item.path for item in items)
    items.sort(
        key=lambda item: (
            not _has(item, "xdist_group"),
            not _has(item, "slow"),
            -count[item.path],
        )
    )


def _has(item: pytest.Item, mark: str) -> bool:
    return item.get_closest_marker(mark) is not None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """With -n: run a file or a group in one process, with its fixtures made once.

    Marks of groups alone do not do it: pytest-xdist 3.8 loses them with pytest 9. Handing out
    tests one by one would take 3 ms a test.
    """
    from xdist.scheduler import LoadScopeScheduling

    config.option.loadscopereorder = False  # as they were collected

    class Grouped(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _unit_of(config.rootpath / nodeid.partition("::")[0])

    return Grouped(config, log) if config.option.dist == "loadgroup" else None


@functools.cache
def _unit_of(path: Path) -> str:
    group = re.search(r'xdist_group\("(\w+)"\)', path.read_text("utf-8"))
    return group[1] if group else str(path)


class FakeSegmenter:
    """Takes red for a person, green for a dog, blue for a car; the brighter, the surer.

    A pixel is the object's when one channel is 100 or more and the two others are below 30. The
    score is the mean of that channel over the object, over 255.
    """

    name, provider, labels = "fake", "NumPy", ("car", "dog", "person")

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def segment(self, image: RGBImage, labels: Collection[str]) -> list[Instance]:
        check_image(image)
        for label in labels:
            if label not in self.labels:
                raise UnknownNameError("label", label, self.labels)
        self.asked.append(tuple(labels))
        found = []
        for label in set(labels):
            channel = ("person", "dog", "car").index(label)
            strong = image[..., channel]
            others = np.delete(image, channel, axis=2)
            alike = (strong >= 100) & (others < 30).all(axis=2)
            count, parts, stats, _ = cv2.connectedComponentsWithStats(alike.astype(np.uint8))
            for part in range(1, count):
                left, top, width, height, area = stats[part].tolist()
                mask = parts[top : top + height, left : left + width] == part
                score = float(strong[parts == part].mean() / 255)
                box = (left, top, left + width, top + height)
                found.append((-area, box, label, score, mask))
        found.sort(key=lambda entry: entry[:3])
        return [
            Instance(number, label, score, box, mask)
            for number, (_, box, label, score, mask) in enumerate(found, start=1)
        ]


class FakeInpainter:
    """Fills a hole with the mean colour of what is known; remembers what it was given."""

    name, provider = "fake", "NumPy"

    def __init__(self, working_size: int | None = None) -> None:
        self.working_size = working_size
        self.given: list[tuple[RGBImage, Mask]] = []

    def inpaint(self, image: RGBImage, mask: Mask) -> RGBImage:
        check_image_and_mask(image, mask)
        self.given.append((image.copy(), mask.copy()))
        known = image[~mask]
        colour = np.rint(known.mean(axis=0)) if known.size else np.full(3, 128.0)
        return np.where(mask[..., None], colour, image).astype(np.uint8)


@pytest.fixture
def fake_segmenter() -> FakeSegmenter:
    return FakeSegmenter()


@pytest.fixture
def fake_inpainter() -> FakeInpainter:
    return FakeInpainter()


@pytest.fixture(scope="session")
def fake_segmenter_class() -> type[FakeSegmenter]:
    return FakeSegmenter


@pytest.fixture(scope="session")
def fake_inpainter_class() -> type[FakeInpainter]:
    return FakeInpainter


@pytest.fixture(scope="session")
def deeplab():
    """Return the built-in segmenter, loaded once."""
    from cleanplate.segmentation import create_segmenter

    return create_segmenter(device="cpu")


@pytest.fixture(scope="session")
def edgeconnect():
    """Return the built-in inpainter, loaded once."""
    from cleanplate.inpainting import create_inpainter

    return create_inpainter(device="cpu")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20260101)


def _bundled_photo(name: str) -> RGBImage:
    """Return a photo that ships in the scikit-image package, read-only."""
    with importlib.resources.as_file(importlib.resources.files("skimage") / "data" / name) as path:
        photo = np.array(Image.open(Path(path)).convert("RGB"))
    photo.flags.writeable = False
    return photo


@pytest.fixture(scope="session")
def astronaut() -> RGBImage:
    """(512, 512, 3): a woman who fills the left two thirds."""
    return _bundled_photo("astronaut.png")


@pytest.fixture(scope="session")
def cat() -> RGBImage:
    """(300, 451, 3): a cat who fills nearly all of it."""
    return _bundled_photo("chelsea.png")


@pytest.fixture(scope="session")
def coffee() -> RGBImage:
    """(400, 600, 3): a cup on a wooden table."""
    return _bundled_photo("coffee.png")


@pytest.fixture(scope="session")
def rocket() -> RGBImage:
    """(427, 640, 3): a rocket before a dawning sky; nothing that has a VOC class."""
    return _bundled_photo("rocket.jpg")


@pytest.fixture(scope="session")
def gravel() -> RGBImage:
    """(512, 512, 3): grey stones, the same all over."""
    return _bundled_photo("gravel.png")


class NothingCast:
    """Finds no effects; in place of the network, which takes 0.1 s for each object."""

    def find(self, image: RGBImage, mask: Mask, *, strong: bool = False) -> Mask:
        check_image_and_mask(image, mask)
        return np.zeros_like(mask)


@pytest.fixture(autouse=True)
def no_effects(monkeypatch) -> None:
    """Let removers of this process find no effects, unless a test gives them a detector."""
    monkeypatch.setattr("cleanplate.remover.EffectsDetector", lambda *_, **__: NothingCast())


class FoundWhole:
    """Leaves objects as they were found; made ones are none that the network has learnt."""

    def complete(self, _: RGBImage, instance: Instance) -> Completed:
        return Completed(instance)


@pytest.fixture(autouse=True)
def no_outliner(monkeypatch) -> None:
    """Let removers of this process complete nothing, unless a test gives them an outliner."""
    monkeypatch.setattr("cleanplate.remover.Outliner", lambda *_, **__: FoundWhole())


def _is_outside(address: object) -> bool:
    if not isinstance(address, tuple):
        return False  # a Unix socket's path
    host = str(address[0])
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host not in ("", "localhost")


_HOMES = itertools.count()


@pytest.fixture(autouse=True)
def no_models_of_the_users(monkeypatch, tmp_path_factory) -> None:
    """Let no test see or change what is installed on this machine."""
    home = tmp_path_factory.getbasetemp() / f"home{next(_HOMES)}"  # of each test, made if used
    monkeypatch.setenv("CLEANPLATE_HOME", str(home))
    for variable in ("CLEANPLATE_MIRROR", "CLEANPLATE_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Iterator[None]:
    """Let no test reach another machine."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def refuse(address: object) -> None:
        if _is_outside(address):
            raise AssertionError(f"a test tried to connect to {address}")

    def guarded_connect(self: socket.socket, address: object) -> None:
        refuse(address)
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: object) -> int:
        refuse(address)
        return connect_ex(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
        yield


@pytest.fixture(scope="session", autouse=True)
def no_fsync() -> Iterator[None]:
    """Let files reach the disk when they may: no test cuts the power."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture
def fake_runtime(monkeypatch):
    """Return a function that puts a `FakeRuntime` in ONNX Runtime's place."""

    def install(built_with: list[str], working: list[str]) -> FakeRuntime:
        fake = FakeRuntime(built_with, working)
        _replace_runtime(monkeypatch, fake)
        return fake

    yield install
    _forget_devices()


@pytest.fixture
def pretended_cuda(monkeypatch):
    """Let the CPU go by the name of CUDA."""
    pretended = PretendedCuda()
    _replace_runtime(monkeypatch, pretended)
    monkeypatch.setattr("cleanplate.runtime.devices._cuda_unavailable_reason", lambda: None)
    yield pretended
    _forget_devices()


def _replace_runtime(monkeypatch, runtime) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
    monkeypatch.setattr("cleanplate.runtime.session._share_arena", lambda: True)
    _forget_devices()


def _forget_devices() -> None:
    for look in (devices._cuda_unavailable_reason, devices._cuda_works):
        if hasattr(look, "cache_clear"):
            look.cache_clear()


@pytest.fixture(scope="session")
def network_file() -> bytes:
    """Return the content of an ONNX file that loads."""
    return find_file(MODELS["edgeconnect.photos"], "edges").read_bytes()
