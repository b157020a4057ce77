"""Make docs/images/before_after.jpg: a photo whose truth is known, cleaned by cleanplate.

The astronaut is cut out of one photo and pasted on another; cleanplate is then asked to remove the
person. Both photos come with Python packages: run `pip install scikit-image scikit-learn` first.

- astronaut: NASA, public domain; in scikit-image.
- china.jpg: danielbuechele, CC BY 2.0; in scikit-learn.
"""

from pathlib import Path

import cv2
import numpy as np
import skimage
import sklearn.datasets
from PIL import Image, ImageDraw, ImageFont

from cleanplate import Mask, Remover, RGBImage

TARGET = Path(__file__).parent / "images" / "before_after.jpg"

SCENE_ROWS = slice(0, 292)  # tower, lake and sky; the bushes below are left out
FIGURE_ROWS = slice(0, 352)  # head and shoulders, down to the helmet in her lap
FLAG_COLUMNS = slice(0, 34)  # a strip of flag that has the colour of the suit
SCALE = 0.42  # of the figure
LEFT_PX = 352  # where the figure's picture begins in the scene
LIGHT = np.float32([0.97, 0.96, 0.95])  # the haze of the scene, on the figure's colours
GAP_PX = 6
QUALITY = 88


def main() -> None:
    """Compose, clean, and write the picture."""
    remover = Remover()
    scene = np.asarray(sklearn.datasets.load_sample_image("china.jpg"))[SCENE_ROWS].copy()
    portrait = skimage.data.astronaut()
    photo = paste_figure(scene, portrait, cut_out(portrait, remover))

    removal = remover(photo, ["person"])

    found = ", ".join(f"{instance.label} {instance.score:.2f}" for instance in removal.instances)
    error = (removal.image.astype(np.float64) - scene)[removal.mask]
    print(f"found: {found}; {removal.mask.mean():.1%} of the photo filled")
    print(f"PSNR inside the hole: {10 * np.log10(255**2 / np.mean(error**2)):.1f} dB")
    mask = np.repeat(removal.mask[..., None] * np.uint8(255), 3, axis=2)
    sheet = lay_out(
        {"photo": photo, "cleanplate": removal.image, "mask": mask, "what was there": scene}
    )
    TARGET.parent.mkdir(exist_ok=True)
    sheet.save(TARGET, quality=QUALITY, optimize=True)
    print(f"{TARGET.name}: {TARGET.stat().st_size:,} bytes")


def cut_out(portrait: RGBImage, remover: Remover) -> Mask:
    """Return the mask of the person: what the segmenter finds, with its outline drawn to colours.

    Args:
        portrait: (H, W, 3) uint8, RGB.
        remover: its segmenter is used.
    """
    rough = np.zeros(portrait.shape[:2], np.uint8)
    for instance in remover.find(portrait, ["person"])[0]:
        instance.paint_on(rough.view(np.bool_))
    labels = np.full(rough.shape, cv2.GC_BGD, np.uint8)
    labels[cv2.dilate(rough, np.ones((17, 17))) > 0] = cv2.GC_PR_BGD
    labels[rough > 0] = cv2.GC_PR_FGD
    labels[cv2.erode(rough, np.ones((13, 13))) > 0] = cv2.GC_FGD
    bgr = np.ascontiguousarray(portrait[..., ::-1])
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(bgr, labels, None, *models, 5, cv2.GC_INIT_WITH_MASK)
    figure = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
    figure[:, FLAG_COLUMNS] = False
    _, parts, stats, _ = cv2.connectedComponentsWithStats(figure.view(np.uint8))
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    return np.asarray(parts == largest)


def paste_figure(scene: RGBImage, portrait: RGBImage, figure: Mask) -> RGBImage:
    """Return the scene with the figure at its lower border, soft at the outline.

    Args:
        scene: (H, W, 3) uint8, RGB.
        portrait: (h, w, 3) uint8, RGB.
        figure: (h, w) bool, True = belongs to the figure.
    """
    opacity = cv2.erode(figure[FIGURE_ROWS].astype(np.uint8), np.ones((3, 3)))
    soft = cv2.GaussianBlur(opacity.astype(np.float32), (0, 0), 1.2)
    colours = portrait[FIGURE_ROWS].astype(np.float32)
    colours, soft = (
        cv2.resize(field, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_AREA)
        for field in (colours, soft)
    )
    height, width = soft.shape
    composed = scene.astype(np.float32)
    place = composed[-height:, LEFT_PX : LEFT_PX + width]
    across = place.shape[1]
    share = soft[:, :across, None]
    place[:] = place * (1 - share) + colours[:, :across] * LIGHT * share
    return np.asarray(np.clip(np.rint(composed), 0, 255), np.uint8)


def lay_out(pictures: dict[str, RGBImage]) -> Image.Image:
    """Return the four pictures as two rows of two, each with its title in the lower left."""
    height, width = next(iter(pictures.values())).shape[:2]
    sheet = Image.new("RGB", (2 * width + GAP_PX, 2 * height + GAP_PX), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=20)
    for index, (title, picture) in enumerate(pictures.items()):
        left = index % 2 * (width + GAP_PX)
        top = index // 2 * (height + GAP_PX)
        sheet.paste(Image.fromarray(picture), (left, top))
        place = (left + 10, top + height - 10)
        _, edge, right, low = draw.textbbox(place, title, font=font, anchor="ls")
        draw.rectangle((left, edge - 6, right + 10, low + 6), fill=(0, 0, 0))
        draw.text(place, title, font=font, anchor="ls", fill=(255, 255, 255))
    return sheet


if __name__ == "__main__":
    main()
