r"""Collect what a segmenter finds of the objects in labelled photos, and all that is theirs.

    python -m training.found --labelled FOLDER... --output FOUND

FOLDER holds images/NAME.* and masks/NAME.png with class numbers, 255 = ignore. FOUND receives
photos/, the photo around each object; truth/, its pixels (1) and those unknown (2); and found/,
what the segmenter takes for it (1), in one pass at a random size, so that much is missed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.ops import bounding_box, expand_box, long_side
from cleanplate.segmentation.models.semantic import SemanticSegmenter
from cleanplate.types import Box, Mask, RGBImage
from training.candidates import read_arguments, see_at
from training.pairs import IGNORED, Classes, find_pairs

UNKNOWN = 2
"""In truth/: a pixel that counts for nothing."""

_PHOTO_PX = 560  # long side of a photo
_WINDOW_PX = 400  # of what is written
_AROUND = 0.45  # of an object's longer side, on each side
_PASSES = 2
_SHORT_SIDES_PX = (160, 208, 256, 320)
_LIKELY = (0.3, 0.3, 0.5)  # probability of an object's pixels; one of these
_LEAST_SHARE, _LEAST_PX = 0.006, 900  # of a photo, of a true object
_LEAST_FOUND, _LEAST_RIGHT = 0.45, 0.5  # share of the object, and of what is found
_COVERED = 0.3  # share of a second object, for it to be a part of what was found


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """An object in a photo."""

    box_xyxy: Box  # around it, and around what was found
    truth: Mask  # (H, W)
    found: Mask  # (H, W)


def objects_of(
    photo: RGBImage, classes: Classes, segmenter: SemanticSegmenter, rng: np.random.Generator
) -> Iterator[Found]:
    """Yield the true objects of a photo, each with what one pass finds of it.

    What no pass finds is taken as found completely.
    """
    objects = list(_true_objects(classes))
    seen = set()
    for _ in range(_PASSES if objects else 0):
        planes = _probabilities(photo, segmenter, rng)
        strongest = planes.argmax(axis=0)
        for index, (number, truth) in enumerate(objects):
            likely = (planes[number] > rng.choice(_LIKELY)) & (strongest == number)
            found = _largest_in(likely, truth)
            both = np.count_nonzero(found & truth)
            counted = np.count_nonzero(found & (classes != IGNORED))
            if both < max(_LEAST_FOUND * truth.sum(), _LEAST_RIGHT * counted, 1):
                continue
            others = [mask for n, mask in objects if n == number]
            covered = [it for it in others if (it & found).sum() > _COVERED * it.sum()]
            seen.add(index)
            whole = np.asarray(np.logical_or.reduce([truth, *covered]))
            yield Found(bounding_box(whole | found), whole, found)
    for index, (_, truth) in enumerate(objects):
        if index not in seen:
            yield Found(bounding_box(truth), truth, truth)


def _true_objects(classes: Classes) -> Iterator[tuple[int, Mask]]:
    """Yield class and mask of each connected region; unlabelled strips between parts join them."""
    for number in np.unique(classes):
        if number in (0, IGNORED):
            continue
        mine = classes == number
        near = cv2.dilate(mine.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        joined = (near & (mine | (classes == IGNORED))).astype(np.uint8)
        count, parts = cv2.connectedComponents(joined, connectivity=8)
        for part in range(1, count):
            mask = np.asarray((parts == part) & mine)
            if np.count_nonzero(mask) >= max(_LEAST_SHARE * mine.size, _LEAST_PX):
                yield int(number), mask


def _probabilities(
    photo: RGBImage, segmenter: SemanticSegmenter, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Return (21, H, W) of one pass, half of them mirrored, half in another light."""
    seen = photo[:, ::-1] if (mirrored := rng.random() < 0.5) else photo
    if rng.random() < 0.5:
        light = 255 * (seen / 255) ** rng.uniform(0.6, 1.7) * rng.uniform(0.7, 1.1)
        seen = np.clip(light, 0, 255).astype(np.uint8)
    scale = rng.choice(_SHORT_SIDES_PX) / min(photo.shape[:2])
    planes = see_at(np.ascontiguousarray(seen), segmenter, scale)
    return planes[:, :, ::-1] if mirrored else planes


def _largest_in(mask: Mask, truth: Mask) -> Mask:
    """Return the component of `mask` that covers most of `truth`; empty if none does."""
    _, parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    counts = np.bincount(parts[truth], minlength=2)
    counts[0] = 0
    return np.asarray((parts == counts.argmax()) & mask)


def cut_out(one: Found, photo: RGBImage, classes: Classes) -> tuple[RGBImage, Classes, Classes]:
    """Return a photo around an object, truth and what was found, as they are written."""
    reach_px = round(_AROUND * long_side(one.box_xyxy)) + 4
    left, top, right, bottom = expand_box(one.box_xyxy, reach_px, photo.shape)
    place = np.s_[top:bottom, left:right]
    scale = min(1.0, _WINDOW_PX / max(right - left, bottom - top))
    size_wh = (max(8, round((right - left) * scale)), max(8, round((bottom - top) * scale)))
    truth = np.where(classes == IGNORED, np.uint8(UNKNOWN), one.truth)[place]
    pixels = cv2.resize(photo[place], size_wh, interpolation=cv2.INTER_AREA)
    known, found = (
        cv2.resize(it.astype(np.uint8), size_wh, interpolation=cv2.INTER_NEAREST)
        for it in (truth, one.found[place])
    )
    return np.asarray(pixels, np.uint8), np.asarray(known, np.uint8), np.asarray(found, np.uint8)


def _fitted(photo: RGBImage, classes: Classes) -> tuple[RGBImage, Classes]:
    """Return both no larger than `_PHOTO_PX`."""
    scale = min(1.0, _PHOTO_PX / max(classes.shape))
    size_wh = (round(classes.shape[1] * scale), round(classes.shape[0] * scale))
    pixels = cv2.resize(photo, size_wh, interpolation=cv2.INTER_AREA)
    numbers = cv2.resize(classes, size_wh, interpolation=cv2.INTER_NEAREST)
    return np.asarray(pixels, np.uint8), np.asarray(numbers, np.uint8)


def collect(labelled: Sequence[Path], segmenter: SemanticSegmenter, output: Path) -> int:
    """Write the objects of the photos in folders; return how many."""
    for folder in ("photos", "truth", "found"):
        (output / folder).mkdir(parents=True)
    count = 0
    for index, pair in enumerate(pair for folder in labelled for pair in find_pairs(folder)):
        photo, classes = _fitted(*pair.read())
        for one in objects_of(photo, classes, segmenter, np.random.default_rng(index)):
            pixels, truth, found = cut_out(one, photo, classes)
            name = f"{count:06d}"
            cv2.imwrite(str(output / f"photos/{name}.jpg"), pixels[..., ::-1])
            cv2.imwrite(str(output / f"truth/{name}.png"), truth)
            cv2.imwrite(str(output / f"found/{name}.png"), found)
            count += 1
    return count


def main() -> None:
    """Parse the command line, collect."""
    print(f"{collect(*read_arguments(__doc__.splitlines()[0]))} objects")


if __name__ == "__main__":
    main()
