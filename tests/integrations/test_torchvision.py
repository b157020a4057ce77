"""`RemoveObjects` among torchvision's transforms."""

import pickle

import numpy as np
import pytest
from PIL import Image

from dataset_builders import SCENES, draw

torch = pytest.importorskip("torch")
from torchvision import tv_tensors  # noqa: E402
from torchvision.transforms import v2  # noqa: E402

from cleanplate.errors import InputError  # noqa: E402
from cleanplate.integrations.torchvision import RemoveObjects  # noqa: E402

pytestmark = pytest.mark.slow  # PyTorch takes seconds to import


def sample(name="a", **more):
    things = SCENES[name]
    number = list(SCENES).index(name)
    masks = torch.zeros((len(things), 64, 96), dtype=torch.uint8)
    for mask, thing in zip(masks, things, strict=True):
        left, top, right, bottom = thing.box
        mask[top:bottom, left:right] = 1
    boxes = [[x, y, r - x, b - y] for x, y, r, b in (thing.box for thing in things)]
    target = {
        "image_id": number + 1,
        "boxes": tv_tensors.BoundingBoxes(boxes, format="XYWH", canvas_size=(64, 96)),
        "masks": tv_tensors.Mask(masks),
        "labels": torch.arange(len(things)),
        "iscrowd": [0] * len(things),
        "size": (64, 96),
    }
    return tv_tensors.Image(torch.from_numpy(draw(things, number)).permute(2, 0, 1)), target | more


def test_image_and_all_rows_of_the_target_change_in_step(cache):
    image, target = RemoveObjects(cache, p=1)(*sample())
    assert isinstance(image, tv_tensors.Image)
    assert (image[:, 10:50, 10:30] == 128).all()
    assert isinstance(target["boxes"], tv_tensors.BoundingBoxes)
    assert target["boxes"].tolist() == [[60, 30, 25, 20]]
    assert isinstance(target["masks"], tv_tensors.Mask)
    assert target["masks"].shape == (1, 64, 96)
    assert (target["labels"].tolist(), target["iscrowd"]) == ([1], [0])
    assert (target["size"], target["image_id"]) == ((64, 96), 1)


def test_pillow_images_and_floats_come_back_as_they_were_given(cache):
    image, target = sample()
    pil = Image.fromarray(image.permute(1, 2, 0).numpy())
    transform = RemoveObjects(cache, p=1)
    assert isinstance(transform(pil, target)[0], Image.Image)
    floats = v2.functional.to_dtype(image, torch.float32, scale=True)
    done = transform(floats, target)[0]
    assert done.dtype == torch.float32
    np.testing.assert_allclose(done[:, 20, 20], 128 / 255, atol=1e-6)


def test_without_boxes_masks_decide(cache):
    image, target = sample()
    del target["boxes"]
    assert RemoveObjects(cache, p=1)(image, target)[1]["labels"].tolist() == [1]


def test_the_same_seed_makes_the_same_choices_in_a_copy_too(cache):
    transform = RemoveObjects(cache, p=0.5)

    def choices(one):
        torch.manual_seed(3)
        return [len(one(*sample())[1]["labels"]) for _ in range(24)]

    assert set(choices(transform)) == {1, 2}
    assert choices(pickle.loads(pickle.dumps(transform))) == choices(transform)


def test_it_stands_in_a_pipeline(cache):
    pipeline = v2.Compose([RemoveObjects(cache, p=1), v2.RandomHorizontalFlip(1)])
    image, target = pipeline(*sample())
    assert target["boxes"].tolist() == [[11, 30, 25, 20]]
    assert (image[:, 10:50, 66:86] == 128).all()


def test_an_image_without_a_name_is_refused(cache):
    image, target = sample()
    del target["image_id"]
    with pytest.raises(InputError, match="image_id"):
        RemoveObjects(cache, p=1)(image, target)


def test_rows_that_nothing_tells_apart_are_refused(cache):
    image, target = sample()
    del target["boxes"], target["masks"]
    with pytest.raises(InputError, match="neither boxes nor masks"):
        RemoveObjects(cache, p=1)(image, target)
