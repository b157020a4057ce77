"""Marks objects in photos, puts them into other photos, and counts how often they are found there.

    python benchmarks/example.py --photos DIR [--sheets DIR]

PHOTOS are photos of any kind. Marked are objects that the built-in segmenter finds in them, pieces
of those without any, and drawn signs, stamps and watermarks. Each is put into other photos, changed
in a way that a row of the table names. The last lines count what is found in photos in which
nothing was put. SHEETS gets images: the example, the photo, what was found in it, and the photo
without that.
"""

import argparse
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate import Remover
from cleanplate.errors import CleanplateError
from cleanplate.io.files import read_photo
from cleanplate.ops.masks import rasterize
from cleanplate.segmentation import create_segmenter
from cleanplate.segmentation.by_example.segmenter import ExampleSegmenter
from cleanplate.types import Mask, RGBImage

PHOTO_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"}
CONDITIONS = {
    "as it is": "same size",
    "half as large": "",
    "1.5 times": "",
    "twice as large": "",
    "turned by 10": "degrees",
    "turned by 25": "degrees",
    "seen askew": "corners moved by up to 15 % of the side",
    "other light": "gamma, 0.65 or 1.3 times as bright",
    "JPEG, quality 35": "",
    "30 % hidden": "",
    "blurred": "1.5 px",
    "all but hidden": "0.6 to 1.5 times, 20 degrees, askew, light, JPEG",
}
DRAWN = ("plain disc", "plain triangle", "letter", "stamp", "watermark, 40 %", "dirt on the lens")
_MAX_SIDE = 1400  # px of a photo that something is put into
_MIN_SCORE = 0.5  # the pipeline's default
_FOUND_IOU = 0.5
_DRAWN_PAIRS = 24
_CANVAS = 200  # px of a drawing


@dataclass(frozen=True)
class Example:
    """A marked thing."""

    name: str
    photo: str  # in which it is
    image: RGBImage
    mask: Mask
    segmenter: ExampleSegmenter


@dataclass(frozen=True)
class Result:
    """What came of one search."""

    found: bool
    iou: float
    score: float
    others: int  # found elsewhere


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--sheets", type=Path)
    parser.add_argument("--every", type=int, default=1, help="take every n-th example only")
    arguments = parser.parse_args()
    photos = read_photos(arguments.photos)
    examples = make_examples(photos)[:: arguments.every]
    places = [name for name, photo in photos.items() if max(photo.shape) <= _MAX_SIDE]
    if len(places) < 2:
        parser.error(f"{arguments.photos}: needs two photos of at most {_MAX_SIDE} px")
    print(f"{len(photos)} photos, {len(examples)} examples")
    print("\n| | found | IoU, median | score, 10 % to median |\n|---|---|---|---|")
    for number, condition in enumerate(CONDITIONS):
        results = []
        for index, example in enumerate(examples):
            rng = np.random.default_rng(1000 * index + number)
            where = [name for name in places if name != example.photo]
            ground = photos[where[int(rng.integers(len(where)))]]
            changed, truth = put(condition, example, ground, rng)
            results.append(search(example.segmenter, changed, truth))
            if arguments.sheets and index % 12 == number % 12:
                write_sheet(arguments.sheets, f"{number:02} {example.name}", example, changed)
        print(row(f"{condition} {CONDITIONS[condition]}".strip(), results), flush=True)
    measure_drawn(photos, places, arguments.sheets)
    measure_false(photos, examples)
    measure_time(examples[0])


def measure_false(photos: dict[str, RGBImage], examples: Sequence[Example]) -> None:
    """Print what is found in photos in which the examples are not."""
    start, pairs, false = time.perf_counter(), 0, []
    for name, photo in photos.items():
        others = [example.segmenter for example in examples if example.photo != name]
        pairs += len(others)
        found = ExampleSegmenter.joined(others).segment(photo, ["example"])
        false += [(instance.score, name) for instance in found if instance.score >= _MIN_SCORE]
    spent = time.perf_counter() - start
    print(f"\n{len(false)} found in {pairs} pairs of example and photo without it: {false}")
    print(f"{1000 * spent / pairs:.0f} ms a pair, the photo's details found once")


