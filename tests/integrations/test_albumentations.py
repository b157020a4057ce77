"""`RemoveObjects` in pipelines of albumentations."""

import os
import pickle

import numpy as np
import pytest

from dataset_builders import SCENES, draw

pytestmark = pytest.mark.slow  # it imports PyTorch

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it asks the network when it is imported
A = pytest.importorskip("albumentations")

from cleanplate.errors import CleanplateError, InputError  # noqa: E402
from cleanplate.integrations.albumentations import RemoveObjects  # noqa: E402


def pipeline(cache, *more, p=1.0, seed=7, **options):
    return A.Compose(
        [RemoveObjects(cache, p=p, **options), *more],
        bbox_params=A.BboxParams("pascal_voc", label_fields=["labels"]),
        keypoint_params=A.KeypointParams("xy"),
        seed=seed,
    )


def sample(name="a"):
    things = SCENES[name]
    masks = np.zeros((len(things), 64, 96), np.uint8)
    for mask, thing in zip(masks, things, strict=True):
        left, top, right, bottom = thing.box
        mask[top:bottom, left:right] = 1
    return {
        "image": draw(things, list(SCENES).index(name)),
        "bboxes": np.array([thing.box for thing in things], np.float32),
        "labels": [thing.label for thing in things],
        "masks": masks,
        "mask": (masks * np.arange(1, len(things) + 1)[:, None, None]).max(axis=0),
        "keypoints": np.array([[15, 15], [70, 40]], np.float32),
        "plate": f"{name}.png",
    }


def test_image_boxes_labels_masks_and_points_lose_the_same_objects(cache):
    given = sample()
    done = pipeline(cache)(**given)
    assert (done["image"][10:50, 10:30] == 128).all()
    assert list(done["labels"]) == ["car"]
    np.testing.assert_allclose(done["bboxes"], [[60, 30, 85, 50]], atol=1e-3)
    np.testing.assert_array_equal(done["masks"], given["masks"][1:])
    assert set(np.unique(done["mask"])) == {0, 2}
    np.testing.assert_allclose(done["keypoints"], [[70, 40]])
    assert (given["image"][20, 20] == (220, 20, 20)).all()


def test_what_comes_after_sees_the_plate(cache):
    done = pipeline(cache, A.HorizontalFlip(p=1))(**sample())
    np.testing.assert_allclose(done["bboxes"], [[11, 30, 36, 50]], atol=1e-3)
    assert (done["image"][10:50, 66:86] == 128).all()


def test_images_without_a_plate_and_unlucky_ones_stay_as_they_are(cache):
    given = sample("b")
    np.testing.assert_array_equal(pipeline(cache)(**given)["image"], given["image"])
    given = sample()
    done = pipeline(cache, p=0)(**given)
    np.testing.assert_array_equal(done["image"], given["image"])
    assert list(done["labels"]) == ["person", "car"]


def test_the_same_seed_makes_the_same_choices_in_a_copy_too(cache):
    def choices(transform):
        return [len(transform(**sample())["labels"]) for _ in range(24)]

    first = choices(pipeline(cache, p=0.5))
    assert set(first) == {1, 2}
    assert choices(pipeline(cache, p=0.5)) == first
    assert choices(pickle.loads(pickle.dumps(pipeline(cache, p=0.5)))) == first


def test_unknown_images_and_other_sizes_are_named(cache):
    given = {**sample(), "plate": "z.png"}
    with pytest.raises(InputError, match=r"z\.png"):
        pipeline(cache)(**given)
    kept = pipeline(cache, on_missing="keep")(**given)
    np.testing.assert_array_equal(kept["image"], given["image"])
    large = sample()
    for name in ("image", "mask"):
        large[name] = np.repeat(large[name], 2, axis=0)
    large["masks"] = np.repeat(large["masks"], 2, axis=1)
    with pytest.raises(CleanplateError, match="96 x 64"):
        pipeline(cache)(**large)


def test_images_of_floats_get_plates_of_floats(cache):
    given = sample()
    given["image"] = (given["image"] / 255).astype(np.float32)
    done = pipeline(cache)(**given)
    assert done["image"].dtype == np.float32
    np.testing.assert_allclose(done["image"][10:50, 10:30], 128 / 255, atol=1e-6)


def test_an_image_may_have_no_boxes(cache):
    given = sample() | {"bboxes": [], "labels": []}
    done = pipeline(cache)(**given)
    assert (done["image"][10:50, 10:30] == 128).all()
