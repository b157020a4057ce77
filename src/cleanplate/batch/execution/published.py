"""One photo by the steps of an older tool: `--preset published`."""

import io
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cleanplate.batch.planning import MaskFiles, PlannedPhoto, intermediate_files, mask_name
from cleanplate.batch.records import Job, Published
from cleanplate.errors import PhotoError
from cleanplate.inpainting import Square, fill_as_published
from cleanplate.io import Photo, read_photo, write_bytes_atomic
from cleanplate.segmentation import find_as_published
from cleanplate.types import Removal, RGBImage

if TYPE_CHECKING:
    from cleanplate.remover import Remover

_JPEG_QUALITY = 95


def remove_as_published(
    photo: PlannedPhoto, image: Photo, remover: "Remover", job: Job, how: Published
) -> tuple[Removal, Square]:
    """Find and fill the job's classes at 256 x 256 px.

    Returns:
        The photo with the enlarged fill in its hole, and the filled square.

    Raises:
        CleanplateError: the models are others, or a file of edges is missing or damaged.
    """
    start = time.perf_counter()
    objects, instances = find_as_published(
        image.pixels, tuple(job.options.classes), remover.segmenter
    )
    found = time.perf_counter()
    square = fill_as_published(
        image.pixels,
        objects,
        remover.inpainter,
        sigma_px=how.canny_sigma,
        edges=None if how.edges is None else _edges_of(photo, how.edges),
    )
    removal = Removal(
        image=square.fill_into(image.pixels),
        mask=square.mask_for(image.size_hw),
        instances=tuple(instances),
        timings_s={"find": found - start, "fill": time.perf_counter() - found},
    )
    return removal, square


def write_square(path: Path, image: RGBImage) -> None:
    """Write an image, (H, W, 3) uint8, in the format that the name says, atomically.

    Raises:
        PhotoError: no format has this name, or it cannot be written.
    """
    from PIL import Image

    Image.init()
    kind = Image.registered_extensions().get(path.suffix.lower(), "")
    if kind not in Image.SAVE:
        raise PhotoError(path, "squares cannot be written in this format", "convert it to PNG")
    content = io.BytesIO()
    Image.fromarray(image).save(content, kind, quality=_JPEG_QUALITY)
    write_bytes_atomic(path, content.getvalue())


def save_intermediate(photo: PlannedPhoto, square: Square, folder: Path) -> None:
    """Write the square with its hole, and the edges that the fill follows, black on white."""
    lines = np.rint(255 * (1 - np.clip(square.edges, 0, 1))).astype(np.uint8)
    images = {"masked": square.masked, "edges": np.repeat(lines[..., None], 3, axis=2)}
    for what, path in intermediate_files(photo, folder).items():
        write_square(path, images[what])


def _edges_of(photo: PlannedPhoto, edges: MaskFiles) -> npt.NDArray[np.uint8]:
    path = edges.find(photo)
    if path is None:
        raise PhotoError(
            photo.source,
            f"{edges.path} has no edges for it",
            f"add {mask_name(photo)}, white lines on black",
        )
    return np.asarray(read_photo(path).pixels.max(axis=2))