def read_photos(folder: Path) -> dict[str, RGBImage]:
    """Return the photos below a folder by name."""
    photos = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in PHOTO_SUFFIXES:
            try:
                photos[path.stem] = read_photo(path).pixels
            except CleanplateError as error:
                print(f"skipped: {error}")
    return photos


def make_examples(photos: dict[str, RGBImage]) -> list[Example]:
    """Return the sure objects of photos, and a piece of each photo that shows none."""
    segmenter = create_segmenter()
    rng = np.random.default_rng(3)
    examples = []
    for name, photo in photos.items():
        height, width = photo.shape[:2]
        marked = {}
        found = segmenter.segment(photo, segmenter.labels)
        for instance in [one for one in found if one.score > 0.7][:2]:
            left, top, right, bottom = instance.box_xyxy
            cut = left == 0 or top == 0 or right == width or bottom == height
            if not cut and min(right - left, bottom - top) >= 50:
                marked[f"{name} {instance.label} {instance.id}"] = rasterize(
                    [instance], photo.shape
                )
        if not found:
            marked[f"{name} piece"] = _piece(photo, rng)
        for what, mask in marked.items():
            try:
                made = ExampleSegmenter(photo, mask)
            except CleanplateError as error:
                print(f"{what}: {error}")
                continue
            examples.append(Example(what, name, photo, mask, made))
    return examples


def _piece(photo: RGBImage, rng: np.random.Generator) -> Mask:
    height, width = photo.shape[:2]
    mask = np.zeros((height, width), np.bool_)
    for _ in range(20):
        across = int(rng.integers(80, 200))
        down = int(across * rng.uniform(0.5, 1))
        top, left = int(rng.integers(height - down)), int(rng.integers(width - across))
        near = slice(top, top + down), slice(left, left + across)
        if photo[near].mean(axis=2).std() > 25:
            break
    mask[near] = True
    return mask


def put(
    condition: str, example: Example, ground: RGBImage, rng: np.random.Generator
) -> tuple[RGBImage, Mask]:
    """Return a photo with the example's thing in it, and where that is."""
    height, width = ground.shape[:2]
    rows, columns = np.nonzero(example.mask)
    left, top, right, bottom = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    across, down = right - left, bottom - top
    everything = condition.startswith("all")
    scale = {"half as large": 0.5, "1.5 times": 1.5, "twice as large": 2.0}.get(condition, 1.0)
    angle = {"turned by 10": 10.0, "turned by 25": 25.0}.get(condition, 0.0)
    if everything:
        scale, angle = float(rng.uniform(0.6, 1.5)), float(rng.uniform(0, 20))
    scale *= min(1.0, 0.5 * min(height / down, width / across) / max(scale, 1.0))
    angle *= float(rng.choice([-1, 1]))
    centre = (left + right) / 2, (top + bottom) / 2
    onto = np.vstack([cv2.getRotationMatrix2D(centre, angle, scale), [0, 0, 1]])
    if everything or condition == "seen askew":
        corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32)
        most = 0.15 * max(across, down)
        moved = corners + rng.uniform(-most, most, (4, 2)).astype(np.float32)
        onto = onto @ cv2.getPerspectiveTransform(corners, moved)
    x, y, w = onto @ np.array([*centre, 1])
    half_x, half_y = min(0.6 * across * scale, width / 2), min(0.6 * down * scale, height / 2)
    x_to, y_to = rng.uniform(half_x, width - half_x), rng.uniform(half_y, height - half_y)
    onto = np.array([[1, 0, x_to - x / w], [0, 1, y_to - y / w], [0, 0, 1]]) @ onto
    source = cv2.GaussianBlur(example.image, (0, 0), 0.5 / scale) if scale < 0.75 else example.image
    thing = cv2.warpPerspective(
        source, onto, (width, height), borderMode=cv2.BORDER_REPLICATE
    ).astype(np.float32)
    alpha = cv2.warpPerspective(example.mask.astype(np.float32), onto, (width, height))
    if condition == "other light":
        thing = 255 * (thing / 255) ** 1.3 * float(rng.choice([0.65, 1.3])) + rng.uniform(-10, 10)
    if everything:
        thing = thing * rng.uniform(0.7, 1.3) + rng.uniform(-15, 15)
    if condition == "30 % hidden":
        rows, columns = np.nonzero(alpha > 0.5)
        direction = rng.uniform(0, 2 * np.pi)
        along = math.cos(direction) * columns + math.sin(direction) * rows
        hidden = along > np.quantile(along, 0.7)
        alpha[rows[hidden], columns[hidden]] = 0
    changed = blend(ground, thing, alpha)
    if condition == "blurred":
        changed = np.asarray(cv2.GaussianBlur(changed, (0, 0), 1.5), np.uint8)
    quality = 35 if condition.startswith("JPEG") else 70 if everything else None
    if quality is not None:
        _, content = cv2.imencode(".jpg", changed, [cv2.IMWRITE_JPEG_QUALITY, quality])
        changed = np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR), np.uint8)
    return changed, alpha > 0.5


