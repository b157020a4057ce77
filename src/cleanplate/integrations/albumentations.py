"""`RemoveObjects` for albumentations (2.0, the last line under the MIT licence)."""

from pathlib import Path
from typing import Any

import albumentations
import numpy as np
import numpy.typing as npt

from cleanplate.integrations.plates import OnMissing, Plate, PlateCache


class RemoveObjects(albumentations.DualTransform):
    """Replaces an image by its clean plate, and drops what is gone from boxes, masks and points.

    It must come first in a pipeline, as plates have the size of the images in the dataset:

        transform = A.Compose(
            [RemoveObjects("plates", p=0.5), A.HorizontalFlip()],
            bbox_params=A.BboxParams("pascal_voc", label_fields=["labels"]),
        )
        transform(image=image, bboxes=boxes, labels=labels, plate="train2017/000001.jpg")

    In a semantic `mask`, what was filled becomes 0.

    Args:
        cache: folder that `cleanplate dataset --cache` wrote.
        p: probability.
        key: name of the argument that names the image: path below the dataset's folder, file name
            or id.
        on_missing: what to do with an image that the cache does not know.

    Raises:
        InputError: there is no cache; in a call, as `PlateCache.find`.
    """

    _targets = (
        albumentations.core.type_definitions.Targets.IMAGE,
        albumentations.core.type_definitions.Targets.MASK,
        albumentations.core.type_definitions.Targets.BBOXES,
        albumentations.core.type_definitions.Targets.KEYPOINTS,
    )

    def __init__(
        self,
        cache: str | Path,
        p: float = 0.5,
        *,
        key: str = "plate",
        on_missing: OnMissing = "error",
    ) -> None:
        super().__init__(p=p)
        self._cache, self.key = PlateCache(cache, on_missing), key

    @property
    def targets_as_params(self) -> list[str]:
        """What a call must be given."""
        return [self.key]

    def get_transform_init_args_names(self) -> tuple[str, ...]:
        """Return the arguments that tell two of these apart."""
        return ("cache", "key", "on_missing")

    @property
    def cache(self) -> str:
        """The folder of the plates."""
        return str(self._cache.folder)

    @property
    def on_missing(self) -> OnMissing:
        """What to do with an image that the cache does not know."""
        return self._cache.on_missing

    def get_params_dependent_on_data(
        self, params: dict[str, Any], data: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the plate, and which objects stay.

        Raises:
            InputError: as `PlateCache.find`.
            PhotoError: the image has not the size of its plate.
        """
        plate = self._cache.find(data[self.key])
        keep: npt.NDArray[np.bool_] | None = None
        if plate is not None:
            height, width = params["shape"][:2]
            self._cache.check_size(plate, data[self.key], (height, width))
            if data.get("bboxes") is not None:
                given = np.asarray(data["bboxes"], np.float64)
                boxes = given.reshape(len(given), -1)[:, :4] if given.size else np.zeros((0, 4))
                keep = plate.keeps_boxes(boxes * (width, height, width, height))
        return {"plate": plate, "keep": keep}

    def apply(self, img: npt.NDArray[Any], plate: Plate | None, **_: Any) -> npt.NDArray[Any]:
        """Return the plate, (H, W, 3), uint8 or as floats in [0, 1]; the image if there is none."""
        if plate is None:
            return img
        if np.issubdtype(img.dtype, np.floating):
            return np.asarray(plate.image / img.dtype.type(255), img.dtype)
        return plate.image.copy()

    def apply_to_mask(
        self, mask: npt.NDArray[Any], plate: Plate | None, **_: Any
    ) -> npt.NDArray[Any]:
        """Return a semantic mask, (H, W), with background where something was filled."""
        if plate is None:
            return mask
        edited = mask.copy()
        edited[plate.mask] = 0
        return edited

    def apply_to_masks(
        self,
        masks: npt.NDArray[Any],
        plate: Plate | None,
        keep: npt.NDArray[np.bool_] | None,
        **_: Any,
    ) -> npt.NDArray[Any]:
        """Return the masks, (N, H, W), of the kept objects, in step with any boxes."""
        if plate is None:
            return masks
        masks = np.asarray(masks)
        if keep is None or len(keep) != len(masks):
            keep = plate.keeps_masks(masks)
        return masks[keep]

    def apply_to_bboxes(
        self, bboxes: npt.NDArray[Any], keep: npt.NDArray[np.bool_] | None, **_: Any
    ) -> npt.NDArray[Any]:
        """Return the boxes, (N, 4) or more columns, of the kept objects."""
        return bboxes if keep is None else bboxes[keep]

    def apply_to_keypoints(
        self, keypoints: npt.NDArray[Any], plate: Plate | None, **_: Any
    ) -> npt.NDArray[Any]:
        """Return the points, (N, 2) or more columns, that were not filled."""
        return keypoints if plate is None else keypoints[plate.keeps_points(keypoints[:, :2])]
