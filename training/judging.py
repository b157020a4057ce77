r"""Have what may be the effects of objects in labelled photos judged: data to train on.

    python -m training.judging propose --labelled FOLDER... --output PARTS
    python -m training.judging collect PARTS --output LABELLED

FOLDER holds images/NAME.* and masks/NAME.png with class numbers, 255 = ignore. On PARTS/sheets/
each object is outlined in pink; what the built-in network for effects gives even a low probability
are parts with numbers. Look at them, and write PARTS/judged.txt, a line for each object:

    object | parts that are its effects | parts that are not | all

The last field is empty where effects are seen that no part holds. Whatever is not judged is unknown
in LABELLED, which `training.effects` takes. A sheet of 16 objects takes up to half a minute.
"""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from shutil import copyfile

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.evaluation import sheet_of, tiles_of
from cleanplate.ops import bounding_box, expand_box, long_side
from cleanplate.segmentation import EffectsDetector
from cleanplate.types import Mask, RGBImage
from training.candidates import true_objects
from training.pairs import find_pairs
from training.scenes import UNKNOWN

Parts = npt.NDArray[np.uint8]
"""(H, W), the number of the part a pixel is in, 0 = none."""

_LEAST_SHARE, _LARGEST_SHARE = 0.012, 0.45  # of the photo, of an object
_MOST_OBJECTS = 2  # of a photo
_LEAST_PX = 60
# Limit of the probability, least share of the object's area, and px of the opening: what is likely,
# then what is around it.
_LEVELS = ((0.35, 0.01, 1), (0.12, 0.02, 7))
_MOST_PARTS = 8
_COLOURS = (
    (230, 40, 40),
    (40, 200, 40),
    (60, 90, 255),
    (240, 220, 0),
    (0, 220, 220),
    (255, 140, 0),
    (230, 60, 230),
    (255, 255, 255),
)
_OBJECT = (255, 120, 255)
_AROUND = 1.1  # of the object's longer side
_TILE_PX, _ROW, _SHEET = 288, 4, 16
_EFFECT = 255  # in effects/
_LINE = re.compile(r"\s*(\d+)\s*\|([\d\s,]*)\|([\d\s,]*)\|\s*(all)?\s*")


def parts_of(probability: npt.NDArray[np.float32], mask: Mask) -> Parts:
    """Return the parts that may be an object's effects, by level, then by size.

    Args:
        probability: (H, W) float32 in [0, 1].
        mask: (H, W) bool, the object.
    """
    parts, number = np.zeros(mask.shape, np.uint8), 0
    for limit, least, opening in _LEVELS:
        near = cv2.dilate((parts > 0).astype(np.uint8), np.ones((3, 3))) > 0
        likely = ((probability > limit) & ~mask & ~near).astype(np.uint8)
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (opening, opening))
        count, found, stats, _ = cv2.connectedComponentsWithStats(
            cv2.morphologyEx(likely, cv2.MORPH_OPEN, kernel)
        )
        areas = stats[:, cv2.CC_STAT_AREA]
        for part in sorted(range(1, count), key=lambda part: -areas[part]):
            if number < _MOST_PARTS and areas[part] >= max(_LEAST_PX, least * mask.sum()):
                number += 1
                parts[found == part] = number
    return parts


