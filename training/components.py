"""Windows around connected components, with the objects in them: a function of seed and step.

They show real photos whose objects have boxes, and groups that are made: beside an object that
stands alone, in its own photo, others of its class are put, before or behind it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from cleanplate.labels import VOC_LABELS
from cleanplate.segmentation.instances import COUNTED, PERSON
from cleanplate.types import Box, Mask, RGBImage
from training.config import InstancesConfig
from training.pairs import IGNORED, find_pairs

CELL_PX = 4
"""Side of a cell of the network's output."""

_MOST = 16  # objects in a window
_GREY = 127  # beyond a photo
_LEAST_SHARE = 0.003  # of the photo's area: smaller components are not shown
_LEAST_OF_COMPONENT = 0.03  # of its area: smaller objects are no targets
_LEAST_SEEN = 0.3  # of an object's pixels that must be in a component for it to belong there
_LABELLED = 0.85  # share of a component that boxes must cover
_CONTEXT = 0.1  # on each side of a component, of its longer side

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.uint8]
"""(H, W), the number of each pixel's object, from 1; 0 elsewhere, `IGNORED` where unknown."""


@dataclass(frozen=True, slots=True, eq=False)
class Component:
    """A connected component of a class in a photo, and the objects in it."""

    photo: Path
    label: str
    numbers: Numbers
    boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class ComponentBatch:
    """What one step sees."""

    rgb_mask: torch.Tensor  # (N, 4, S, S) float32 in [0, 1]
    centres: torch.Tensor  # (N, K, 2) float32: x and y of each object, as shares of the side
    candidates: torch.Tensor  # (N, K, S/4, S/4) bool: objects that a cell may belong to
    heat: torch.Tensor  # (N, S/4, S/4) float32: 1 in the cell of a centre, falling around it


def read_components(folder: Path) -> list[Component]:
    """Return the components in a folder with images/, masks/ and boxes/, by file names.

    Masks are of VOC's class numbers; a line of boxes/NAME.txt is a label and left, top, right and
    bottom of one object, in px. Components that boxes do not explain are left out.
    """
    found = []
    for pair in find_pairs(folder):
        _, classes = pair.read()
        lines = (folder / "boxes" / f"{pair.mask.stem}.txt").read_text(encoding="utf-8")
        boxes: dict[str, list[Box]] = {}
        for line in lines.splitlines():
            label, *sides = line.rsplit(maxsplit=4)
            left, top, right, bottom = map(int, sides)
            boxes.setdefault(label, []).append((left, top, right, bottom))
        for label in COUNTED.intersection(boxes):
            mine = classes == VOC_LABELS.index(label) + 1
            for part in connected(mine, classes == IGNORED):
                numbers, kept = _numbered(part, mine, boxes[label])
                if 0 < len(kept) <= _MOST:
                    found.append(Component(pair.photo, label, numbers, kept))
    return found


