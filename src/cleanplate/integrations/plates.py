"""The cache of clean plates that `cleanplate dataset --cache` makes."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from cleanplate.datasets import PLATES_FILE
from cleanplate.errors import InputError, PhotoError
from cleanplate.io import read_error, read_mask, read_photo
from cleanplate.types import Mask, RGBImage

OnMissing = Literal["error", "keep"]
"""What to do with an image that has no plate: raise, or leave it as it is."""

_SAME_IOU = 0.9  # of a box and that of a dropped annotation: 1-based ones differ by a pixel
_GONE = 0.95  # share of an outline that was filled, as `DatasetOptions.min_removed`


@dataclass(frozen=True, slots=True)
class Plate:
    """An image without its objects."""

    image: RGBImage
    mask: Mask  # (H, W) bool, True = was filled
    dropped: npt.NDArray[np.float64]  # (N, 4) left, top, right, bottom in px, of what is gone

    def keeps_boxes(self, boxes: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Return (N,) bool: which of some boxes, (N, 4) xyxy in px, are still there."""
        boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
        first, second = boxes[:, None], self.dropped[None]
        across = np.minimum(first[..., 2], second[..., 2]) - np.maximum(
            first[..., 0], second[..., 0]
        )
        down = np.minimum(first[..., 3], second[..., 3]) - np.maximum(first[..., 1], second[..., 1])
        common = across.clip(0) * down.clip(0)
        union = _areas(first) + _areas(second) - common
        is_gone = (common >= _SAME_IOU * np.maximum(union, 1e-9)).any(axis=1)
        return np.asarray(~is_gone)

    def keeps_masks(self, masks: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Return (N,) bool: which of some outlines, (N, H, W), are still there."""
        own = np.asarray(masks).astype(np.bool_).reshape(-1, *self.mask.shape)
        areas = own.sum(axis=(1, 2))
        return np.asarray((own & self.mask).sum(axis=(1, 2)) < _GONE * np.maximum(areas, 1))

    def keeps_points(self, points: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Return (N,) bool: which of some points, (N, 2) x and y in px, were not filled."""
        height, width = self.mask.shape
        at = np.asarray(points, np.float64).reshape(-1, 2).astype(np.int64)
        inside = ((at >= 0) & (at < (width, height))).all(axis=1)
        x, y = at.clip(0, (width - 1, height - 1)).T
        return np.asarray(~(inside & self.mask[y, x]))


class PlateCache:
    """Finds plates by the image's path, file name or id in the dataset. Can be pickled.

    Args:
        folder: what `cleanplate dataset --cache` wrote.
        on_missing: what to do with an image that has no plate. Images that show nothing to remove
            have none and stay as they are, without an error.

    Raises:
        InputError: `on_missing` is something else, or the folder holds no cache.
    """

    def __init__(self, folder: str | Path, on_missing: OnMissing = "error") -> None:
        if on_missing not in ("error", "keep"):
            raise InputError(f"on_missing must be 'error' or 'keep', got {on_missing!r}")
        self.folder, self.on_missing = Path(folder), on_missing
        path = self.folder / PLATES_FILE
        try:
            content = json.loads(path.read_bytes())
        except FileNotFoundError as error:
            raise InputError(
                f"{folder}: no plates; make them with 'cleanplate dataset IN -o {folder} --cache'"
            ) from error
        except OSError as error:
            raise read_error(path, error) from error
        images: dict[str, dict[str, Any]] = {
            name: {**entry, "relative": name} for name, entry in content["images"].items()
        }
        names: dict[str, dict[str, Any] | None] = {}  # None: several images are called so
        for relative, entry in images.items():
            for name in {Path(relative).name, entry["id"] or relative}:
                names[name] = None if name in names else entry
        self._places = {**names, **images}

    def find(self, key: object) -> Plate | None:
        """Return the plate of an image; None if nothing is removed from it.

        Args:
            key: its path below the dataset's folder; or else its file name, or its id.

        Raises:
            InputError: the cache does not know it, or several are called so; unless `on_missing`
                is "keep".
            PhotoError: a file of the cache cannot be read.
        """
        entry = self._places.get(str(key))
        if entry is None:
            if self.on_missing == "keep":
                return None
            cause = "is the name of several images" if str(key) in self._places else "has no plate"
            raise InputError(
                f"{key!r} {cause} in {self.folder}; name it by its path below the dataset's "
                "folder, make the cache again, or give on_missing='keep'"
            )
        if not entry["has_plate"]:
            return None
        relative = entry["relative"]
        image = read_photo(self.folder / relative).pixels
        mask = read_mask(self.folder / "masks" / (relative + ".png"), image.shape[:2])
        dropped = np.asarray(entry["dropped"], np.float64).reshape(-1, 4)
        return Plate(image, mask, dropped)

    def check_size(self, plate: Plate, key: object, size_hw: tuple[int, int]) -> None:
        """Raise PhotoError if an image has not the size of its plate."""
        if plate.mask.shape != size_hw:
            height, width = plate.mask.shape
            cause = f"its plate is {width} x {height} px, the image is {size_hw[1]} x {size_hw[0]}"
            raise PhotoError(
                str(key), cause, "put RemoveObjects before transforms that change the size"
            )


def _areas(boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray((boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1]))
