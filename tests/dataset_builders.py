"""Small datasets in every format: red people, green dogs and blue cars on grey gradients."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from cleanplate.datasets import AnnotationEdit, ImageEdit

COLOURS = {"person": (220, 20, 20), "dog": (20, 220, 20), "car": (20, 20, 220)}
CATEGORY_IDS = {"person": 1, "car": 3, "dog": 18}  # COCO's own, with gaps
SIZE_WH = (96, 64)


@dataclass(frozen=True)
class Thing:
    """A rectangle of one class: left, top, right, bottom in px."""

    label: str
    box: tuple[int, int, int, int]
    annotated: bool = True

    @property
    def polygon(self):
        left, top, right, bottom = self.box
        return [left, top, right, top, right, bottom, left, bottom]


SCENES = {
    "a": [Thing("person", (10, 10, 30, 50)), Thing("car", (60, 30, 85, 50))],
    "b": [Thing("dog", (20, 20, 44, 40))],
    "c": [Thing("person", (40, 8, 54, 56)), Thing("dog", (54, 30, 84, 50))],
    "d": [Thing("person", (30, 12, 52, 50))],
    "e": [],
}
"""Image -> its things; a later one is drawn over an earlier one."""


def draw(things, seed=0):
    """Return (H, W, 3) uint8."""
    width, height = SIZE_WH
    rng = np.random.default_rng(seed)
    image = np.linspace(90, 160, width)[None, :, None] + rng.normal(0, 3, (height, width, 1))
    image = np.repeat(image, 3, axis=2).clip(0, 255).astype(np.uint8)
    for thing in things:
        left, top, right, bottom = thing.box
        image[top:bottom, left:right] = COLOURS[thing.label]
    return image


def save_images(folder, scenes=SCENES, suffix=".png"):
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, things) in enumerate(scenes.items()):
        Image.fromarray(draw(things, seed)).save(folder / (name + suffix))


def coco_content(scenes=SCENES, *, suffix=".png", first_id=100):
    """Return the content of a COCO file, keys in an order of their own."""
    annotations = []
    for image_id, things in enumerate(scenes.values(), start=1):
        for thing in things:
            if not thing.annotated:
                continue
            left, top, right, bottom = thing.box
            annotations.append(
                {
                    "id": first_id + len(annotations),
                    "bbox": [left, top, right - left, bottom - top],
                    "category_id": CATEGORY_IDS[thing.label],
                    "image_id": image_id,
                    "iscrowd": 0,
                    "segmentation": [[float(value) for value in thing.polygon]],
                    "area": float((right - left) * (bottom - top)),
                    "note": "unknown key \u00e4 \\/",
                }
            )
    return {
        "info": {"year": 2026, "url": "http:\\/\\/example.org"},
        "licenses": [{"id": 1, "name": "Attribution", "url": "cc/by/4.0"}],
        "images": [
            {
                "file_name": name + suffix,
                "width": SIZE_WH[0],
                "height": SIZE_WH[1],
                "id": image_id,
                "license": 1,
            }
            for image_id, name in enumerate(scenes, start=1)
        ],
        "annotations": annotations,
        "categories": [{"name": name, "id": number} for name, number in CATEGORY_IDS.items()],
        "extra": {"kept": True},
    }


def save_coco(root: Path, content=None, *, split="train2017", indent=1, scenes=SCENES):
    save_images(root / split, scenes)
    path = root / "annotations" / f"instances_{split}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content or coco_content(scenes), indent=indent), encoding="utf-8")
    return path


def voc_xml(name, things):
    """Return the text of an annotation, with a comment and a part that must survive."""
    objects = "".join(
        f"""
