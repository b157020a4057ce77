"""Make docs/images/effects.jpg: a shadow that goes with its object, and three effects that stay.

The photos come with Python packages: run `pip install scikit-image` first. Astronaut: NASA, public
domain; rocket: SpaceX, public domain; coffee: Rachel Michetti, CC0; brick and gravel: CC0; all in
scikit-image. Shadows and reflections are drawn.
"""

from pathlib import Path

import cv2
import numpy as np
import skimage
from make_gallery import astronaut, polygon, side_by_side, to_uint8
from make_rules_picture import paste
from PIL import Image

from cleanplate import Mask, Removal, Remover, RGBImage

TARGET = Path(__file__).parent / "images" / "effects.jpg"
GAP_PX = 10
QUALITY = 78


def main() -> None:
    """Compose, remove, and write the sheet."""
    remover = Remover()
    pairs = []
    for example in (wall, gravel, gloss, water):
        photo, removal = example(remover)
        pairs.append(side_by_side(photo, removal.image))
        found = 0 if removal.effects is None else removal.effects.mean()
        print(f"{example.__name__}: effects on {found:.1%} of the photo")
    width = 640
    scaled = [pair.resize((width, round(pair.height * width / pair.width))) for pair in pairs]
    sheet = Image.new("RGB", (width, sum(it.height + GAP_PX for it in scaled)), "white")
    top = 0
    for pair in scaled:
        sheet.paste(pair, (0, top))
        top += pair.height + GAP_PX
    sheet.save(TARGET, quality=QUALITY, optimize=True)
    print(f"{TARGET.name}: {TARGET.stat().st_size:,} bytes")


def wall(remover: Remover) -> tuple[RGBImage, Removal]:
    """Remove a person and the shadow on the wall behind."""
    bricks = np.repeat(skimage.data.brick()[:, :, None], 3, axis=2) * np.float32([1, 0.93, 0.86])
    photo = cv2.resize(np.hstack([bricks, bricks[:, ::-1]]), (900, 450)).astype(np.float32)
    portrait, figure = astronaut(remover)
    shape = np.zeros_like(photo)
    paste(shape, np.full_like(portrait, 255), figure, scale=0.8, left=390)
    shadow = moved(shape[..., 0] / 255, 70, 12)
    photo *= 1 - 0.5 * cv2.GaussianBlur(shadow, (0, 0), 4)[..., None]
    paste(photo, portrait, figure, scale=0.8, left=390)
    photo = to_uint8(photo)
    return photo, remover(photo, ["person"])


def water(remover: Remover) -> tuple[RGBImage, Removal]:
    """Remove a rocket, but not its reflection in the water below."""
    photo = skimage.data.rocket()
    mask = polygon(photo, [(306, 128), (335, 128), (342, 408), (288, 408), (303, 300)])
    shore = 405
    above = photo[140:shore].astype(np.float32)
    rows, columns = np.mgrid[: len(above), : photo.shape[1]].astype(np.float32)
    ripple = rows + (1 + rows / 60) * np.sin(rows / 2 + np.sin(columns / 30))
    mirrored = cv2.remap(above[::-1], columns, ripple, cv2.INTER_LINEAR, borderMode=1)
    mirrored = cv2.GaussianBlur(mirrored, (0, 0), 1.5) * 0.75
    composed = to_uint8(np.vstack([photo[:shore], mirrored]))
    whole = np.zeros(composed.shape[:2], bool)
    whole[:shore] = mask[:shore]
    return composed, remover(composed, mask=whole)


def cup() -> tuple[RGBImage, np.ndarray]:
    """Return a cup on its saucer, and its (H, W) opacity."""
    photo = skimage.data.coffee()
    shape = np.zeros(photo.shape[:2], np.uint8)
    cv2.ellipse(shape, (279, 228), (203, 160), 8, 0, 360, 1, -1)
    cv2.ellipse(shape, (290, 122), (117, 106), 0, 0, 360, 1, -1)
    scale = {"fx": 0.45, "fy": 0.45, "interpolation": cv2.INTER_AREA}
    soft = cv2.GaussianBlur(shape.astype(np.float32), (0, 0), 1.5)
    return cv2.resize(photo, None, **scale), cv2.resize(soft, None, **scale)


def put(photo: np.ndarray, colours: np.ndarray, opacity: np.ndarray, left: int, top: int) -> Mask:
    """Blend a picture into a photo, in place; return where."""
    place = photo[top : top + opacity.shape[0], left : left + opacity.shape[1]]
    place += (colours - place) * opacity[..., None]
    where = np.zeros(photo.shape[:2], bool)
    where[top : top + opacity.shape[0], left : left + opacity.shape[1]] = opacity > 0.05
    return where


def moved(field: np.ndarray, right_px: int, down_px: int) -> np.ndarray:
    """Return an (H, W) field moved, with zeros where it was."""
    move = np.float32([[1, 0, right_px], [0, 1, down_px]])
    return cv2.warpAffine(field.astype(np.float32), move, field.shape[::-1])


def gravel(remover: Remover) -> tuple[RGBImage, Removal]:
    """Remove a cup and its shadow on gravel."""
    colours, opacity = cup()
    stones = skimage.data.gravel()[:390, :, None] * np.float32([1.15, 1.1, 1.0])
    photo = np.ascontiguousarray(np.hstack([stones, stones[:, ::-1]])[:, 150:750])
    shape = np.zeros(photo.shape[:2], np.float32)
    shape[110 : 110 + opacity.shape[0], 130 : 130 + opacity.shape[1]] = opacity
    shadow = np.max([moved(shape, step, step // 3) for step in range(0, 90, 6)], axis=0)
    photo *= 1 - 0.6 * cv2.GaussianBlur(shadow, (0, 0), 3)[..., None]
    mask = put(photo, colours, opacity, 130, 110)
    photo = to_uint8(photo)
    return photo, remover(photo, mask=mask)


def gloss(remover: Remover) -> tuple[RGBImage, Removal]:
    """Remove a cup and its reflection in a polished table."""
    colours, opacity = cup()
    grain = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 9, (420, 600)), (0, 0), 1)
    level = np.linspace(150, 70, 420)[:, None] + grain
    photo = level[..., None] * np.float32([0.75, 0.85, 1.0])
    foot = 50 + int(np.flatnonzero((opacity > 0.5).any(axis=1))[-1])
    fade = np.linspace(0.6, 0, len(opacity))[:, None]
    blurred = cv2.GaussianBlur(colours[::-1].astype(np.float32), (0, 0), 1.5)
    put(photo, blurred, cv2.GaussianBlur(opacity[::-1], (0, 0), 1.5) * fade, 160, foot - 5)
    mask = put(photo, colours, opacity, 160, 50)
    photo = to_uint8(photo)
    return photo, remover(photo, mask=mask)


if __name__ == "__main__":
    main()
