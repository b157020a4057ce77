"""Small pictures of a photo before and after."""

import io

import numpy as np
import pytest
from PIL import Image

from cleanplate.batch.records.html_page import SIDE_PX, make_thumbnails
from cleanplate.types import Removal


def opened(content):
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.format == "WEBP"
        return np.asarray(picture.convert("RGB")).astype(int)


def test_pictures_show_the_photo_the_mask_and_the_result(astronaut):
    mask = np.zeros(astronaut.shape[:2], np.bool_)
    mask[100:300, 200:400] = True
    filled = np.where(mask[..., None], np.uint8(0), astronaut)
    made = make_thumbnails(astronaut, Removal(filled, mask))
    before, shown, after = (opened(picture) for picture in (made.before, made.mask, made.after))
    assert before.shape == shown.shape == after.shape == (SIDE_PX, SIDE_PX, 3)
    assert set(np.unique(shown)) == {0, 255}
    assert shown[60, 90].tolist() == [255] * 3
    assert shown[120, 20].tolist() == [0] * 3
    assert after[60, 90].max() < 30
    assert np.abs(before - after)[120:, :].mean() < 6
    assert len(made.before) + len(made.mask) + len(made.after) < 16_000


def test_of_a_photo_that_stays_there_is_one_picture(astronaut):
    assert make_thumbnails(astronaut).after is None
    unchanged = Removal(astronaut, np.zeros(astronaut.shape[:2], np.bool_))
    made = make_thumbnails(astronaut, unchanged)
    assert (made.mask, made.after) == (None, None)


def test_a_hole_of_one_pixel_still_shows():
    image = np.zeros((2000, 1000, 3), np.uint8)
    mask = np.zeros((2000, 1000), np.bool_)
    mask[1200, 500] = True
    shown = opened(make_thumbnails(image, Removal(image, mask)).mask)
    assert shown.shape == (SIDE_PX, SIDE_PX // 2, 3)
    assert shown.any()


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 900), (900, 1), (30, 40)])
def test_pictures_are_never_enlarged_and_never_empty(size_hw):
    shape = opened(make_thumbnails(np.zeros((*size_hw, 3), np.uint8)).before).shape
    assert max(shape[:2]) == min(SIDE_PX, max(size_hw))
    assert min(shape[:2]) == min(size_hw[0], size_hw[1], SIDE_PX)
