"""A folder for models of each test's own, and models that no publisher knows."""

import hashlib
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from cleanplate.hub.registry import MODELS
from cleanplate.hub.registry.entry import Checkpoint, Licence, Model, ModelFile, TensorSpec

ABC_SHA256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
"""printf abc | sha256sum; the first example of FIPS 180-2."""


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """Return the folder for models, empty."""
    folder = tmp_path / "home"
    monkeypatch.setenv("CLEANPLATE_HOME", str(folder))
    return folder


@pytest.fixture
def make_model() -> Callable[..., Model]:
    """Return a function that makes an entry; keywords replace its fields."""

    def make(**fields: object) -> Model:
        usual: dict[str, object] = {
            "name": "abc.test",
            "kind": "inpainter",
            "family": "edgeconnect",
            "files": (
                ModelFile(
                    role="fill",
                    filename="abc.onnx",
                    url="https://example.invalid/1.0/abc.onnx",
                    sha256=ABC_SHA256,
                    size_bytes=3,
                    inputs=(TensorSpec("float32", ("N", 3, "H", "W")),),
                    outputs=(TensorSpec("float32", ("N", 1, "H", "W")),),
                ),
            ),
            "licence": Licence(spdx="MIT", commercial="yes", note="the publisher says so"),
            "pages": ("https://example.invalid/abc",),
            "source": "arXiv:0000.00000",
            "recipe": "",
            "training_photos": "",
            "choose": "",
        }
        return Model(**usual | fields)

    return make


@pytest.fixture
def registered(monkeypatch) -> Callable[[Model], Model]:
    """Return a function that adds an entry to the registry for one test."""

    def add(model: Model) -> Model:
        monkeypatch.setattr("cleanplate.hub.registry.MODELS", {**MODELS, model.name: model})
        return model

    return add


@pytest.fixture
def checkpoint() -> Checkpoint:
    content = struct.pack("<3f", 1, 2, 3)
    return Checkpoint(
        filename="abc.pth",
        url="https://example.invalid/1.0/abc.pth",
        checksum=f"sha256:{hashlib.sha256(content).hexdigest()}",
        size_bytes=len(content),
    )