def connected(mine: Mask, unlabelled: Mask) -> list[Mask]:
    """Return the components of a class; the unlabelled strips between its objects join them."""
    near = cv2.dilate(mine.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    count, parts, stats, _ = cv2.connectedComponentsWithStats(
        (near & (mine | unlabelled)).astype(np.uint8)
    )
    least = _LEAST_SHARE * mine.size
    return [parts == n for n in range(1, count) if stats[n, cv2.CC_STAT_AREA] >= least]


def _numbered(part: Mask, mine: Mask, boxes: Sequence[Box]) -> tuple[Numbers, tuple[Box, ...]]:
    """Return whose each pixel is: of the only box around it; and the boxes that belong here."""
    inside = part & mine
    places = [np.s_[top:bottom, left:right] for left, top, right, bottom in boxes]
    belongs = [
        np.count_nonzero(inside[place])
        >= max(_LEAST_OF_COMPONENT * part.sum(), _LEAST_SEEN * np.count_nonzero(mine[place]), 1)
        for place in places
    ]
    around = np.zeros(part.shape, np.int64)
    for place in places:
        around[place] += 1
    numbers = np.where(part, np.uint8(IGNORED), np.uint8(0))
    kept = [n for n, here in enumerate(belongs) if here]
    for number, n in enumerate(kept, start=1):
        place = places[n]
        numbers[place][inside[place] & (around[place] == 1)] = number
    covered = np.count_nonzero(inside & (around > 0)) >= _LABELLED * np.count_nonzero(inside)
    return numbers, tuple(boxes[n] for n in kept) if covered else ()


class ComponentBatches(Dataset[ComponentBatch]):
    """Step -> batch.

    Args:
        components: of photos.
        config: of the run.
    """

    def __init__(self, components: Sequence[Component], config: InstancesConfig) -> None:
        self._config = config
        self._pools: dict[tuple[bool, bool], list[Component]] = {}
        for one in components:
            key = len(one.boxes) > 1, one.label == PERSON
            self._pools.setdefault(key, []).append(one)
        self._alone: dict[str, list[Component]] = {}
        for one in components:
            if len(one.boxes) == 1:
                self._alone.setdefault(one.label, []).append(one)

    def __len__(self) -> int:
        return self._config.run.steps

    def __getitem__(self, step: int) -> ComponentBatch:
        """Return the batch of a step."""
        rng = np.random.default_rng([self._config.run.seed, step])
        samples = [self._sample(rng) for _ in range(self._config.run.batch)]
        arrays = (np.stack(parts) for parts in zip(*samples, strict=True))
        return ComponentBatch(*(torch.from_numpy(one) for one in arrays))

    def _sample(self, rng: np.random.Generator) -> tuple[npt.NDArray[np.generic], ...]:
        settings = self._config.instances
        people = rng.random() < settings.people_share
        kind = rng.random()
        if kind >= settings.group_share + settings.single_share:
            labels = [label for label in self._alone if (label == PERSON) == people]
            alone = self._alone[labels[rng.integers(len(labels))]]
            image, numbers, boxes = _made(rng, alone)
        else:
            pool = self._pools[kind < settings.group_share, people]
            one = pool[rng.integers(len(pool))]
            image, numbers, boxes = _read(one.photo), one.numbers, one.boxes
        return _window(rng, image, numbers, boxes, settings.size_px)


def _read(photo: Path) -> RGBImage:
    return np.asarray(cv2.cvtColor(cv2.imread(str(photo)), cv2.COLOR_BGR2RGB), np.uint8)


def _made(
    rng: np.random.Generator, alone: Sequence[Component]
) -> tuple[RGBImage, Numbers, tuple[Box, ...]]:
    """Return an object's photo with others of its class put beside it."""
    base = alone[int(rng.integers(len(alone)))]
    image = _read(base.photo).astype(np.float32)
    numbers = (base.numbers > 0).astype(np.uint8)
    places = [base.boxes[0]]
    for _ in range(rng.choice(5, p=(0.1, 0.5, 0.22, 0.12, 0.06))):
        other = alone[int(rng.integers(len(alone)))]
        left, top, right, bottom = places[rng.integers(len(places))]
        pixels, cover = _cut(rng, other, bottom - top)
        pixels *= (image.mean() / max(20.0, pixels.mean())) ** rng.uniform(0, 0.7)
        high, wide = cover.shape
        shared = round(rng.uniform(-0.02, 0.55) * min(wide, right - left))
        x = right - shared if rng.random() < 0.5 else left - wide + shared
        y = bottom - high + round(rng.normal(0, 0.1) * (bottom - top))
        rows = slice(max(0, y), max(0, min(image.shape[0], y + high)))
        columns = slice(max(0, x), max(0, min(image.shape[1], x + wide)))
        here = numbers[rows, columns]
        if min(here.shape, default=0) < 8:
            continue
        own = np.s_[rows.start - y : rows.stop - y, columns.start - x : columns.stop - x]
        share = cover[own] * (here == 0) if rng.random() < 0.5 else cover[own]
        image[rows, columns] += (pixels[own] - image[rows, columns]) * share[..., None]
        here[share > 0.5] = len(places) + 1
        places.append((columns.start, rows.start, columns.stop, rows.stop))
    part = max(connected(numbers > 0, np.zeros_like(numbers, np.bool_)), key=np.count_nonzero)
    kept: list[Box] = []
    final = np.zeros_like(numbers)
    for number in range(1, len(places) + 1):
        seen = part & (numbers == number)
        if np.count_nonzero(seen) < _LEAST_OF_COMPONENT * np.count_nonzero(part):
            final[seen] = IGNORED
            continue
        left, top, wide, high = cv2.boundingRect(seen.astype(np.uint8))
        kept.append((left, top, left + wide, top + high))
        final[seen] = len(kept)
    return np.clip(image, 0, 255).astype(np.uint8), final, tuple(kept)


def _cut(rng: np.random.Generator, one: Component, height: int) -> tuple[Floats, Floats]:
    """Return an object's pixels, about so high, and how much of each it covers."""
    left, top, wide, high = cv2.boundingRect((one.numbers > 0).astype(np.uint8))
    place = np.s_[top : top + high, left : left + wide]
    scale = height / high * np.exp(rng.normal(-0.05, 0.2))
    size_wh = (max(8, round(wide * scale)), max(8, round(high * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    mirror = slice(None, None, -1 if rng.random() < 0.5 else 1)
    pixels, cover = (
        np.asarray(
            cv2.resize(it[place].astype(np.float32), size_wh, interpolation=method)[:, mirror],
            np.float32,
        )
        for it in (_read(one.photo), one.numbers > 0)
    )
    soft = cv2.GaussianBlur(cover, (0, 0), rng.uniform(0.5, 1.1))
    return pixels, np.asarray(soft, np.float32)


def _window(
    rng: np.random.Generator, image: RGBImage, numbers: Numbers, boxes: Sequence[Box], size: int
) -> tuple[npt.NDArray[np.generic], ...]:
    """Return what the network sees of a component, and what it is to say; see `ComponentBatch`.

    A square around its box as the package cuts it, turned, stretched and moved a little.
    """
    left, top, wide, high = cv2.boundingRect((numbers > 0).astype(np.uint8))
    scale = size / (max(wide, high) * (1 + 2 * _CONTEXT)) * np.exp(rng.normal(0, 0.1))
    turn = turn_a_little(rng, scale, angle=0.06)
    middle = np.array([left + wide / 2, top + high / 2])
    move = np.hstack([turn, (size * rng.uniform(0.45, 0.55, 2) - turn @ middle)[:, None]])
    smooth = cv2.GaussianBlur(image, (0, 0), 0.45 / scale) if scale < 0.8 else image
    size_wh = (size, size)
    rgb = cv2.warpAffine(smooth, move, size_wh, borderValue=(_GREY,) * 3).astype(np.float32)
    seen = cv2.warpAffine(numbers, move, size_wh, flags=cv2.INTER_NEAREST)
    cells = seen[CELL_PX // 2 :: CELL_PX, CELL_PX // 2 :: CELL_PX]
    at = (np.arange(len(cells)) + 0.5) * CELL_PX
    centres = np.zeros((_MOST, 2), np.float32)
    candidates = np.zeros((_MOST, *cells.shape), np.bool_)
    heat = np.zeros(cells.shape, np.float32)
    for n, box in enumerate(np.array(boxes, float)):
        x, y = move @ [box[::2].mean(), box[1::2].mean(), 1]
        half = (box[2:] - box[:2]) / 2 * scale + 2
        within = (np.abs(at - x) <= half[0]) & (np.abs(at - y) <= half[1])[:, None]
        centres[n] = x / size, y / size
        candidates[n] = (cells == n + 1) | ((cells == IGNORED) & within)
        if candidates[n].any():
            spread = np.clip(0.2 * half.min() / CELL_PX, 1, 3) * CELL_PX
            away = ((at - x) ** 2 + (at[:, None] - y) ** 2) / (2 * spread**2)
            if min(x, y) >= 0 and max(x, y) < size:
                away[away == away.min()] = 0
            heat = np.maximum(heat, np.exp(-away).astype(np.float32))
    rgb_mask = np.dstack([change_light(rng, rgb), draw_badly(rng, seen > 0)]).transpose(2, 0, 1)
    return rgb_mask, centres, candidates, heat


def turn_a_little(
    rng: np.random.Generator, scale: float, *, angle: float
) -> npt.NDArray[np.float64]:
    """Return (2, 2): scaled, turned by about `angle`, stretched, mirrored half the time."""
    by = rng.normal(0, angle)
    turn = np.array([[np.cos(by), -np.sin(by)], [np.sin(by), np.cos(by)]])
    turn *= scale * np.exp(rng.normal(0, 0.06, 2))
    if rng.random() < 0.5:
        turn[:, 0] *= -1
    return turn


def change_light(rng: np.random.Generator, rgb: Floats) -> Floats:
    """Return colours in [0, 1] in another light."""
    light = 255 * (rgb / 255) ** rng.uniform(0.7, 1.4) * rng.uniform(0.8, 1.15)
    grey = light.mean(axis=2, keepdims=True)
    light = grey + (light - grey) * rng.uniform(0.4, 1.4)
    light += rng.normal(0, 1, rgb.shape) * rng.uniform(0, 4)
    if rng.random() < 0.25:
        light = cv2.GaussianBlur(light, (0, 0), rng.uniform(0.4, 1.6))
    return (np.clip(light, 0, 255) / 255).astype(np.float32)


def draw_badly(rng: np.random.Generator, mask: Mask) -> Floats:
    """Return a mask with the faults of a segmenter's: rounded, and wrong by some px."""
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), rng.uniform(0.5, 3))
    coarse = rng.normal(0, 0.14, (14, 14))
    noise = cv2.resize(coarse, mask.shape[::-1], interpolation=cv2.INTER_CUBIC)
    return (soft + noise > 0.5 + rng.uniform(-0.2, 0.15)).astype(np.float32)
