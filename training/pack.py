"""Pack photos and outlines for a run on a machine with a fast accelerator and a slow disk.

    python -m training.pack photos --photos DIR... --output photos.npy
    python -m training.pack silhouettes --photos DIR... --output silhouettes.npy

The first writes squares of 288 px, and foreground.npy beside them: where a segmenter sees objects.
The second writes outlines of objects, for holes.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.ops.masks import rasterize
from cleanplate.segmentation import create_segmenter
from cleanplate.segmentation.base import Segmenter
from training.photos import Photos

SQUARE_PX = 288
FOREGROUND_CELLS = 72
SILHOUETTE_PX = 256
_SURE = 0.7  # score of an object whose outline is kept
_MIN_SHARE = 0.02  # of the photo that it takes


def squares(photo: npt.NDArray[np.uint8]) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield one square in the middle of a photo, or one at either end of a long one."""
    height, width = photo.shape[:2]
    short, long = min(height, width), max(height, width)
    starts = [0, long - short] if long >= 1.5 * short else [(long - short) // 2]
    for start in starts:
        span = slice(start, start + short)
        part = photo[span] if height > width else photo[:, span]
        method = cv2.INTER_AREA if short > SQUARE_PX else cv2.INTER_CUBIC
        scaled = cv2.resize(part, (SQUARE_PX, SQUARE_PX), interpolation=method)
        yield np.asarray(scaled, np.uint8)


def pack_photos(
    photos: Photos, segmenter: Segmenter
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """Return (N, 288, 288, 3) squares and (N, 72, 72) bool foreground."""
    kept, foreground = [], []
    for index in range(len(photos)):
        read = photos.read(index)
        if read is None:
            continue
        for square in squares(read[0]):
            found = rasterize(segmenter.segment(square, segmenter.labels), square.shape)
            cells = (FOREGROUND_CELLS, FOREGROUND_CELLS)
            share = cv2.resize(found.astype(np.float32), cells, interpolation=cv2.INTER_AREA)
            kept.append(square)
            foreground.append(share > 0.5)
    return np.stack(kept), np.stack(foreground)


def pack_silhouettes(photos: Photos, segmenter: Segmenter) -> npt.NDArray[np.uint8]:
    """Return (M, 256, 32) uint8: outlines in the middle of squares, a bit a pixel."""
    packed = []
    for index in range(len(photos)):
        read = photos.read(index)
        if read is None:
            continue
        photo = read[0]
        for instance in segmenter.segment(photo, segmenter.labels):
            if instance.score < _SURE or instance.area_px < _MIN_SHARE * photo[..., 0].size:
                continue
            packed.append(np.packbits(_centred(instance.mask), axis=1))
    return (
        np.stack(packed) if packed else np.zeros((0, SILHOUETTE_PX, SILHOUETTE_PX // 8), np.uint8)
    )


def _centred(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    scale = 0.6 * SILHOUETTE_PX / max(mask.shape)
    size_wh = (max(1, round(mask.shape[1] * scale)), max(1, round(mask.shape[0] * scale)))
    small = cv2.resize(mask.astype(np.uint8), size_wh, interpolation=cv2.INTER_NEAREST)
    canvas = np.zeros((SILHOUETTE_PX, SILHOUETTE_PX), np.bool_)
    top, left = ((SILHOUETTE_PX - side) // 2 for side in small.shape)
    canvas[top : top + small.shape[0], left : left + small.shape[1]] = small > 0
    return canvas


def main() -> None:
    """Parse the command line and pack."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("photos", "silhouettes"))
    parser.add_argument("--photos", type=Path, nargs="+", required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--segmenter", default="deeplabv3plus_lite2.voc")
    arguments = parser.parse_args()
    photos, segmenter = Photos(arguments.photos), create_segmenter(arguments.segmenter)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    if arguments.what == "silhouettes":
        outlines = pack_silhouettes(photos, segmenter)
        np.save(arguments.output, outlines)
        print(f"{len(outlines)} outlines from {len(photos)} photos")
        return
    kept, foreground = pack_photos(photos, segmenter)
    np.save(arguments.output, kept)
    np.save(arguments.output.with_name("foreground.npy"), foreground)
    print(f"{len(kept)} squares from {len(photos)} photos")


if __name__ == "__main__":
    main()
