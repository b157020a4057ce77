"""A remover without networks, and small photos to run it on."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from cleanplate.io import Photo
from cleanplate.options import RemovalOptions
from cleanplate.plan import RemovalPlan
from cleanplate.segmentation.selection import select
from cleanplate.types import Instance, Mask, Removal, RGBImage

COLOURS = {"person": (220, 20, 20), "car": (20, 20, 220)}
SCORES = {"person": 0.9, "car": 0.6}
FILL = 128


class NamedModel(NamedTuple):
    """What a run asks a model for its records."""

    name: str
    provider: str = "none"


class ColourRemover:
    """Takes red for a person and blue for a car, and fills with grey."""

    segmenter, inpainter = NamedModel("colours"), NamedModel("telea")

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def prompter_for(self, options: RemovalOptions) -> None:
        """Outline nothing."""

    def find(
        self,
        photo: Photo,
        classes: Collection[str] | None = None,
        options: RemovalOptions | None = None,
    ) -> tuple[list[Instance], list[Instance]]:
        image = photo.pixels
        self.seen.append(image.shape)
        options = options or RemovalOptions()
        found = []
        for label in sorted(classes or options.classes, reverse=True):
            distance = np.abs(image.astype(int) - COLOURS[label]).max(axis=2)
            rows, columns = np.nonzero(distance < 60)
            if rows.size:
                box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
                left, top, right, bottom = (int(edge) for edge in box)
                mask = distance[top:bottom, left:right] < 60
                number = len(found) + 1
                found.append(
                    Instance(number, label, SCORES[label], (left, top, right, bottom), mask)
                )
        selection = select(
            image,
            found,
            min_score=options.min_score,
            min_area=options.min_area,
            rules=options.rules,
        )
        return list(selection.chosen), list(selection.kept)

    def plan(
        self, photo: Photo, *, options: RemovalOptions, mask: Mask | None = None
    ) -> RemovalPlan:
        image = photo.pixels
        if mask is not None:
            return RemovalPlan(mask=mask, instances=(), kept=(), options=options)
        chosen, kept = self.find(photo, options=options)
        mask = np.zeros(image.shape[:2], dtype=bool)
        for instance in chosen:
            instance.paint_on(mask)
        return RemovalPlan(
            mask=mask, instances=tuple(chosen), kept=tuple(kept), options=options, timings_s={}
        )

    def fill(self, image: RGBImage, mask: Mask | RemovalPlan) -> Removal:
        instances, kept, times = (), (), {}
        if isinstance(mask, RemovalPlan):
            times = {"fill": 0.25, "total": 1.0}
            mask, instances, kept = mask.mask, mask.instances, mask.kept
        filled = np.where(mask[..., None], np.uint8(FILL), image)
        return Removal(filled, mask, instances, kept, timings_s=times)


@pytest.fixture
def remover() -> ColourRemover:
    return ColourRemover()


@pytest.fixture
def make_photo() -> Callable[..., Path]:
    def make(path: Path, *things: str, size_wh: tuple[int, int] = (40, 30)) -> Path:
        """Write a photo with a 10 px square for each of `things`, side by side."""
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((size_wh[1], size_wh[0], 3), 235, dtype=np.uint8)
        for place, thing in enumerate(things):
            pixels[8:18, 4 + 16 * place : 14 + 16 * place] = COLOURS[thing]
        quality = {"quality": 95} if path.suffix == ".jpg" else {}
        Image.fromarray(pixels).save(path, **quality)
        return path

    return make


@pytest.fixture
def touch(tmp_path: Path) -> Callable[..., None]:
    def make(*names: str) -> None:
        """Make empty files below `tmp_path`."""
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    return make
