"""Make docs/images/rules.jpg: what each rule leaves of one photo.

The photo is composed: the astronaut, three times, and the cat stand before the tower. All three
photos come with Python packages: run `pip install scikit-image scikit-learn` first.

- astronaut: NASA, public domain; chelsea: Stefan van der Walt, CC0; both in scikit-image.
- china.jpg: danielbuechele, CC BY 2.0; in scikit-learn.
"""

from pathlib import Path

import cv2
import numpy as np
import skimage
import sklearn.datasets
from make_picture import FIGURE_ROWS, LIGHT, SCENE_ROWS, cut_out
from PIL import Image, ImageDraw, ImageFont

from cleanplate import Instance, Mask, Remover, RGBImage, Rules
from cleanplate.options import RemovalOptions

TARGET = Path(__file__).parent / "images" / "rules.jpg"

RULES = {
    "--keep largest": Rules(keep=1),
    "--background-people": Rules(background_people=True),
    "--max-area 2%": Rules(max_area="2%"),
    "--protect cat": Rules(protect="cat"),
    "--only 1,3": Rules(only=(1, 3)),
    "--region 0,0,50%,100%": Rules(region=(0, 0, "50%", "100%")),
}
TILE_WIDTH = 480
GAP_PX = 6
QUALITY = 82


def main() -> None:
    """Compose, clean by each rule, and write the sheet."""
    remover = Remover()
    photo = compose(remover)
    found, _ = remover.find(photo, ["person", "cat"])
    tiles = {"--remove person,cat finds": numbered(photo, found)}
    tiles["no rule"] = remover(photo, ["person", "cat"]).image
    for title, rules in RULES.items():
        removal = remover(photo, ["person", "cat"], RemovalOptions(rules=rules))
        reasons = ", ".join(f"{instance.id}: {instance.reason}" for instance in removal.kept)
        print(f"{title}: removed {[instance.id for instance in removal.instances]}; {reasons}")
        tiles[title] = removal.image
    sheet = lay_out(tiles)
    sheet.save(TARGET, quality=QUALITY, optimize=True)
    print(f"{TARGET.name}: {TARGET.stat().st_size:,} bytes")


def cut_person_and_cat(remover: Remover) -> tuple[tuple[RGBImage, Mask], tuple[RGBImage, Mask]]:
    """Return the photos of a person and of a cat, each with what is the one or the other."""
    portrait, cat = skimage.data.astronaut(), skimage.data.chelsea()
    figure = cut_out(portrait, remover)
    figure[FIGURE_ROWS.stop :] = False
    animal = np.zeros(cat.shape[:2], np.bool_)
    for instance in remover.find(cat, ["cat"])[0]:
        instance.paint_on(animal)
    return (portrait, figure), (cat, animal)


def compose(remover: Remover) -> RGBImage:
    """Return the tower with three people and a cat before it."""
    scene = np.asarray(sklearn.datasets.load_sample_image("china.jpg"))[SCENE_ROWS]
    (portrait, figure), (cat, animal) = cut_person_and_cat(remover)
    photo = scene.astype(np.float32)
    paste(photo, portrait[:, ::-1], figure[:, ::-1], scale=0.20, left=36, blur_px=1.2)
    paste(photo, portrait, figure, scale=0.46, left=210)
    paste(photo, portrait[:, ::-1], figure[:, ::-1], scale=0.24, left=552, blur_px=0.9)
    paste(photo, cat, animal, scale=0.34, left=395)
    return np.asarray(np.clip(np.rint(photo), 0, 255), np.uint8)


def paste(
    photo: np.ndarray, source: RGBImage, part: Mask, *, scale: float, left: int, blur_px: float = 0
) -> None:
    """Put a part of a picture at the lower border of a photo, out of focus if `blur_px` > 0."""
    rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    inside = cv2.erode(np.pad(part[box].astype(np.uint8), ((1, 0), (1, 1))), np.ones((3, 3)))
    soft = cv2.GaussianBlur(inside[1:, 1:-1].astype(np.float32), (0, 0), 1.2)
    colours = source[box].astype(np.float32)
    colours, soft = (
        cv2.resize(field, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        for field in (colours, soft)
    )
    if blur_px:
        colours, soft = (cv2.GaussianBlur(field, (0, 0), blur_px) for field in (colours, soft))
    height, width = soft.shape
    place = photo[-height:, left : left + width]
    share = soft[:, : place.shape[1], None]
    place[:] = place * (1 - share) + colours[:, : place.shape[1]] * LIGHT * share


def numbered(photo: RGBImage, found: list[Instance]) -> RGBImage:
    """Return the photo with the outline and the number of each object."""
    drawn = photo.copy()
    for instance in found:
        canvas = np.zeros(photo.shape[:2], np.bool_)
        instance.paint_on(canvas)
        outlines, _ = cv2.findContours(
            canvas.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )
        cv2.drawContours(drawn, outlines, -1, (255, 60, 60), 2)
    sheet = Image.fromarray(drawn)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=22)
    for instance in found:
        left, top, right, bottom = instance.box_xyxy
        place = ((left + right) / 2, (top + bottom) / 2)
        draw.text(
            place, str(instance.id), font=font, anchor="mm", stroke_width=3, stroke_fill="black"
        )
    return np.asarray(sheet)


def lay_out(tiles: dict[str, RGBImage]) -> Image.Image:
    """Return the pictures in two columns, each with its title below."""
    font = ImageFont.load_default(size=17)
    first = next(iter(tiles.values()))
    height = round(TILE_WIDTH * first.shape[0] / first.shape[1])
    title_px = 26
    rows = -(-len(tiles) // 2)
    sheet = Image.new("RGB", (2 * TILE_WIDTH + GAP_PX, rows * (height + title_px)), "white")
    draw = ImageDraw.Draw(sheet)
    for index, (title, picture) in enumerate(tiles.items()):
        left, top = index % 2 * (TILE_WIDTH + GAP_PX), index // 2 * (height + title_px)
        tile = Image.fromarray(picture).resize((TILE_WIDTH, height), Image.Resampling.LANCZOS)
        sheet.paste(tile, (left, top + title_px))
        draw.text((left + 4, top + title_px - 7), title, font=font, anchor="ls", fill="black")
    return sheet


if __name__ == "__main__":
    main()