\t<object>
\t\t<name>{thing.label}</name>
\t\t<pose>Left</pose><truncated>0</truncated>
\t\t<difficult>0</difficult>
\t\t<bndbox>
\t\t\t<xmin>{thing.box[0] + 1}</xmin>
\t\t\t<ymin>{thing.box[1] + 1}</ymin>
\t\t\t<xmax>{thing.box[2]}</xmax>
\t\t\t<ymax>{thing.box[3]}</ymax>
\t\t</bndbox>
\t\t<part><name>head</name>
\t\t\t<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></part>
\t</object>"""
        for thing in things
    )
    return (
        f"<annotation>\n\t<!-- by hand: a > b -->\n\t<filename>{name}.png</filename>\n"
        f"\t<size><width>{SIZE_WH[0]}</width><height>{SIZE_WH[1]}</height></size>{objects}\n"
        "</annotation>\n"
    )


def voc_masks(things):
    """Return the masks of classes and of objects, with a border of void."""
    height, width = SIZE_WH[1], SIZE_WH[0]
    classes, objects = np.zeros((2, height, width), np.uint8)
    for index, thing in enumerate(things, start=1):
        left, top, right, bottom = thing.box
        for mask, value in ((classes, CATEGORY_IDS[thing.label]), (objects, index)):
            mask[top - 2 : bottom + 2, left - 2 : right + 2] = 255
            mask[top:bottom, left:right] = value
    return classes, objects


def voc_palette():
    """Return the colours of VOC's masks: bits 0, 3, 6 of an index are the top bits of red."""
    return [
        sum((index >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(3))
        for index in range(256)
        for channel in range(3)
    ]


def save_voc(root: Path, scenes=SCENES, *, segmented=True):
    save_images(root / "JPEGImages", scenes)
    folders = ["Annotations", "ImageSets/Main", "SegmentationClass", "SegmentationObject"]
    for folder in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name, things in scenes.items():
        (root / "Annotations" / f"{name}.xml").write_text(voc_xml(name, things))
        if not segmented:
            continue
        for folder, mask in zip(folders[2:], voc_masks(things), strict=True):
            image = Image.fromarray(mask).convert("P")
            image.putdata(mask.ravel().tolist())
            image.putpalette(voc_palette())
            image.save(root / folder / f"{name}.png")
    *train, last = scenes
    lists = root / "ImageSets/Main"
    (lists / "train.txt").write_text("".join(f"{name}\n" for name in train))
    (lists / "val.txt").write_text(f"{last}\n")
    for label in COLOURS:
        lines = [
            f"{name} {' 1' if any(it.label == label for it in scenes[name]) else '-1'}\n"
            for name in train
        ]
        (lists / f"{label}_train.txt").write_text("".join(lines))


def save_labelme(root: Path, scenes=SCENES):
    save_images(root, scenes)
    for name, things in scenes.items():
        content = {
            "version": "5.5.0",
            "flags": {"checked": True},
            "shapes": [
                {
                    "label": thing.label,
                    "points": np.reshape(thing.polygon, (-1, 2)).tolist(),
                    "group_id": None,
                    "shape_type": "polygon",
                }
                for thing in things
            ],
            "imagePath": f"{name}.png",
            "imageData": "b2xk",
            "imageHeight": SIZE_WH[1],
            "imageWidth": SIZE_WH[0],
        }
        (root / f"{name}.json").write_text(json.dumps(content, indent=2))


def save_cvat(root: Path, scenes=SCENES):
    save_images(root / "images", scenes)
    images = []
    for number, (name, things) in enumerate(scenes.items()):
        shapes = []
        for thing in things:
            points = ";".join(f"{x:.2f},{y:.2f}" for x, y in np.reshape(thing.polygon, (-1, 2)))
            shapes.append(
                f'\n    <polygon label="{thing.label}" source="a > b" occluded="0" '
                f'points="{points}" z_order="0">\n      <attribute name="n">1</attribute>'
                "\n    </polygon>"
            )
        images.append(
            f'\n  <image id="{number}" name="{name}.png" width="96" height="64">'
            + "".join(shapes)
            + "\n  </image>"
        )
    labels = "".join(f"<label><name>{label}</name></label>" for label in COLOURS)
    text = (
        f"<annotations>\n  <version>1.1</version>\n  <meta><task><labels>{labels}</labels></task>"
        "</meta>" + "".join(images) + "\n</annotations>\n"
    )
    (root / "annotations.xml").write_text(text)


def save_yolo(root: Path, scenes=SCENES, *, polygons=True, split="train"):
    save_images(root / "images" / split, scenes)
    folder = root / "labels" / split
    folder.mkdir(parents=True, exist_ok=True)
    labels = sorted(COLOURS)
    for name, things in scenes.items():
        lines = []
        for thing in things:
            left, top, right, bottom = thing.box
            values = [it / SIZE_WH[index % 2] for index, it in enumerate(thing.polygon)]
            if not polygons:
                values = [
                    (left + right) / 2 / SIZE_WH[0], (top + bottom) / 2 / SIZE_WH[1],
                    (right - left) / SIZE_WH[0], (bottom - top) / SIZE_WH[1],
                ]  # fmt: skip
            lines.append(" ".join([str(labels.index(thing.label)), *map(str, values)]) + "\r\n")
        (folder / f"{name}.txt").write_bytes("".join(lines).encode())
    (root / "labels" / f"{split}.cache").write_bytes(b"old")
    (root / "data.yaml").write_text(f"path: .\ntrain: images/train\nnc: 3\nnames: {labels}\n")


def image_of(editor, name):
    return next(it for it in editor.images if it.relative.stem == name)


def edited(editor, name, outcomes, **more):
    """Return path -> content after annotations of one image were changed."""
    image = image_of(editor, name)
    annotations = {it.key: it for it in editor.read(image)}
    changes = {
        key: AnnotationEdit(annotation=annotations[key], outcome=outcome, **extra)
        for key, (outcome, extra) in outcomes.items()
    }
    left = [it.label for key, it in annotations.items() if key not in changes]
    edit = ImageEdit(image=image, changes=changes, classes_left=left, **more)
    return {path.as_posix(): content for path, content in editor.edited({image.relative: edit})}
