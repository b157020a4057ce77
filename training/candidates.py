r"""Collect what a segmenter takes for objects in labelled photos, right or wrong, and true objects.

    python -m training.candidates --labelled FOLDER... --output CANDIDATES

FOLDER holds images/NAME.* and masks/NAME.png with class numbers, 255 = ignore. CANDIDATES receives
windows/ and masks/, a square around each, and truth.tsv: name, class found (0: a true object, from
its mask) and true class.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.ops import SquareView
from cleanplate.segmentation import create_segmenter
from cleanplate.segmentation.models.semantic import SemanticSegmenter
from cleanplate.types import Box, Mask, RGBImage
from training.pairs import IGNORED, Classes, find_pairs

WINDOW_PX = 192
CONTEXT = 0.6
"""On each side of an object, of its longer side: room to move and turn it."""

_GREY = 127  # beyond the photo
# A photo is seen complete, and a part of it enlarged, as closer passes see it.
_SIDES_PX = (256, 320, 384, 512)
_PART_PX = (100, 260)
_LEAST_PART_PX = 200  # of a photo's short side, for a part of it to be enlarged
# Of any class, whether or not the background is more probable: doubtful ones are wanted too.
_LIKELY, _SURE = 0.2, 0.3
_LEAST_PX = 60
_LEAST_SIDE_PX = 16
_MOST_IN_VIEW = 6
_LABELLED = 0.5  # share of a candidate that must be labelled
_LEAST_SHARE = 0.004  # of the photo, of a true object
_LEAST_TRUE_SIDE_PX = 24


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """What may be an object."""

    mask: Mask  # (H, W) of the photo
    box_xyxy: Box
    found: int  # its class; 0: a true object
    true: int  # most of it is of this class; 0: the background


def candidates_of(
    photo: RGBImage, classes: Classes, segmenter: SemanticSegmenter, rng: np.random.Generator
) -> Iterator[Candidate]:
    """Yield what a segmenter of VOC's classes finds in a photo and in a part of it."""
    height, width = photo.shape[:2]
    views = [(0, 0, width, height)]
    if min(height, width) >= _LEAST_PART_PX:
        side = int(rng.integers(_PART_PX[0], min(_PART_PX[1], height, width)))
        x, y = (int(rng.integers(0, length - side + 1)) for length in (width, height))
        views.append((x, y, x + side, y + side))
    for left, top, right, bottom in views:
        part = np.ascontiguousarray(photo[top:bottom, left:right])
        planes = see_at(part, segmenter, rng.choice(_SIDES_PX) / max(part.shape))
        found = _components(planes[1:])
        for index in rng.permutation(len(found))[:_MOST_IN_VIEW]:
            number, box, inside = found[index]
            mask = np.zeros((height, width), np.bool_)
            mask[top:bottom, left:right] = inside
            under = classes[mask]
            labelled = under[under != IGNORED]
            if len(labelled) >= _LABELLED * len(under):
                true = int(np.bincount(labelled).argmax())
                moved = (box[0] + left, box[1] + top, box[2] + left, box[3] + top)
                yield Candidate(mask, moved, number, true)


def see_at(photo: RGBImage, segmenter: SemanticSegmenter, scale: float) -> npt.NDArray[np.float32]:
    """Return (C, H, W), the probabilities in a photo as one pass sees it at about a scale."""
    rows, columns = (max(32, round(side * scale / 32) * 32) for side in photo.shape[:2])
    cells = segmenter.probabilities(photo, (rows, columns))
    return np.stack([cv2.resize(plane, photo.shape[1::-1]) for plane in cells])


def _components(planes: npt.NDArray[np.float32]) -> list[tuple[int, Box, Mask]]:
    """Return class number, box and (h, w) mask of what (20, h, w) probabilities show."""
    strongest = planes.max(axis=0)
    found = []
    for index, plane in enumerate(planes):
        own = (plane >= strongest) & (plane > _LIKELY)
        for box, mask in _parts(own, _LEAST_PX, _LEAST_SIDE_PX):
            if plane[mask].max() >= _SURE:
                found.append((index + 1, box, mask))
    return found


def true_objects(classes: Classes) -> Iterator[Candidate]:
    """Yield the connected regions of each class."""
    for number in np.unique(classes):
        if number not in (0, IGNORED):
            least = _LEAST_SHARE * classes.size
            for box, mask in _parts(classes == number, least, _LEAST_TRUE_SIDE_PX):
                yield Candidate(mask, box, 0, int(number))


def _parts(own: Mask, least_px: float, least_side_px: int) -> Iterator[tuple[Box, Mask]]:
    count, parts, stats, _ = cv2.connectedComponentsWithStats(own.view(np.uint8))
    for part in range(1, count):
        x, y, w, h, area = stats[part].tolist()
        if area >= least_px and max(w, h) >= least_side_px:
            yield (x, y, x + w, y + h), parts == part


def read_arguments(description: str) -> tuple[list[Path], SemanticSegmenter, Path]:
    """Return labelled folders, what finds objects in their photos, and the output's folder."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--labelled", type=Path, nargs="+", required=True)
    parser.add_argument("--segmenter", default="deeplabv3plus_lite2.voc")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    segmenter = create_segmenter(arguments.segmenter)
    if not isinstance(segmenter, SemanticSegmenter):
        raise SystemExit(f"{segmenter.name} is not a semantic segmenter")
    return arguments.labelled, segmenter, arguments.output


def main() -> None:
    """Parse the command line, collect."""
    folders, segmenter, output = read_arguments(__doc__.splitlines()[0])
    for folder in ("windows", "masks"):
        (output / folder).mkdir(parents=True)
    pairs = [pair for folder in folders for pair in find_pairs(folder)]
    lines: list[str] = []
    for index, pair in enumerate(pairs):
        photo, classes = pair.read()
        rng = np.random.default_rng(index)
        for one in (*candidates_of(photo, classes, segmenter, rng), *true_objects(classes)):
            name = f"{len(lines):06d}"
            view = SquareView(one.box_xyxy, CONTEXT, photo.shape, WINDOW_PX)
            rgb = view.see(photo, _GREY).round().astype(np.uint8)
            share = (view.see(one.mask.view(np.uint8), 0) * 255).astype(np.uint8)
            cv2.imwrite(str(output / f"windows/{name}.jpg"), rgb[..., ::-1])
            cv2.imwrite(str(output / f"masks/{name}.png"), share)
            lines.append(f"{name}\t{one.found}\t{one.true}\n")
    (output / "truth.tsv").write_text("".join(lines), encoding="utf-8")
    print(f"{len(lines)} candidates in {len(pairs)} photos")


if __name__ == "__main__":
    main()
