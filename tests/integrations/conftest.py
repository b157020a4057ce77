"""A cache of plates, made without networks."""

import json

import numpy as np
import pytest
from PIL import Image

from dataset_builders import SCENES, draw, save_images

GREY = 128


@pytest.fixture
def cache(tmp_path):
    """Return a folder as `cleanplate dataset --cache` writes it: people were filled with grey."""
    save_images(tmp_path / "in" / "train")
    folder = tmp_path / "plates"
    images = {}
    for number, (name, things) in enumerate(SCENES.items()):
        image, mask = draw(things, number), np.zeros((64, 96), np.uint8)
        people = [thing.box for thing in things if thing.label == "person"]
        for left, top, right, bottom in people:
            mask[top:bottom, left:right] = 255
        image[mask > 0] = GREY
        for place, pixels in ((folder / f"train/{name}.png", image),
                              (folder / f"masks/train/{name}.png.png", mask)):  # fmt: skip
            place.parent.mkdir(parents=True, exist_ok=True)
            if people:
                Image.fromarray(pixels).save(place)
        images[f"train/{name}.png"] = {
            "id": str(number + 1),
            "has_plate": bool(people),
            "dropped": people,
        }
    content = {"classes": ["person"], "images": images}
    (folder / "plates.json").write_text(json.dumps(content))
    return folder