def tile_of(photo: RGBImage, mask: Mask, parts: Parts, title: str) -> RGBImage:
    """Return an object's surroundings with the outlines of it and of its parts."""
    box = bounding_box(mask)
    left, top, right, bottom = expand_box(box, round(_AROUND * long_side(box)), mask.shape)
    place = np.s_[top:bottom, left:right]
    scale = _TILE_PX / max(bottom - top, right - left)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    tile = cv2.resize(photo[place], None, fx=scale, fy=scale, interpolation=method)
    size_wh = tile.shape[1::-1]
    shapes = [(mask, _OBJECT), *((parts == n, _COLOURS[n - 1]) for n in _numbers(parts))]
    for number, (shape, colour) in enumerate(shapes):
        grey = cv2.resize(shape[place].astype(np.uint8) * 255, size_wh)
        lines, _ = cv2.findContours(
            (grey > 127).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )
        cv2.drawContours(tile, lines, -1, colour, 1)
        if number:
            deep = cv2.distanceTransform(np.pad(grey, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
            y, x = np.unravel_index(deep.argmax(), deep.shape)
            where = (max(0, int(x) - 4), int(y) + 4)
            for thick, ink in ((3, (0, 0, 0)), (1, colour)):
                cv2.putText(tile, str(number), where, cv2.FONT_HERSHEY_SIMPLEX, 0.42, ink, thick)
    square = np.zeros((_TILE_PX, _TILE_PX, 3), np.uint8)
    square[: tile.shape[0], : tile.shape[1]] = tile
    nothing = np.zeros((_TILE_PX, _TILE_PX), np.bool_)
    return tiles_of({title: square}, nothing, tile_px=_TILE_PX)[0]


def _numbers(parts: Parts) -> range:
    return range(1, int(parts.max()) + 1)


def propose(labelled: Sequence[Path], output: Path) -> int:
    """Write objects, their parts, and sheets of them; return how many objects."""
    for folder in ("photos", "objects", "parts", "sheets"):
        (output / folder).mkdir(parents=True)
    detector, count, tiles = EffectsDetector(), 0, list[RGBImage]()
    for pair in (pair for folder in labelled for pair in find_pairs(folder)):
        photo, classes = pair.read()
        shares = [(one.mask, one.mask.mean()) for one in true_objects(classes)]
        fit = [one for one in shares if _LEAST_SHARE <= one[1] <= _LARGEST_SHARE]
        for mask, _ in sorted(fit, key=lambda one: -one[1])[:_MOST_OBJECTS]:
            probability = np.zeros(mask.shape, np.float32)
            place, there = detector.look(photo, mask, bounding_box(mask))
            probability[place] = there
            parts, name = parts_of(probability, mask), f"{count:05d}"
            copyfile(pair.photo, output / f"photos/{name}{pair.photo.suffix.lower()}")
            cv2.imwrite(str(output / f"objects/{name}.png"), mask.astype(np.uint8) * 255)
            cv2.imwrite(str(output / f"parts/{name}.png"), parts)
            tiles.append(tile_of(photo, mask, parts, name))
            count += 1
            if count % _SHEET == 0:
                _write_sheet(output / f"sheets/{count - _SHEET:05d}.png", tiles)
                tiles.clear()
    if tiles:
        _write_sheet(output / f"sheets/{count - len(tiles):05d}.png", tiles)
    return count


def _write_sheet(path: Path, tiles: list[RGBImage]) -> None:
    sheet = sheet_of([tiles[start : start + _ROW] for start in range(0, len(tiles), _ROW)])
    cv2.imwrite(str(path), sheet[..., ::-1])


def judged_effects(parts: Parts, right: set[int], wrong: set[int], *, all_seen: bool) -> Parts:
    """Return (H, W): `_EFFECT`, 0 for what is none, or `UNKNOWN`."""
    effects = np.full(parts.shape, 0 if all_seen else UNKNOWN, np.uint8)
    for number in _numbers(parts):
        value = _EFFECT if number in right else 0 if number in wrong else UNKNOWN
        effects[parts == number] = value
    return effects


def collect(parts: Path, output: Path) -> int:
    """Write the judged objects as `training.scenes.read_labelled` reads them; return how many.

    Raises:
        ValueError: a line has other fields.
    """
    for folder in ("photos", "objects", "effects"):
        (output / folder).mkdir(parents=True)
    lines = (parts / "judged.txt").read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        match = _LINE.fullmatch(line)
        if match is None:
            where = f"{parts / 'judged.txt'}, line {number}"
            raise ValueError(f"{where}: not 'object | parts | parts | all': {line}")
        name = f"{int(match[1]):05d}"
        file = f"{name}.png"
        right, wrong = ({int(it) for it in re.findall(r"\d+", match[n])} for n in (2, 3))
        found = cv2.imread(str(parts / "parts" / file), cv2.IMREAD_GRAYSCALE)
        effects = judged_effects(np.asarray(found, np.uint8), right, wrong, all_seen=bool(match[4]))
        cv2.imwrite(str(output / "effects" / file), effects)
        for path in (parts / "objects" / file, *(parts / "photos").glob(f"{name}.*")):
            copyfile(path, output / path.relative_to(parts))
    return len(lines)


def main() -> None:
    """Parse the command line, propose or collect."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    first = commands.add_parser("propose", help="write parts of effects, and sheets of them")
    first.add_argument("--labelled", type=Path, nargs="+", required=True)
    second = commands.add_parser("collect", help="write what was judged, to train on")
    second.add_argument("parts", type=Path)
    for command in (first, second):
        command.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    if arguments.command == "propose":
        print(f"{propose(arguments.labelled, arguments.output)} objects")
    else:
        print(f"{collect(arguments.parts, arguments.output)} objects")


if __name__ == "__main__":
    main()
