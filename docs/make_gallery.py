"""Make docs/images/gallery_*.jpg: six photos before and after, failures among them.

The photos come with Python packages: run `pip install scikit-image scikit-learn` first.

- astronaut: NASA, public domain; rocket: SpaceX, public domain; coffee: Rachel Michetti, CC0;
  all in scikit-image.
- china.jpg: danielbuechele, CC BY 2.0; flower.jpg: vultilion, CC BY 2.0; both in scikit-learn.
"""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import skimage
import sklearn.datasets
from make_picture import FIGURE_ROWS, SCENE_ROWS, cut_out
from make_rules_picture import paste
from PIL import Image

from cleanplate import Mask, Removal, RemovalOptions, Remover, RGBImage, Rules

IMAGES = Path(__file__).parent / "images"
HEIGHT_PX = 330  # of both pictures
GAP_PX = 6
QUALITY = 84


def main() -> None:
    """Remove an object from each photo and write the pairs."""
    remover = Remover()
    for name, example in EXAMPLES.items():
        photo, removal = example(remover)
        pair = side_by_side(photo, removal.image)
        target = IMAGES / f"gallery_{name}.jpg"
        pair.save(target, quality=QUALITY, optimize=True)
        print(f"{target.name}: {removal.mask.mean():.1%} filled, {target.stat().st_size:,} bytes")


def flower(remover: Remover) -> tuple[RGBImage, Removal]:
    """Remove a flower before blurred leaves, by a mask drawn by hand."""
    photo = np.asarray(sklearn.datasets.load_sample_image("flower.jpg"))[:390]
    mask = np.zeros(photo.shape[:2], np.uint8)
    cv2.circle(mask, (306, 222), 154, 255, -1)
    return photo, remover.fill(photo, mask > 0)


def rocket(remover: Remover) -> tuple[RGBImage, Removal]:
    """Remove a rocket before the evening sky, by a mask drawn by hand."""
    photo = skimage.data.rocket()
    outline = [(306, 128), (335, 128), (342, 408), (288, 408), (303, 300)]
    return photo, remover.fill(photo, polygon(photo, outline))


def coffee(remover: Remover) -> tuple[RGBImage, Removal]:
    """Remove a cup and its saucer from a wooden table, by a mask drawn by hand."""
    photo = skimage.data.coffee()
    mask = np.zeros(photo.shape[:2], np.uint8)
    cv2.ellipse(mask, (279, 226), (216, 176), 8, 0, 360, 255, -1)
    cv2.ellipse(mask, (295, 120), (128, 112), 0, 0, 360, 255, -1)
    cv2.circle(mask, (405, 84), 26, 255, -1)
    return photo, remover.fill(photo, mask > 0)


def bystanders(remover: Remover) -> tuple[RGBImage, Removal]:
    """Remove the people behind the main subject."""
    scene = np.asarray(sklearn.datasets.load_sample_image("china.jpg"))[SCENE_ROWS]
    portrait, figure = astronaut(remover)
    photo = scene.astype(np.float32)
    paste(photo, portrait[:, ::-1], figure[:, ::-1], scale=0.24, left=30, blur_px=1.0)
    paste(photo, portrait, figure, scale=0.50, left=230)
    paste(photo, portrait[:, ::-1], figure[:, ::-1], scale=0.30, left=480, blur_px=0.8)
    photo = to_uint8(photo)
    options = RemovalOptions(rules=Rules(background_people=True))
    return photo, remover(photo, ["person"], options)


def facade(remover: Remover) -> tuple[RGBImage, Removal]:
    """Remove a person who hides a part of a building."""
    scene = np.asarray(sklearn.datasets.load_sample_image("china.jpg"))
    portrait, figure = astronaut(remover)
    photo = scene[:390].astype(np.float32)
    paste(photo, portrait, figure, scale=0.75, left=150)
    photo = to_uint8(photo)
    return photo, remover(photo, ["person"])


def portrait(remover: Remover) -> tuple[RGBImage, Removal]:
    """Remove a person who fills most of the photo."""
    photo = skimage.data.astronaut()
    return photo, remover(photo, ["person"])


EXAMPLES: dict[str, Callable[[Remover], tuple[RGBImage, Removal]]] = {
    "flower": flower,
    "rocket": rocket,
    "coffee": coffee,
    "bystanders": bystanders,
    "facade": facade,
    "portrait": portrait,
}


def astronaut(remover: Remover) -> tuple[RGBImage, Mask]:
    """Return the portrait, and the mask of head and shoulders."""
    portrait = skimage.data.astronaut()
    figure = cut_out(portrait, remover)
    figure[FIGURE_ROWS.stop :] = False
    return portrait, figure


def to_uint8(photo: np.ndarray) -> RGBImage:
    """Return a float image as uint8."""
    return np.asarray(np.clip(np.rint(photo), 0, 255), np.uint8)


def polygon(photo: RGBImage, points_xy: list[tuple[int, int]]) -> Mask:
    """Return a mask of the photo's size, True inside the polygon."""
    mask = np.zeros(photo.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.array(points_xy, np.int32)], 255)
    return mask > 0


def side_by_side(before: RGBImage, after: RGBImage) -> Image.Image:
    """Return both photos at the same height, the first on the left."""
    height, width = before.shape[:2]
    size = round(width * HEIGHT_PX / height), HEIGHT_PX
    sheet = Image.new("RGB", (2 * size[0] + GAP_PX, HEIGHT_PX), "white")
    for left, picture in ((0, before), (size[0] + GAP_PX, after)):
        small = Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS)
        sheet.paste(small, (left, 0))
    return sheet


if __name__ == "__main__":
    main()