def blend(
    ground: RGBImage, thing: npt.NDArray[np.float32], alpha: npt.NDArray[np.float32]
) -> RGBImage:
    mixed = ground * (1 - alpha[..., None]) + thing * alpha[..., None]
    return np.clip(mixed, 0, 255).astype(np.uint8)


def search(segmenter: ExampleSegmenter, photo: RGBImage, truth: Mask) -> Result:
    """Return whether a thing is found where it was put."""
    best = Result(False, 0.0, 0.0, 0)
    others = 0
    for instance in segmenter.segment(photo, ["example"]):
        mask = rasterize([instance], truth.shape)
        iou = np.count_nonzero(mask & truth) / np.count_nonzero(mask | truth)
        if instance.score < _MIN_SCORE:
            continue
        if iou >= _FOUND_IOU:
            best = Result(True, iou, instance.score, 0)
        elif not (mask & truth).any():
            others += 1
    return Result(best.found, best.iou, best.score, others)


def row(name: str, results: Sequence[Result]) -> str:
    hits = [result for result in results if result.found]
    if not hits:
        return f"| {name} | 0 % | | |"
    low, middle = np.quantile([hit.score for hit in hits], [0.1, 0.5])
    others = sum(result.others for result in results)
    extra = f"; {others} elsewhere" if others else ""
    iou = float(np.median([hit.iou for hit in hits]))
    return (
        f"| {name} | {len(hits) / len(results):.0%} of {len(results)}{extra} | {iou:.2f} "
        f"| {low:.2f} to {middle:.2f} |"
    )


def measure_drawn(photos: dict[str, RGBImage], places: Sequence[str], sheets: Path | None) -> None:
    """Print how often plain objects are found: at the same place, elsewhere, and where none is."""
    print("\n| | at the same place | elsewhere, 0.6 to 1.6 times | false |\n|---|---|---|---|")
    for kind in DRAWN:
        rng = np.random.default_rng(5)
        same, moved, false = [], [], 0
        for number in range(_DRAWN_PAIRS):
            first, second = (
                np.asarray(cv2.resize(photos[places[index]], (900, 675)), np.uint8)
                for index in rng.choice(len(places), 2, replace=False)
            )
            image, alpha = draw(kind, first, (750, 590), 1.0)
            # As a user would mark it: the whole word, not each stroke of its letters.
            mask = alpha > (0.1 if alpha.max() < 0.6 else 0.5)
            if kind.startswith(("stamp", "water")):
                mask = (
                    cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((15, 15))) > 0
                )
            try:
                segmenter = ExampleSegmenter(image, mask)
            except CleanplateError:
                same.append(Result(False, 0, 0, 0))
                moved.append(Result(False, 0, 0, 0))
                continue
            photo, _ = draw(kind, second, (750, 590), 1.0)
            same.append(search(segmenter, photo, mask))
            if sheets and number == 3:
                write_sheet(sheets, kind, Example(kind, "", image, mask, segmenter), photo)
            scale = float(rng.uniform(0.6, 1.6))
            centre = int(rng.integers(170, 730)), int(rng.integers(170, 505))
            photo, _ = draw(kind, second, centre, scale)
            onto = np.array(
                [[scale, 0, centre[0] - 750 * scale], [0, scale, centre[1] - 590 * scale]]
            )
            truth = cv2.warpAffine(mask.astype(np.uint8), onto, mask.shape[::-1]) > 0
            moved.append(search(segmenter, photo, truth))
            found = segmenter.segment(second, ["example"])
            false += sum(instance.score >= _MIN_SCORE for instance in found)
        shares = [np.mean([result.found for result in results]) for results in (same, moved)]
        print(
            f"| {kind} | {shares[0]:.0%} | {shares[1]:.0%} | {false} of {_DRAWN_PAIRS} |",
            flush=True,
        )


