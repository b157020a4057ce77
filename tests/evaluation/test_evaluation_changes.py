"""What was filled is seen from the photo before and after, whole and without what was not."""

import io

import numpy as np
import pytest
from PIL import Image

from cleanplate.evaluation.changes import changed_mask
from cleanplate.ops.masks import fill_holes


@pytest.fixture
def ground(gravel):
    return np.ascontiguousarray(gravel[:240, :320])


@pytest.fixture
def hole():
    mask = np.zeros((240, 320), np.bool_)
    mask[50:190, 80:240] = True
    return mask


def encoded(picture, **options):
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", **options)
    return np.array(Image.open(stream))


def inverted(picture):
    """Return a picture no pixel of which is as before."""
    return picture + np.uint8(128)


def overlap(one, other):
    return (one & other).sum() / (one | other).sum()


def alike_in_parts(ground, hole, rng):
    """Return a photo whose object is partly as the fill is: blots and single pixels of it."""
    before = ground.copy()
    before[hole] = np.clip(ground[hole].astype(int) + 60, 0, 255)
    before[90:120, 120:160] = ground[90:120, 120:160] + np.uint8(7)  # hardly another colour
    same = hole & (rng.random(hole.shape) < 0.1)
    before[same] = ground[same]
    return before


def test_what_the_fill_has_in_common_with_the_object_is_no_gap(ground, hole, rng):
    ground = np.minimum(ground, 200)
    mask = changed_mask(alike_in_parts(ground, hole, rng), ground)
    assert (fill_holes(mask) == mask).all()
    assert overlap(mask, hole) > 0.99


@pytest.mark.parametrize("quality", [90, 95])
def test_so_it_is_after_being_encoded_again(ground, hole, rng, quality):
    ground = np.minimum(ground, 200)
    before = encoded(alike_in_parts(ground, hole, rng), quality=92, subsampling=0)
    after = encoded(np.where(hole[..., None], ground, before), quality=quality, subsampling=0)
    mask = changed_mask(before, after)
    assert (fill_holes(mask) == mask).all()
    assert overlap(mask, hole) > 0.93
    assert not changed_mask(before, encoded(before, quality=quality, subsampling=0)).any()


def test_what_was_left_inside_a_frame_is_a_gap(ground, hole):
    hole[90:150, 120:200] = False
    after = np.where(hole[..., None], inverted(ground), ground)
    mask = changed_mask(ground, after)
    assert not mask[95:145, 125:195].any()
    assert overlap(mask, hole) > 0.97


def test_at_the_border_and_everywhere(ground):
    after = ground.copy()
    after[:, :60] = inverted(ground[:, :60])
    np.testing.assert_array_equal(
        np.flatnonzero(changed_mask(ground, after).all(axis=0)), range(60)
    )
    assert changed_mask(np.full_like(ground, 20), np.full_like(ground, 220)).all()
    assert not changed_mask(ground, ground).any()
    speck = ground.copy()
    speck[9:14, 9:14] = inverted(speck[9:14, 9:14])
    assert not changed_mask(ground, speck).any()
