"""`RemoveObjects` for torchvision's transforms, version 2."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from cleanplate.errors import InputError
from cleanplate.integrations.plates import OnMissing, Plate, PlateCache

PER_OBJECT = ("boxes", "masks", "labels", "area", "iscrowd", "keypoints")
"""Entries of a target with one row for each object."""


class RemoveObjects(v2.Transform):
    """Replaces an image by its clean plate, and drops what is gone from its target.

    It must come first in a pipeline, as plates have the size of the images in the dataset. It takes
    an image and a target as `wrap_dataset_for_transforms_v2` gives them: of `PER_OBJECT`, the rows
    of removed objects are dropped in step.

    Args:
        cache: folder that `cleanplate dataset --cache` wrote.
        p: probability.
        key: entry of the target that names the image: id, path below the dataset's folder, or file
            name.
        on_missing: what to do with an image that the cache does not know.

    Raises:
        InputError: there is no cache; in a call, no such key, or as `PlateCache.find`.
    """

    def __init__(
        self,
        cache: str | Path,
        p: float = 0.5,
        *,
        key: str = "image_id",
        on_missing: OnMissing = "error",
    ) -> None:
        super().__init__()
        self._cache, self.p, self.key = PlateCache(cache, on_missing), p, key

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"cache={str(self._cache.folder)!r}, p={self.p}, key={self.key!r}"

    def forward(self, image: Any, target: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Return the image or its plate, and the target of what it shows.

        Args:
            image: a Pillow image, or a (3, H, W) tensor; uint8 RGB, or floats in [0, 1].
            target: with `key` in it.

        Raises:
            InputError: `key` is not in it, or neither boxes nor masks tell whose rows go; or as
                `PlateCache.find`.
            PhotoError: the image has not the size of its plate.
        """
        if torch.rand(()) >= self.p:
            return image, target
        if self.key not in target:
            raise InputError(
                f"the target has no {self.key!r}, it has {', '.join(target)}; give its name as key"
            )
        key = target[self.key]
        plate = self._cache.find(key.item() if isinstance(key, torch.Tensor) else key)
        if plate is None:
            return image, target
        height, width = v2.functional.get_size(image)
        self._cache.check_size(plate, key, (height, width))
        keep = torch.from_numpy(_keep(plate, target))
        edited = {
            name: _rows(value, keep) if name in PER_OBJECT else value
            for name, value in target.items()
        }
        return _like(image, plate), edited


def _keep(plate: Plate, target: dict[str, Any]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return which objects stay, by their boxes or, without them, their masks."""
    boxes = target.get("boxes")
    if boxes is not None:
        if isinstance(boxes, tv_tensors.BoundingBoxes):
            boxes = v2.functional.convert_bounding_box_format(
                boxes, new_format=tv_tensors.BoundingBoxFormat.XYXY
            )
        return plate.keeps_boxes(boxes.cpu().numpy())
    if "masks" in target:
        return plate.keeps_masks(target["masks"].cpu().numpy())
    rows = [name for name in PER_OBJECT if name in target]
    if rows:
        raise InputError(f"the target has {rows[0]}, and neither boxes nor masks to tell which go")
    return np.ones(0, np.bool_)


def _rows(value: Any, keep: torch.Tensor) -> Any:
    if not isinstance(value, torch.Tensor):
        return [row for row, stays in zip(value, keep.tolist(), strict=True) if stays]
    rows = value[keep]
    return tv_tensors.wrap(rows, like=value) if isinstance(value, tv_tensors.TVTensor) else rows


def _like(image: Any, plate: Plate) -> Any:
    """Return the plate as the kind of image that was given."""
    if not isinstance(image, torch.Tensor):
        from PIL import Image

        return Image.fromarray(plate.image)
    pixels = torch.from_numpy(plate.image.copy()).permute(2, 0, 1)
    pixels = v2.functional.to_dtype(pixels, image.dtype, scale=True)
    return tv_tensors.wrap(pixels, like=image) if isinstance(image, tv_tensors.TVTensor) else pixels
