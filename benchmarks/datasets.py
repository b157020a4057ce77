"""Runs `cleanplate dataset` on a COCO dataset that it makes, and checks every record and pixel.

    python benchmarks/datasets.py                                the machinery, without networks
    python benchmarks/datasets.py --count 200 --neighbours clip  with options of the command

Printed are images per second and the memory of all processes together after 10, 50 and 100 % of
the images; then how many records stayed byte for byte, were edited or dropped, each compared with
what the rules ask for; whether pixels outside the masks are those of before; and whether the same
command, again, changes nothing.
"""

import argparse
import hashlib
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from batch import watch
from cleanplate.ops import encode_rle, pack_counts
from cleanplate.types import Mask

SIZE_WH = (320, 240)
CATEGORIES = {"person": 1, "dog": 18, "car": 3}
COLOURS = {"person": (200, 60, 60), "dog": (60, 180, 80), "car": (60, 80, 200)}
SPLIT = "train2017"
REMOVED = "person"
MIN_AREA_PX = 50  # what an object in front leaves of another may be smaller
MACHINERY = ["--inpainter", "telea", "--neighbours", "clip", "--effects", "off", "--no-verify"]


def make_mask(rng: np.random.Generator) -> Mask:
    """Return (H, W) bool: an ellipse of 8 to 64 px near the middle of the image."""
    width, height = SIZE_WH
    canvas = np.zeros((height, width), np.uint8)
    centre = (int(rng.integers(100, width - 100)), int(rng.integers(80, height - 80)))
    axes = (int(rng.integers(4, 32)), int(rng.integers(4, 32)))
    cv2.ellipse(canvas, centre, axes, 0, 0, 360, (1,), -1)
    return canvas.astype(np.bool_)


def describe(mask: Mask, number: int, image_id: int, label: str) -> dict[str, object]:
    """Return a record: every third outline is run lengths."""
    contours, _ = cv2.findContours(
        mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    segmentation: object = [
        [float(value) for value in contour.ravel()] for contour in contours if len(contour) > 2
    ]
    if number % 3 == 0:
        box = (left, top, left + width, top + height)
        counts = encode_rle(box, mask[top : top + height, left : left + width], mask.shape)
        segmentation = {"size": list(mask.shape), "counts": pack_counts(counts)}
    return {
        "id": number,
        "image_id": image_id,
        "category_id": CATEGORIES[label],
        "segmentation": segmentation,
        "bbox": [left, top, width, height],
        "area": float(mask.sum()),
        "iscrowd": 0,
        "attributes": {"note": "an unknown key, é \\u00e9 \\/"},
    }


def generate(root: Path, count: int) -> Path:
    """Write a dataset, one record a line, and return its JSON file.

    An image shows none to three objects, the later ones in front.
    """
    rng = np.random.default_rng(0)
    width, height = SIZE_WH
    (root / SPLIT).mkdir(parents=True)
    (root / "annotations").mkdir()
    images, annotations = [], []
    for image_id in range(1, count + 1):
        ground = rng.integers(60, 200, (6, 8, 3)).astype(np.uint8)
        photo = np.array(Image.fromarray(ground).resize(SIZE_WH, Image.Resampling.BICUBIC))
        photo = np.clip(photo + rng.normal(0, 4, (height, width, 1)), 0, 255).astype(np.uint8)
        objects = []
        for _ in range(int(rng.integers(0, 4))):
            label, mask = str(rng.choice(list(CATEGORIES))), make_mask(rng)
            photo[mask] = COLOURS[label]
            objects = [(name, other & ~mask) for name, other in objects]
            objects.append((label, mask))
        for label, mask in objects:
            if mask.sum() > MIN_AREA_PX:
                annotations.append(describe(mask, len(annotations) + 1, image_id, label))
        name = f"{image_id:012}.png"
        Image.fromarray(photo).save(root / SPLIT / name)
        images.append({"id": image_id, "file_name": name, "width": width, "height": height})
    categories = [{"id": number, "name": name} for name, number in CATEGORIES.items()]
    lines = []
    for key, records in (
        ("images", images),
        ("annotations", annotations),
        ("categories", categories),
    ):
        lines.append(f'"{key}": [\n' + ",\n".join(map(json.dumps, records)) + "\n]")
    path = root / "annotations" / f"instances_{SPLIT}.json"
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    return path


def check(root: Path, output: Path, report: Path) -> None:
    """Compare records and pixels before and after; raise SystemExit where one is wrong."""
    relative = Path("annotations") / f"instances_{SPLIT}.json"
    before, after = (
        {json.loads(line)["id"]: line for line in records_of((it / relative).read_text())}
        for it in (root, output)
    )
    outcomes = {
        int(one["annotation"].removeprefix("annotation ")): one["outcome"]
        for line in report.read_text().splitlines()
        for one in json.loads(line)["annotations"]
    }
    found: Counter[str] = Counter()
    wrong = []
    for number, text in before.items():
        outcome = outcomes.get(number, "kept")
        state = {None: "dropped", text: "equal"}.get(after.get(number), "edited")
        found[f"{state} ({outcome})"] += 1
        expected = {"removed": "dropped", "covered": "dropped", "clipped": "edited"}
        if state != expected.get(outcome, "equal"):
            wrong.append(number)
    states = ", ".join(f"{number} {name}" for name, number in sorted(found.items()))
    print(f"  {len(before)} records: {states}; {len(wrong)} not as reported")
    pixels = changed = 0
    for path in sorted((root / SPLIT).iterdir()):
        mask = output / ".cleanplate" / "masks" / SPLIT / f"{path.name}.png"
        old, new = (np.asarray(Image.open(it / SPLIT / path.name)) for it in (root, output))
        outside = np.ones(old.shape[:2], np.bool_)
        if mask.is_file():
            outside = np.asarray(Image.open(mask)) == 0
        pixels += int(outside.sum())
        changed += int((old != new).any(axis=2)[outside].sum())
    print(f"  {pixels} pixels outside the masks, {changed} of them changed")
    if wrong or changed or set(after) - set(before):
        raise SystemExit(f"wrong: records {wrong[:9]}, {changed} pixels")


def records_of(text: str) -> list[str]:
    """Return the lines of the annotations, without their commas."""
    inside = text.partition('"annotations": [\n')[2].partition("\n]")[0]
    return [line.removesuffix(",") for line in inside.splitlines()]


def digest(folder: Path) -> str:
    """Return a hash of all results, without the journal."""
    state = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and ".cleanplate" not in path.parts:
            state.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return state.hexdigest()


def main() -> None:
    """Measure as the options say."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--count", type=int, default=1000, help="images to generate")
    options, given = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as name:
        root, output, report = (Path(name) / it for it in ("in", "out", "report.jsonl"))
        path = generate(root, options.count)
        print(f"{options.count} images of {SIZE_WH[0]} x {SIZE_WH[1]} px, {path.stat().st_size} B")
        command = [sys.executable, "-m", "cleanplate", "dataset", str(root), "-o", str(output)]
        command += ["--remove", REMOVED, "--report", str(report), *(given or MACHINERY)]
        watch(command, options.count, Path(name) / "lines.txt")
        check(root, output, report)
        first = digest(output)
        print("the same command again")
        watch(command, options.count, Path(name) / "lines.txt")
        print(f"  results {'identical' if digest(output) == first else 'DIFFERENT'}")


if __name__ == "__main__":
    main()
