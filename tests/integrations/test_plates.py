"""Plates are found by path, name and id, and say what is gone."""

import json
import pickle

import numpy as np
import pytest

from cleanplate.errors import InputError, PhotoError
from cleanplate.integrations import PlateCache


@pytest.mark.parametrize("key", ["train/a.png", "a.png", "1", 1])
def test_an_image_is_found_by_path_name_and_id(cache, key):
    plate = pickle.loads(pickle.dumps(PlateCache(cache))).find(key)
    assert plate.mask[10:50, 10:30].all()
    assert (plate.image[plate.mask] == 128).all()
    assert plate.dropped.tolist() == [[10, 10, 30, 50]]


def test_an_image_with_nothing_to_remove_has_no_plate_and_that_is_no_error(cache):
    assert PlateCache(cache).find("b.png") is None


def test_an_unknown_image_is_an_error_or_kept(cache):
    with pytest.raises(InputError, match=r"z\.png.*on_missing"):
        PlateCache(cache).find("z.png")
    assert PlateCache(cache, "keep").find("z.png") is None


def test_a_name_of_two_images_is_refused(cache):
    path = cache / "plates.json"
    content = json.loads(path.read_text())
    content["images"]["val/a.png"] = {"id": "9", "has_plate": False, "dropped": []}
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="several"):
        PlateCache(cache).find("a.png")
    assert PlateCache(cache).find("train/a.png") is not None


def test_an_image_in_the_root_folder_is_found_beside_its_namesakes(cache):
    path = cache / "plates.json"
    content = json.loads(path.read_text())
    root = {"a.png": {"id": None, "has_plate": False, "dropped": []}}
    for images in ({**root, **content["images"]}, {**content["images"], **root}):
        path.write_text(json.dumps({**content, "images": images}))
        assert PlateCache(cache).find("a.png") is None
        assert PlateCache(cache).find("train/a.png") is not None


def test_what_is_no_cache_is_refused(cache, tmp_path):
    with pytest.raises(InputError, match="--cache"):
        PlateCache(tmp_path)
    with pytest.raises(InputError, match="maybe"):
        PlateCache(cache, "maybe")


def test_boxes_outlines_and_points_of_what_is_gone_are_told_apart(cache):
    plate = PlateCache(cache).find("a.png")
    boxes = np.array([[11, 11, 30, 50], [60, 30, 85, 50], [10, 10, 30, 30]])
    assert plate.keeps_boxes(boxes).tolist() == [False, True, True]
    masks = np.zeros((3, 64, 96), np.uint8)
    masks[0, 10:50, 10:30] = masks[1, 30:50, 60:85] = masks[2, 10:50, 10:33] = 1
    assert plate.keeps_masks(masks).tolist() == [False, True, True]
    points = np.array([[12, 12], [70, 40], [500, 3]])
    assert plate.keeps_points(points).tolist() == [False, True, True]


def test_another_size_is_named(cache):
    plates = PlateCache(cache)
    with pytest.raises(PhotoError, match=r"96 x 64.*50 x 40"):
        plates.check_size(plates.find("a.png"), "a.png", (40, 50))
