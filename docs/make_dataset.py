"""Make a small COCO dataset to try `cleanplate dataset` on, and the pictures of its rules.

    python docs/make_dataset.py DIR         # the dataset
    python docs/make_dataset.py --pictures  # docs/images/dataset_rules.jpg

Each image shows one rule. The photos are composed of those of docs/make_picture.py: run
`pip install scikit-image scikit-learn` first.
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sklearn.datasets
from make_picture import SCENE_ROWS
from make_rules_picture import cut_person_and_cat, lay_out, paste
from PIL import Image

from cleanplate import Mask, Remover, RGBImage
from cleanplate.datasets import AnnotationEdit, draw_annotations, open_dataset
from cleanplate.ops import bounding_box, encode_rle

TARGET = Path(__file__).parent / "images" / "dataset_rules.jpg"
CATEGORIES = {"person": 1, "cat": 17}
SPLIT = "train2017"


@dataclass(frozen=True)
class Scene:
    """What stands in an image: (label, scale, left edge in px), the last one in front."""

    title: str
    things: tuple[tuple[str, float, int], ...]
    options: tuple[str, ...] = ()
    is_crowd: bool = False
    is_boxed: bool = False  # boxes only, and one of them where nobody is


SCENES = {
    "removed": Scene("filled: label dropped", (("person", 0.42, 220),)),
    "protected": Scene("neighbour: protected", (("person", 0.42, 220), ("cat", 0.34, 336))),
    "clipped": Scene(
        "--neighbours clip: clipped",
        (("person", 0.42, 220), ("cat", 0.20, 368)),
        ("--neighbours", "clip", "--dilate", "40"),
    ),
    "covered": Scene(
        "--neighbours clip: covered, dropped",
        (("person", 0.42, 220), ("cat", 0.10, 365)),
        ("--neighbours", "clip", "--dilate", "60"),
    ),
    "crowd": Scene(
        "crowd: image stays",
        (("person", 0.2, 60), ("person", 0.22, 150), ("person", 0.2, 250)),
        is_crowd=True,
    ),
    "missed": Scene("boxes: found and missed", (("person", 0.42, 220),), is_boxed=True),
}


def main() -> None:
    """Write the dataset, or the picture."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if sys.argv[1] != "--pictures":
        make(Path(sys.argv[1]))
        return
    tiles: dict[str, RGBImage] = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "in"
        make(root)
        for name, scene in SCENES.items():
            output = Path(folder) / name
            report = Path(folder) / f"{name}.jsonl"
            words = ["dataset", root, "-o", output, "--remove", "person", "--report", report]
            subprocess.run([sys.executable, "-m", "cleanplate", *words, *scene.options], check=True)
            tiles[scene.title] = before_and_after(root, output, name, report, scene)
    sheet = lay_out(tiles)
    sheet.save(TARGET, quality=82, optimize=True)
    print(f"{TARGET.name}: {TARGET.stat().st_size:,} bytes")


def make(root: Path) -> None:
    """Write the dataset."""
    remover = Remover()
    images, annotations = [], []
    folder = root / SPLIT
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, scene) in enumerate(SCENES.items(), start=1):
        photo, outlines = compose(scene, remover)
        Image.fromarray(photo).save(folder / f"{name}.png")
        height, width = photo.shape[:2]
        images.append({"id": number, "file_name": f"{name}.png", "width": width, "height": height})
        for label, mask in outlines:
            left, top, right, bottom = box = bounding_box(mask)
            counts = encode_rle(box, mask[top:bottom, left:right], (height, width))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": CATEGORIES[label],
                    "iscrowd": int(scene.is_crowd),
                    "bbox": [left, top, right - left, bottom - top],
                    "area": int(mask.sum()),
                    "segmentation": []
                    if scene.is_boxed
                    else {"size": [height, width], "counts": counts},
                }
            )
        if scene.is_boxed:
            nobody = {**annotations[-1], "id": len(annotations) + 1, "bbox": [470, 130, 90, 150]}
            annotations.append(nobody)
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": number, "name": label} for label, number in CATEGORIES.items()],
    }
    path = root / "annotations" / f"instances_{SPLIT}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def compose(scene: Scene, remover: Remover) -> tuple[RGBImage, list[tuple[str, Mask]]]:
    """Return a photo, and what of each thing is visible in it."""
    photo = np.asarray(sklearn.datasets.load_sample_image("china.jpg"))[SCENE_ROWS]
    canvas = photo.astype(np.float32)
    parts = dict(zip(("person", "cat"), cut_person_and_cat(remover), strict=True))
    outlines: list[tuple[str, Mask]] = []
    for label, scale, left in scene.things:
        source, part = parts[label]
        paste(canvas, source, part, scale=scale, left=left)
        white = np.zeros_like(canvas)
        paste(white, np.full_like(source, 255), part, scale=scale, left=left)
        mask = white[..., 0] > 120
        outlines = [(other, seen & ~mask) for other, seen in outlines] + [(label, mask)]
    if scene.is_crowd:
        outlines = [("person", np.any([mask for _, mask in outlines], axis=0))]
    return np.asarray(np.clip(np.rint(canvas), 0, 255), np.uint8), outlines


def before_and_after(root: Path, output: Path, name: str, report: Path, scene: Scene) -> RGBImage:
    """Return an image with its annotations, above its result with what is left of them."""
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    [told] = [line for line in lines if Path(line["photo"]).stem == name]
    outcomes = {it["annotation"]: it["outcome"] for it in told["annotations"]}
    pair = []
    for folder, after in ((root, False), (output, True)):
        editor = open_dataset(folder)
        [image] = [it for it in editor.images if it.relative.stem == name]
        decisions = tuple(
            AnnotationEdit(annotation=it, outcome=outcomes.get(it.key, "kept"))
            for it in editor.read(image)
        )
        photo = np.asarray(Image.open(folder / SPLIT / f"{name}.png"))
        pair.append(draw_annotations(photo, decisions, after=after))
    return np.concatenate(pair, axis=0)


if __name__ == "__main__":
    main()
