"""Faint shadows lit again: made ones, whose ground is known."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleanplate.inpainting import inpaint_holes
from cleanplate.inpainting.relighting import light_shadows
from cleanplate.ops import dilate

SIZE_HW = (240, 320)


def ground(kind, size_hw=SIZE_HW):
    """Return (H, W, 3) uint8: stripes, tiles or grain."""
    down, across = np.indices(size_hw)
    if kind == "stripes":
        pattern = 80 + 110 * ((across + down // 3) // 24 % 2)
    elif kind == "tiles":
        pattern = 150 + 40 * ((across // 40 + down // 30) % 2)
    else:
        pattern = np.full(size_hw, 140)
    grain = np.random.default_rng(1).normal(0, 3, (*size_hw, 3))
    return np.clip(pattern[..., None] * (1.0, 0.97, 0.9) + grain, 0, 255).astype(np.uint8)


def shaded(kind, factor, blur_px=3.0):
    """Return a photo with a shadow below a thing, the ground, the hole, and the effects in it."""
    truth = ground(kind)
    shadow = np.zeros(SIZE_HW, np.float32)
    cv2.ellipse(shadow, (190, 150), (70, 26), 12, 0, 360, 1, -1)
    share = cv2.GaussianBlur(shadow, (0, 0), blur_px)[..., None]
    photo = truth * (1 - share * (1 - np.array([factor, factor * 1.02, factor * 1.05])))
    thing = np.zeros(SIZE_HW, np.bool_)
    thing[60:150, 110:135] = True
    photo[thing] = (200, 30, 30)
    effects = dilate(share[..., 0] > 0.1, 3) & ~dilate(thing, 4)
    hole = dilate(thing, 4) | effects
    return photo.astype(np.uint8), truth, hole, effects


@pytest.mark.parametrize("kind", ["stripes", "tiles"])
@pytest.mark.parametrize("factor", [0.55, 0.7, 0.85, 1.0])
def test_ground_in_a_faint_shadow_is_as_bright_as_beside_it(kind, factor):
    photo, truth, hole, effects = shaded(kind, factor)
    lit = light_shadows(photo, hole, effects, ~hole)
    assert lit is not None
    image, where = lit
    assert where.mean() > 0.7 * effects.mean()
    assert not (where & ~effects).any()
    assert (image[~where] == photo[~where]).all()
    before, after = (np.abs(it[where].astype(int) - truth[where]).mean() for it in (photo, image))
    assert after < max(8, 0.35 * before)


@pytest.mark.parametrize("factor", [0.1, 0.3])
def test_a_deep_shadow_is_left_to_the_network(factor):
    photo, _, hole, effects = shaded("tiles", factor)
    assert light_shadows(photo, hole, effects, ~hole) is None


@pytest.mark.parametrize("kind", ["grain", "tiles"])
def test_a_reflection_is_no_ground(kind):
    """It shows something else: brighter, or with more in it than there is beside it."""
    photo, _, hole, effects = shaded(kind, 0.8)
    for pattern in (np.full(SIZE_HW, 235), 40 + 180 * (np.indices(SIZE_HW)[0] // 6 % 2)):
        mirrored = np.where(effects[..., None], pattern[..., None], photo).astype(np.uint8)
        assert light_shadows(mirrored, hole, effects, ~hole) is None


def test_it_is_compared_with_what_may_be_copied_alone():
    photo, _, hole, effects = shaded("grain", 0.7)
    beside = dilate(hole, 14) & ~hole
    photo[beside] = (20, 20, 20)  # as by another object, which stays
    lit = light_shadows(photo, hole, effects, ~hole & ~beside)
    assert lit is not None
    assert abs(lit[0][lit[1]].mean() - ground("grain").mean()) < 12


@settings(deadline=None, max_examples=30)
@given(
    size_hw=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    seed=st.integers(0, 99),
    share=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_nothing_but_effects_changes_whatever_the_masks(size_hw, seed, share):
    rng = np.random.default_rng(seed)
    photo = rng.integers(0, 256, (*size_hw, 3), np.uint8)
    hole, effects, sources = (
        cv2.resize(rng.random((4, 4)), size_hw[::-1]) < limit for limit in (0.6, share, 0.8)
    )
    before = photo.copy()
    lit = light_shadows(photo, hole, effects, sources & ~hole)
    assert (photo == before).all()
    if lit is not None:
        assert not (lit[1] & ~(effects & hole)).any()
        assert (lit[0][~lit[1]] == photo[~lit[1]]).all()


class Grey:
    """Fills with grey, and keeps what it was shown."""

    name, provider, working_size, reach_px = "grey", "test", 256, None

    def __init__(self):
        self.holes = []

    def inpaint(self, image, mask):
        self.holes.append(mask)
        return np.where(mask[..., None], np.uint8(128), image).astype(np.uint8)


@pytest.mark.parametrize("wraps", [False, True])
def test_what_goes_on_in_a_shadow_goes_on_in_its_fill(wraps):
    photo, truth, hole, effects = shaded("stripes", 0.7)
    errors = {}
    for known in (None, effects):
        inpainter = Grey()
        filled = inpaint_holes(photo, hole, inpainter, effects=known, wraps=wraps)
        assert (filled[~hole] == photo[~hole]).all()
        errors[known is None] = np.abs(filled[effects].astype(int) - truth[effects]).mean()
    assert errors[False] < 0.75 * errors[True]


def test_without_texture_the_fill_is_the_networks():
    photo, _, hole, effects = shaded("stripes", 0.7)
    plain = inpaint_holes(photo, hole, Grey(), texture=False)
    assert (inpaint_holes(photo, hole, Grey(), effects=effects, texture=False) == plain).all()