def draw(
    kind: str, ground: RGBImage, centre: tuple[int, int], scale: float
) -> tuple[RGBImage, npt.NDArray[np.float32]]:
    """Return a photo with something drawn around a point, and its opacity."""
    shape = np.zeros((_CANVAS, _CANVAS), np.float32)
    colour = np.zeros((_CANVAS, _CANVAS, 3), np.float32)
    match kind:
        case "plain disc":
            cv2.circle(shape, (100, 100), 60, (1.0,), -1, cv2.LINE_AA)
            colour[:] = (200, 30, 30)
            colour[90:110, 60:140] = 255
        case "plain triangle":
            corners = np.array([[[100, 40], [160, 150], [40, 150]]])
            cv2.fillPoly(shape, corners, (1.0,), cv2.LINE_AA)
            colour[:] = (240, 200, 20)
        case "letter":
            cv2.putText(
                shape, "R", (50, 150), cv2.FONT_HERSHEY_DUPLEX, 4.5, (1.0,), 12, cv2.LINE_AA
            )
            colour[:] = (20, 60, 200)
        case "stamp":
            text = "12 05 '98"
            cv2.putText(shape, text, (15, 110), cv2.FONT_HERSHEY_SIMPLEX, 1, (1.0,), 3, cv2.LINE_AA)
            colour[:] = (255, 140, 20)
        case "dirt on the lens":
            rows, columns = np.mgrid[:_CANVAS, :_CANVAS]
            far = (rows - 100) ** 2 + (columns - 100) ** 2
            shape = (0.45 * np.exp(-far / (2 * 22**2))).astype(np.float32)
            colour[:] = 40
        case _:
            text = "(c) PhotoX"
            cv2.putText(shape, text, (8, 110), cv2.FONT_HERSHEY_DUPLEX, 1, (0.4,), 2, cv2.LINE_AA)
            colour[:] = 255
    half = _CANVAS / 2 * scale
    onto = np.array([[scale, 0, centre[0] - half], [0, scale, centre[1] - half]])
    size_wh = ground.shape[1], ground.shape[0]
    alpha = np.asarray(cv2.warpAffine(shape, onto, size_wh), np.float32)
    thing = cv2.warpAffine(colour, onto, size_wh, borderMode=cv2.BORDER_REPLICATE)
    return blend(ground, np.asarray(thing, np.float32), alpha), alpha


def measure_time(example: Example) -> None:
    """Print how long one photo of 12 megapixels takes."""
    large = cv2.resize(example.image, (4000, 3000), interpolation=cv2.INTER_CUBIC)
    start = time.perf_counter()
    example.segmenter.segment(np.asarray(large, np.uint8), ["example"])
    print(f"{time.perf_counter() - start:.1f} s for one photo of 12 megapixels")


def write_sheet(folder: Path, name: str, example: Example, photo: RGBImage) -> None:
    """Write the example, the photo, what was found in it, and the photo without that."""
    marked = example.image.copy()
    marked[~example.mask] //= 3
    removal = Remover(segmenter=example.segmenter)(photo, ["example"])
    seen = photo.copy()
    for instance in (*removal.instances, *removal.kept):
        outline = rasterize([instance], photo.shape).astype(np.uint8)
        lines, _ = cv2.findContours(outline, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(seen, lines, -1, (255, 0, 0), 2)
        x, y = instance.box_xyxy[:2]
        cv2.putText(
            seen,
            f"{instance.score:.2f}",
            (x, y + 20),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.8,
            (255, 0, 0),
            2,
        )
    tiles = []
    for panel in (marked, photo, seen, removal.image):
        shrink = min(560 / panel.shape[1], 420 / panel.shape[0])
        tile = cv2.resize(panel, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        bottom, right = 420 - tile.shape[0], 564 - tile.shape[1]
        tiles.append(cv2.copyMakeBorder(tile, 0, bottom, 0, right, cv2.BORDER_CONSTANT))
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / f"{name}.png"), np.hstack(tiles)[..., ::-1])


if __name__ == "__main__":
    main()
