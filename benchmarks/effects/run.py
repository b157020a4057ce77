"""Measures how well the effects of objects, their shadows and reflections, are found.

    python benchmarks/effects/run.py DIR [--strong] [--sheets DIR]

DIR, which build.py makes from public photos, holds a folder for each kind, and in it photos/,
objects/ and effects/ with files of the same name: the photo, the object's mask and that of its
effects (white; all black where it has none; grey where it is unknown). One line a kind: IoU and
recall where there are effects, the area found beside them as a share of the object's, objects
without effects where more than 5 % of their area is found, and ms of processor time per object.
Bands along the outlines of object and effects are ignored, as these are not exact. SHEETS gets a
contact sheet of each kind: object green, effects found red, missed blue.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from cleanplate.io import read_mask, read_photo
from cleanplate.ops import bounding_box, dilate
from cleanplate.segmentation.effects import EffectsDetector
from cleanplate.types import Mask, RGBImage

_UNKNOWN = 128  # in effects/
_NONE_PX = 20  # up to which an object counts as one without effects
_FALSE_SHARE = 0.05  # of the object's area, that is no longer nothing
_BAND = 0.02  # of the object's longer side, on both sides of an outline
_TILE_PX = 240  # of a sheet
_COLUMNS = 7


@dataclass(frozen=True)
class Case:
    """One object in one photo."""

    name: str
    image: RGBImage
    mask: Mask
    effects: Mask
    known: Mask

    @property
    def counted(self) -> Mask:
        """What the figures are about: no pixel of the object or of a band."""
        left, top, right, bottom = bounding_box(self.mask)
        by_px = max(1.0, _BAND * max(right - left, bottom - top))
        band = dilate(self.effects, by_px) & dilate(~self.effects, by_px)
        return self.known & ~(dilate(self.mask, by_px) | band)

    @property
    def casts(self) -> bool:
        """Whether there is any effect."""
        return int(self.effects.sum()) >= _NONE_PX


def read_kind(folder: Path) -> list[Case]:
    cases = []
    for path in sorted((folder / "objects").iterdir()):
        photo = read_photo(next((folder / "photos").glob(f"{path.stem}.*")))
        mask = read_mask(path, photo.size_hw)
        grey = cv2.imread(str(folder / "effects" / path.name), cv2.IMREAD_GRAYSCALE)
        effects = (grey > _UNKNOWN) & ~mask
        cases.append(Case(path.stem, photo.pixels, mask, effects, grey != _UNKNOWN))
    return cases


def describe(kind: str, cases: list[Case], found: list[Mask], spent_s: float) -> str:
    pairs, beside, wrong = [], [], []
    for case, mask in zip(cases, found, strict=True):
        counted = case.counted
        one, other = mask & counted, case.effects & counted
        share = (one & ~other).sum() / case.mask.sum()
        beside.append(share)
        if case.casts:
            both = (one & other).sum()
            pairs.append((both / max(1, (one | other).sum()), both / max(1, other.sum())))
        else:
            wrong.append(share > _FALSE_SHARE)
    iou, recall = (f"{value:.3f}" for value in np.mean(pairs, axis=0)) if pairs else ("-", "-")
    return (
        f"| {kind} | {len(cases)} | {iou} | {recall} | {np.mean(beside):.3f} | "
        f"{sum(wrong)} of {len(wrong)} | {1000 * spent_s / len(cases):.0f} |"
    )


def sheet(cases: list[Case], found: list[Mask]) -> RGBImage:
    tiles = []
    for case, it in zip(cases, found, strict=True):
        shown = case.image.astype(np.float32)
        for mask, colour in (
            (case.mask, (0, 200, 0)),
            (case.effects & ~it, (0, 0, 255)),
            (it, (255, 0, 0)),
        ):
            shown[mask] = 0.5 * shown[mask] + 0.5 * np.array(colour)
        scale = _TILE_PX / max(case.mask.shape)
        small = cv2.resize(shown, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        tile = np.full((_TILE_PX, _TILE_PX, 3), 255, np.uint8)
        tile[: small.shape[0], : small.shape[1]] = np.clip(small, 0, 255)
        tiles.append(tile)
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % _COLUMNS)
    rows = [np.hstack(tiles[at : at + _COLUMNS]) for at in range(0, len(tiles), _COLUMNS)]
    return np.vstack(rows)


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--sheets", type=Path, metavar="DIR")
    parser.add_argument("--strong", action="store_true", help="uncertain parts too")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    detector = EffectsDetector(device="cpu", threads=arguments.threads)
    print("| kind | objects | IoU | recall | beside | wrong where none | ms |")
    print("|---|---|---|---|---|---|---|")
    for folder in sorted(path for path in arguments.folder.iterdir() if path.is_dir()):
        cases = read_kind(folder)
        start = time.process_time()
        found = [detector.find(case.image, case.mask, strong=arguments.strong) for case in cases]
        print(describe(folder.name, cases, found, time.process_time() - start), flush=True)
        if arguments.sheets:
            arguments.sheets.mkdir(parents=True, exist_ok=True)
            sheet_bgr = cv2.cvtColor(sheet(cases, found), cv2.COLOR_RGB2BGR)
            cv2.imwrite(str(arguments.sheets / f"{folder.name}.png"), sheet_bgr)


if __name__ == "__main__":
    main()
