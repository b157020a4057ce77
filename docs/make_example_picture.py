"""Make docs/images/by_example.jpg: one marked cup, and two photos before and after its removal.

The photos come with Python packages: run `pip install scikit-image scikit-learn` first. The cup is
pasted.

- coffee: Rachel Michetti, CC0; gravel: CC0; both in scikit-image.
- china.jpg: danielbuechele, CC BY 2.0; in scikit-learn.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import skimage
import sklearn.datasets
from make_rules_picture import lay_out

from cleanplate import ExampleSegmenter, Mask, Remover, RGBImage

TARGET = Path(__file__).parent / "images" / "by_example.jpg"
CENTRE_XY, AXES = (277, 208), (216, 186)  # of the cup and its saucer, in px of the example
SIZE_HW = (400, 600)  # of every picture
QUALITY = 80


@dataclass(frozen=True)
class Place:
    """Where the cup is put into a photo."""

    scale: float
    degrees: float  # anticlockwise
    shift_xy: tuple[float, float]  # px
    brightness: float


def main() -> None:
    """Mark the cup, put it into two photos, find and remove it, and write the sheet."""
    example = np.ascontiguousarray(skimage.data.coffee()[: SIZE_HW[0], : SIZE_HW[1]])
    cup = np.zeros(SIZE_HW, np.uint8)
    cv2.ellipse(cup, CENTRE_XY, AXES, 8, 0, 360, 255, -1)
    remover = Remover(segmenter=ExampleSegmenter(example, cup > 0, label="cup"))
    china = np.asarray(sklearn.datasets.load_sample_image("china.jpg"))[20:420, 20:620]
    gravel = np.repeat(skimage.data.gravel()[:400, :, None], 3, axis=2)
    places = {
        "smaller, turned": (china, Place(0.45, 20, (170, 80), 1.0)),
        "darker": (cv2.resize(gravel, SIZE_HW[::-1]), Place(0.7, -8, (-30, 0), 0.7)),
    }
    tiles = {"the example, marked": outlined(example, cup > 0), "nothing like it: copied": china}
    for name, (scene, place) in places.items():
        photo = put_into(scene, example, cup, place)
        removal = remover(photo, ["cup"])
        print(f"{name}: score {[round(it.score, 2) for it in removal.instances]}")
        tiles |= {name: photo, f"{name}: removed": removal.image}
    sheet = lay_out(tiles)
    sheet.save(TARGET, quality=QUALITY, optimize=True)
    print(f"{TARGET.name}: {TARGET.stat().st_size:,} bytes")


def outlined(photo: RGBImage, mask: Mask) -> RGBImage:
    """Return a photo with the outline of a mask."""
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(photo.copy(), outlines, -1, (255, 60, 60), 4))


def put_into(scene: RGBImage, example: RGBImage, cup: np.ndarray, place: Place) -> RGBImage:
    """Return a photo, (H, W, 3), with what `cup`, (H, W) in [0, 255], shows of the example."""
    onto = cv2.getRotationMatrix2D(CENTRE_XY, place.degrees, place.scale)
    onto[:, 2] += place.shift_xy
    size_wh = SIZE_HW[::-1]
    share = cv2.warpAffine(cv2.GaussianBlur(cup, (0, 0), 1.5), onto, size_wh)[..., None] / 255
    colours = cv2.warpAffine(example, onto, size_wh, flags=cv2.INTER_AREA) * place.brightness
    return np.asarray(np.rint(scene * (1 - share) + colours * share), np.uint8)


if __name__ == "__main__":
    main()
