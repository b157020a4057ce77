"""Outlines that follow the photo: what holds for any object, and generated pictures."""

import math

import cv2
import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cleanplate.errors import InputError
from cleanplate.ops.filters import ColourGuide, apply_coefficients, box_mean
from cleanplate.ops.masks import bounding_box
from cleanplate.segmentation.missed_rim import missed_rim_px
from cleanplate.segmentation.refinement import Completed, refine_outline
from cleanplate.types import Instance

sizes = st.tuples(st.integers(1, 40), st.integers(1, 40))


def instance_of(mask: np.ndarray) -> Instance:
    left, top, right, bottom = bounding_box(mask)
    return Instance(1, "bird", 0.9, (left, top, right, bottom), mask[top:bottom, left:right].copy())


def on_photo(instance: Instance, size_hw: tuple[int, int]) -> np.ndarray:
    canvas = np.zeros(size_hw, np.bool_)
    instance.paint_on(canvas)
    return canvas


def disc(size_hw: tuple[int, int], radius_px: float) -> np.ndarray:
    down, across = np.indices(size_hw)
    return np.hypot(down - size_hw[0] / 2, across - size_hw[1] / 2) < radius_px


def rasterize(mask: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return a grainy photo: red where the mask is, a blue slope around it."""
    height, width = mask.shape
    ground = np.linspace((60, 90, 150), (80, 110, 190), width)[None].repeat(height, 0)
    clean = np.where(mask[..., None], (190.0, 60.0, 50.0), ground)
    noise = np.random.default_rng(seed).normal(0, 5, clean.shape)
    return np.clip(clean + noise, 0, 255).astype(np.uint8)


def overlap(found: np.ndarray, truth: np.ndarray) -> float:
    return float((found & truth).sum() / (found | truth).sum())


# --- what holds for any object


@settings(deadline=None, max_examples=25)
@given(size_hw=sizes, seed=st.integers(0, 99), data=st.data())
def test_the_result_lies_in_the_photo_is_not_empty_and_leaves_its_inputs(size_hw, seed, data):
    image = np.random.default_rng(seed).integers(0, 256, (*size_hw, 3), np.uint8)
    mask = data.draw(hnp.arrays(np.bool_, size_hw))
    assume(mask.any())
    instance = instance_of(mask)
    before = image.copy(), instance.mask.copy()
    found = refine_outline(image, instance)
    left, top, right, bottom = found.box_xyxy
    assert 0 <= left < right <= size_hw[1]
    assert 0 <= top < bottom <= size_hw[0]
    assert found.mask.shape == (bottom - top, right - left)
    assert found.mask.dtype == np.bool_
    assert found.mask.any()
    assert bounding_box(found.mask) == (0, 0, right - left, bottom - top)
    assert (found.id, found.label, found.score) == (1, "bird", 0.9)
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(instance.mask, before[1])


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 99), radius_px=st.integers(5, 40))
def test_the_inside_stays_whatever_the_photo_shows(seed, radius_px):
    image = np.random.default_rng(seed).integers(0, 256, (100, 90, 3), np.uint8)
    mask = disc((100, 90), radius_px)
    found = on_photo(refine_outline(image, instance_of(mask)), mask.shape)
    deep = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5) > 2 + 0.1 * radius_px
    assert found[deep].all()


@settings(deadline=None, max_examples=20)
@given(size_hw=sizes, level=st.integers(0, 255), data=st.data())
def test_a_uniform_photo_changes_nothing(size_hw, level, data):
    mask = data.draw(hnp.arrays(np.bool_, size_hw))
    assume(mask.any())
    image = np.full((*size_hw, 3), level, np.uint8)
    found = on_photo(refine_outline(image, instance_of(mask)), size_hw)
    np.testing.assert_array_equal(found, mask)


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 300), (300, 1), (20, 20)])
def test_an_object_that_is_the_whole_photo_stays(size_hw):
    mask = np.ones(size_hw, np.bool_)
    image = np.random.default_rng(1).integers(0, 256, (*size_hw, 3), np.uint8)
    assert on_photo(refine_outline(image, instance_of(mask)), size_hw).all()


def test_twice_the_same_gives_the_same():
    truth = disc((120, 160), 30)
    image, rough = rasterize(truth), instance_of(disc((120, 160), 35))
    first, second = refine_outline(image, rough), refine_outline(image, rough)
    np.testing.assert_array_equal(first.mask, second.mask)


def test_what_is_left_out_at_full_size_would_not_have_changed(monkeypatch):
    truth = disc((500, 640), 120) | disc((500, 640), 200) & (np.indices((500, 640))[0] % 90 < 20)
    image, rough = rasterize(truth), instance_of(disc((500, 640), 126))
    in_blocks = on_photo(refine_outline(image, rough), truth.shape)
    monkeypatch.setattr("cleanplate.segmentation.refinement._BLOCK_PX", 10_000)
    at_once = on_photo(refine_outline(image, rough), truth.shape)
    assert overlap(at_once, disc((500, 640), 126)) < 0.95
    assert overlap(in_blocks, at_once) > 0.999


# --- generated pictures


@pytest.mark.parametrize("error_px", [-5, -3, 3])
def test_an_outline_that_is_off_comes_to_lie_on_the_edge(error_px):
    truth = disc((200, 240), 45)
    rough = disc((200, 240), 45 + error_px)
    found = on_photo(refine_outline(rasterize(truth), instance_of(rough)), truth.shape)
    assert overlap(found, truth) > 0.97 > overlap(rough, truth) + 0.01


def test_an_outline_far_too_wide_is_left_rather_than_lost():
    truth, rough = disc((200, 240), 45), disc((200, 240), 52)
    found = on_photo(refine_outline(rasterize(truth), instance_of(rough)), truth.shape)
    assert (truth & ~found).sum() < 0.01 * truth.sum()
    assert found.sum() <= 1.02 * rough.sum()


@pytest.mark.parametrize(("scale", "width"), [(1, 3), (2, 3), (5, 3), (1, 12)])
def test_a_part_of_the_objects_colour_is_followed(scale, width):
    truth = disc((200, 240), 40)
    truth[40:70, 119 : 119 + width] = True  # 20 px above the disc
    truth = truth.repeat(scale, 0).repeat(scale, 1)
    rough = disc((200, 240), 41).repeat(scale, 0).repeat(scale, 1)
    found = on_photo(refine_outline(rasterize(truth), instance_of(rough)), truth.shape)
    part = truth & ~rough
    assert found[part].mean() > 0.8
    assert overlap(found, truth) > 0.95


def test_a_figure_of_which_the_core_was_found_is_whole_up_to_its_raised_arm():
    """As against the light: the arm, beside the mask, is background of its own colours at first."""
    figure = np.zeros((260, 180), np.bool_)
    figure[90:220, 60:120] = True
    figure[45:90, 64:78] = True  # an arm
    core = np.zeros_like(figure)
    core[100:210, 72:108] = True
    found = on_photo(refine_outline(rasterize(figure), instance_of(core)), figure.shape)
    assert overlap(found, figure) > 0.97


def test_a_line_that_goes_on_through_the_photo_is_not_the_objects():
    truth = disc((200, 240), 40)
    line = np.zeros_like(truth)
    line[99:102] = True
    found = on_photo(
        refine_outline(rasterize(truth | line), instance_of(disc((200, 240), 42))), (200, 240)
    )
    off = line & ~disc((200, 240), 60)
    assert found[off].mean() < 0.05


def test_a_neighbour_of_the_same_colour_is_not_swallowed():
    truth = disc((200, 300), 40)
    image = rasterize(truth | (np.indices((200, 300))[1] > 200))
    rough = disc((200, 300), 42)
    found = on_photo(refine_outline(image, instance_of(rough)), truth.shape)
    assert found.sum() < 1.15 * truth.sum()


def seen_as(probability):
    """Return a `complete` of a network that says this of the whole photo, and completes nothing."""
    height, width = probability.shape
    box = (0, 0, width, height)
    return lambda _, instance: Completed(instance, box, probability.astype(np.float32))


def test_the_objects_colour_does_not_spread_to_where_the_network_sees_nothing_of_it():
    truth, floor = disc((200, 300), 40), np.zeros((200, 300), np.bool_)
    floor[115:150, 185:215] = True  # of its colour, and touches it
    image, rough = rasterize(truth | floor), disc((200, 300), 42)
    beside = floor & ~disc((200, 300), 46)
    alone = on_photo(refine_outline(image, instance_of(rough)), truth.shape)
    assert alone[beside].mean() > 0.9
    asked = on_photo(refine_outline(image, instance_of(rough), seen_as(rough * 0.98)), truth.shape)
    assert asked[beside].mean() < 0.05
    assert overlap(asked, truth) > 0.97


@pytest.mark.parametrize("width", [3, 4])
def test_a_thin_part_stays_that_the_network_does_not_see(width):
    truth = disc((200, 240), 40)
    truth[40:70, 119 : 119 + width] = True
    rough = disc((200, 240), 41)
    asked = refine_outline(rasterize(truth), instance_of(rough), seen_as(rough * 0.98))
    assert on_photo(asked, truth.shape)[truth & ~rough].mean() > 0.8


def test_a_part_stays_that_reaches_beyond_what_the_network_looked_at():
    truth = disc((260, 240), 40)
    truth[50:110, 110:130] = True  # an arm, as thick as a floor may be
    rough = disc((260, 240), 41)
    near = (60, 88, 180, 200)
    said = np.where(truth, 0.98, 0.02)[near[1] : near[3], near[0] : near[2]].astype(np.float32)
    asked = refine_outline(
        rasterize(truth), instance_of(rough), lambda _, found: Completed(found, near, said)
    )
    assert on_photo(asked, truth.shape)[60:88, 112:128].mean() > 0.9


@pytest.mark.parametrize("radius_px", [36, 38, 40])
def test_where_colours_do_not_tell_more_is_its_own_the_surer_the_network_is(radius_px):
    truth, rough = disc((200, 240), 45), disc((200, 240), radius_px)
    fading = np.clip((160 - np.arange(240)) / 40, 0, 1)[None, :, None]  # into its surroundings
    image = rasterize(truth) * fading + rasterize(np.zeros_like(truth)) * (1 - fading)
    faint = truth & (np.indices(truth.shape)[1] > 150)
    shares = []
    for said in (0.05, 0.5, 0.98):
        probability = np.where(faint, said, np.where(truth, 0.98, 0.02))
        asked = refine_outline(image.astype(np.uint8), instance_of(rough), seen_as(probability))
        shares.append(on_photo(asked, truth.shape)[faint & ~rough].mean())
    assert shares[0] + 0.03 < shares[1] < shares[2] - 0.2


@given(
    own=st.tuples(*[st.integers(0, 8)] * 2, *[st.integers(1, 8)] * 2),
    other=st.tuples(*[st.integers(0, 8)] * 2, *[st.integers(1, 8)] * 2),
)
def test_what_the_network_says_is_read_in_any_box(own, other):
    boxes = [(left, top, left + width, top + height) for left, top, width, height in (own, other)]
    everywhere = np.full((20, 20), 0.25, np.float32)
    (x0, y0, x1, y1), (left, top, right, bottom) = boxes
    probability = np.random.default_rng(0).random((y1 - y0, x1 - x0), np.float32)
    everywhere[y0:y1, x0:x1] = probability
    completed = Completed(instance_of(np.ones((1, 1), np.bool_)), boxes[0], probability)
    assert (completed.probability_in(boxes[1]) == everywhere[top:bottom, left:right]).all()


def test_a_large_photo_is_followed_at_its_own_resolution():
    truth = disc((1200, 1500), 300)
    rough = disc((1200, 1500), 318)
    found = on_photo(refine_outline(rasterize(truth), instance_of(rough)), truth.shape)
    assert overlap(found, truth) > 0.985


# --- wrong arguments


def test_a_box_outside_the_photo_is_refused():
    instance = Instance(1, "bird", 0.9, (5, 5, 15, 15), np.ones((10, 10), np.bool_))
    with pytest.raises(InputError, match=r"\(5, 5, 15, 15\).*12x10 px"):
        refine_outline(np.zeros((10, 12, 3), np.uint8), instance)


def test_a_mask_of_another_size_than_its_box_is_refused():
    instance = Instance(1, "bird", 0.9, (0, 0, 5, 5), np.ones((4, 5), np.bool_))
    with pytest.raises(InputError, match=r"mask \(4, 5\)"):
        refine_outline(np.zeros((10, 12, 3), np.uint8), instance)


def test_a_float_image_is_refused():
    with pytest.raises(InputError, match="float64"):
        refine_outline(np.zeros((4, 4, 3)), instance_of(np.ones((4, 4), np.bool_)))  # type: ignore[arg-type]


# --- the guided filter


def test_the_filter_gives_back_what_is_linear_in_the_colours():
    image = np.random.default_rng(3).integers(0, 256, (40, 50, 3), np.uint8)
    target = (image.astype(np.float32) / 255) @ np.array([0.3, 0.5, -0.2], np.float32) + 0.1
    guide = ColourGuide.of(image, 4, eps=1e-6)
    np.testing.assert_allclose(
        apply_coefficients(guide.fit(target), guide.colour), target, atol=1e-2
    )


def test_without_edges_the_filter_is_a_box_filter_twice():
    image = np.full((30, 30, 3), 90, np.uint8)
    target = np.random.default_rng(3).random((30, 30), np.float32)
    guide = ColourGuide.of(image, 3, eps=1e-3)
    smooth = apply_coefficients(guide.fit(target), guide.colour)
    np.testing.assert_allclose(smooth, box_mean(box_mean(target, 3), 3), atol=1e-3)
    assert math.isclose(float(box_mean(np.ones((5, 5), np.float32), 9).mean()), 1.0, rel_tol=1e-5)


# --- masks of the user's that are too small


@pytest.mark.parametrize("missed_px", [1, 2, 4])
def test_what_a_mask_missed_of_its_object_all_round_is_measured(missed_px):
    photo = cv2.GaussianBlur(rasterize(disc((160, 160), 45)), (0, 0), 0.7)
    tight = instance_of(disc((160, 160), 45 - missed_px))
    assert missed_px <= missed_rim_px(photo, tight) <= missed_px + 3


@pytest.mark.parametrize("beyond_px", [0, 2, 8])
def test_a_mask_that_holds_its_object_misses_nothing(beyond_px):
    photo = cv2.GaussianBlur(rasterize(disc((160, 160), 45)), (0, 0), 0.7)
    assert missed_rim_px(photo, instance_of(disc((160, 160), 45 + beyond_px))) == 0


def test_a_mask_somewhere_on_a_texture_misses_nothing():
    rng = np.random.default_rng(2)
    blobs = cv2.GaussianBlur(rng.normal(0, 300, (160, 160, 3)).astype(np.float32), (0, 0), 4)
    photo = np.clip(128 + blobs, 0, 255).astype(np.uint8)
    assert missed_rim_px(photo, instance_of(disc((160, 160), 45))) == 0


def test_an_edge_on_one_side_only_is_no_rim():
    photo = rasterize(disc((160, 160), 45))
    photo[:, 78:] = photo[:, :82][:, ::-1]
    half = disc((160, 160), 45) & (np.arange(160) < 60)
    assert missed_rim_px(photo, instance_of(half)) == 0


@pytest.mark.parametrize("value", [0, 200])
def test_in_a_uniform_photo_no_rim_is_missed(value):
    photo = np.full((60, 80, 3), value, np.uint8)
    assert missed_rim_px(photo, instance_of(disc((60, 80), 20))) == 0
    assert missed_rim_px(photo, instance_of(np.ones((60, 80), np.bool_))) == 0
