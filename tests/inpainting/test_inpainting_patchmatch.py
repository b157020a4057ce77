"""`synthesise` paints a hole with what the known part shows, after a smooth guide."""

import cv2
import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import skimage
from hypothesis import given, settings
from hypothesis import strategies as st

from cleanplate.inpainting.patchmatch import _uniformity, synthesise

SIZES_HW = st.tuples(st.integers(1, 60), st.integers(1, 60))


def boards(height=160, width=200):
    """Horizontal boards: dark joints every 16 px on light wood with some grain."""
    rng = np.random.default_rng(3)
    rows = np.where(np.arange(height) % 16 < 3, 0.2, 0.8)[:, None, None]
    image = rows + rng.normal(0, 0.02, (height, width, 1)) * np.ones(3)
    return np.clip(image, 0, 1).astype(np.float32)


@pytest.fixture
def boarded():
    """Boards, a hole in them, and a guide that shows them faintly, as a network would."""
    image = boards()
    hole = np.zeros(image.shape[:2], np.bool_)
    hole[60:104, 70:130] = True
    faint = cv2.GaussianBlur(image, (0, 0), 3)
    return image, hole, np.where(hole[..., None], faint, image).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("gravel", 1), ("grass", 1), ("brick", 1), ("astronaut", 0), ("coffee", 0), ("chelsea", 0)],
)
def test_one_texture_is_told_from_a_scene(name, expected):
    photo = getattr(skimage.data, name)()
    small = cv2.resize(photo, (256, 256), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    image = np.broadcast_to(small.reshape(256, 256, -1), (256, 256, 3))
    assert _uniformity(np.ascontiguousarray(image), np.ones((256, 256), np.bool_)) == expected


@settings(max_examples=15, deadline=None)
@given(data=st.data(), hw=SIZES_HW)
def test_keeps_known_pixels_and_takes_only_from_usable_ones(data, hw):
    unit = st.floats(0, 1, width=32)
    guide = data.draw(hnp.arrays(np.float32, (*hw, 3), elements=unit))
    hole = data.draw(hnp.arrays(np.bool_, hw))
    usable = data.draw(hnp.arrays(np.bool_, hw)) | data.draw(st.booleans())
    before = [array.copy() for array in (guide, hole, usable)]

    synthesis = synthesise(guide, hole, usable)

    for array, copy in zip((guide, hole, usable), before, strict=True):
        np.testing.assert_array_equal(array, copy, err_msg="an input was modified")
    if synthesis is None:
        return
    assert (synthesis.image.shape, synthesis.image.dtype) == (guide.shape, np.float32)
    np.testing.assert_array_equal(synthesis.image[~hole], guide[~hole])
    taken = usable & ~hole
    assert taken[synthesis.sources_yx[:, 0], synthesis.sources_yx[:, 1]].all()
    covered = np.zeros(hw, np.bool_)
    covered[synthesis.places_yx[:, 0], synthesis.places_yx[:, 1]] = True
    assert covered[hole].all()
    if hole.any():
        low, high = guide[taken].min(axis=0), guide[taken].max(axis=0)
        painted = synthesis.image[hole]
        assert (painted >= low - 1e-4).all()
        assert (painted <= high + 1e-4).all()


def test_faint_joints_become_as_dark_as_the_others(boarded):
    image, hole, guide = boarded

    painted = synthesise(guide, hole, ~hole).image

    contrast = image[hole].std()
    assert guide[hole].std() < 0.5 * contrast
    assert painted[hole].std() > 0.85 * contrast
    assert np.abs(painted - image)[hole].mean() < 0.3 * np.abs(guide - image)[hole].mean()


def test_the_guide_chooses_among_textures():
    rng = np.random.default_rng(5)
    image = np.empty((128, 192, 3), np.float32)
    image[:, :96] = 0.25 + rng.normal(0, 0.05, (128, 96, 1))  # dark ground at the left
    image[:, 96:] = 0.75 + rng.normal(0, 0.05, (128, 96, 1))  # light ground at the right
    hole = np.zeros((128, 192), np.bool_)
    hole[40:90, 70:122] = True
    for border in (84, 108):  # where the guide lets one end and the other begin
        guide = image.copy()
        guide[hole] = np.where(np.nonzero(hole)[1] < border, 0.25, 0.75)[:, None]
        painted = synthesise(guide, hole, ~hole).image
        light = painted[44:86, 72:120].mean(axis=(0, 2)) > 0.5
        assert abs(int((~light).sum()) - (border - 72)) <= 4


def test_never_takes_from_what_is_not_usable(boarded):
    _, hole, guide = boarded
    usable = ~hole
    usable[:, 140:] = False

    synthesis = synthesise(guide, hole, usable)

    assert synthesis.sources_yx[:, 1].max() < 140 - 3


def test_gives_the_same_twice(boarded):
    _, hole, guide = boarded
    first, second = (synthesise(guide, hole, ~hole) for _ in range(2))
    np.testing.assert_array_equal(first.image, second.image)


def test_says_so_where_no_known_patch_is_whole():
    guide = np.zeros((40, 40, 3), np.float32)
    usable = np.zeros((40, 40), np.bool_)
    usable[::4] = True
    hole = np.zeros((40, 40), np.bool_)
    hole[10:20, 10:20] = True
    assert synthesise(guide, hole, usable) is None


@pytest.mark.parametrize("turns", range(4))
def test_a_hole_at_the_pictures_edge_is_painted_from_its_own_surroundings(turns):
    # Patches that would reach beyond the picture have no say; another hole's once had.
    rng = np.random.default_rng(0)
    guide = rng.uniform(0, 0.1, (64, 64, 3)).astype(np.float32)
    guide[:40, :, 0] += 0.8  # red above, blue below
    guide[40:, :, 2] += 0.8
    hole = np.zeros((64, 64), np.bool_)
    hole[:8, 20:32] = True
    hole[52:60, 40:52] = True
    guide, hole = (np.ascontiguousarray(np.rot90(one, turns)) for one in (guide, hole))
    painted = synthesise(guide, hole, ~hole)
    assert painted is not None
    above = np.rot90(painted.image, -turns)[:8, 20:32]
    assert above[..., 0].min() > 0.6
    assert above[..., 2].max() < 0.2


def test_rough_surroundings_are_not_matched_with_a_smooth_area_of_the_same_colour():
    rng = np.random.default_rng(0)
    image = np.full((96, 128, 3), 0.5, np.float32)
    image[:, :72] += rng.normal(0, 0.08, (96, 72, 1)).astype(np.float32)
    hole = np.zeros((96, 128), np.bool_)
    hole[32:64, 24:56] = True
    guide = np.where(hole[..., None], np.float32(0.5), image)

    synthesis = synthesise(guide, hole, ~hole)

    inside = hole[synthesis.places_yx[:, 0], synthesis.places_yx[:, 1]]
    assert (synthesis.sources_yx[inside, 1] < 72).mean() > 0.4  # 0 by colours alone
    assert synthesis.image[hole].std() > 0.4 * 0.08


def test_layers_go_on_behind_a_deep_hole_whose_guide_lost_one():
    rng = np.random.default_rng(5)
    layers = np.repeat(
        np.array([[0.7, 0.75, 0.7], [0.3, 0.35, 0.35], [0.45, 0.5, 0.5]]), 80, axis=0
    )
    image = layers[:, None] + rng.normal(0, 0.03, (240, 240, 1))
    image = np.clip(image, 0, 1).astype(np.float32)
    hole = np.zeros(image.shape[:2], np.bool_)
    hole[60:180, 70:170] = True
    guide = image.copy()
    guide[80:160, 70:170] = 0.7 * layers[200] + 0.3 * layers[120]

    synthesis = synthesise(guide, hole, ~hole)

    assert synthesis is not None
    middle = synthesis.image[90:150, 90:150].mean(axis=(0, 1))
    np.testing.assert_allclose(middle, layers[120], atol=0.06)
