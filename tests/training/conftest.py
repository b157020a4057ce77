"""Tiny networks, photos and configurations."""

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest

collect_ignore_glob = []
if any(importlib.util.find_spec(name) is None for name in ("torch", "timm", "tensorboard")):
    collect_ignore_glob = ["test_*.py"]  # the extra `train` is not installed


@pytest.fixture(scope="session")
def photo_folder(tmp_path_factory, cat, coffee, rocket) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for name, photo in {"cat": cat, "coffee": coffee, "rocket": rocket}.items():
        path = folder / name / f"{name}.jpg"
        path.parent.mkdir()
        cv2.imwrite(str(path), photo[..., ::-1])
    (folder / "notes.txt").write_text("no photo")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 no photo")
    return folder


@pytest.fixture(scope="session")
def silhouettes() -> list[np.ndarray]:
    shape = np.zeros((64, 64), np.uint8)
    cv2.circle(shape, (32, 32), 20, 1, -1)
    return [shape > 0]
