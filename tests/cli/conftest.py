"""The command line called in this process, with models that know colours instead of networks."""

import functools
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import typer.main
from PIL import Image

from cleanplate import remover as pipeline
from cleanplate.cli import main
from cleanplate.labels import VOC_LABELS
from cleanplate.types import Instance, Mask, RGBImage

COLOURS = {"person": (220, 20, 20), "car": (20, 20, 220)}
SCORES = {"person": 0.91, "car": 0.3}


@pytest.fixture(scope="session", autouse=True)
def commands_built_once() -> Iterator[None]:
    """Let Typer build the 22 commands once in a process: that takes longer than most calls."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", functools.cache(typer.main.get_command))
        yield


@pytest.fixture
def hearing() -> list[str]:
    """Start the command line so that it hears Ctrl-C, also where tests have it ignored ("&")."""
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from cleanplate.cli import main; sys.exit(main())"
    )
    return [sys.executable, "-c", code]


class ColourSegmenter:
    """Takes red for a person and blue for a car."""

    name, provider, labels = "colours", "NumPy", VOC_LABELS

    def segment(self, image: RGBImage, labels: Collection[str]) -> list[Instance]:
        found = []
        for label in sorted(COLOURS.keys() & set(labels), reverse=True):
            alike = np.abs(image.astype(int) - COLOURS[label]).max(axis=2) < 60
            rows, columns = np.nonzero(alike)
            if rows.size:
                left, right = int(columns.min()), int(columns.max()) + 1
                top, bottom = int(rows.min()), int(rows.max()) + 1
                mask = alike[top:bottom, left:right]
                box = (left, top, right, bottom)
                found.append(Instance(len(found) + 1, label, SCORES[label], box, mask))
        return found


class GreyInpainter:
    name, provider, working_size = "grey", "NumPy", None

    def __init__(self, seed: int = 0) -> None:
        self.grey = np.uint8(128 + seed)

    def with_seed(self, seed: int) -> "GreyInpainter":
        return GreyInpainter(seed)

    def inpaint(self, image: RGBImage, mask: Mask) -> RGBImage:
        return np.where(mask[..., None], self.grey, image)


@dataclass(frozen=True)
class Called:
    code: int
    out: str
    err: str


@pytest.fixture
def cli(capsys) -> Callable[..., Called]:
    def call(*args: object) -> Called:
        capsys.readouterr()
        code = main([str(arg) for arg in args])
        said = capsys.readouterr()
        return Called(code, said.out, said.err)

    return call


@pytest.fixture
def without_networks(monkeypatch) -> None:
    class Remover(pipeline.Remover):
        def __init__(self, **options):
            models = {"segmenter": ColourSegmenter(), "inpainter": GreyInpainter()}
            super().__init__(**{**options, **models})

    monkeypatch.setattr(pipeline, "Remover", Remover)


@pytest.fixture
def make_photo() -> Callable[..., Path]:
    def make(path: str | Path, *things: str) -> Path:
        """Write a 96x64 photo with a 20 px square for each of `things`, side by side."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((64, 96, 3), 235, dtype=np.uint8)
        for place, thing in enumerate(things):
            pixels[20:40, 10 + 40 * place : 30 + 40 * place] = COLOURS[thing]
        Image.fromarray(pixels).save(path)
        return path

    return make
