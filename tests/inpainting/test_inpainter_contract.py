"""Every inpainter keeps the contract of cleanplate/inpainting/base.py."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleanplate.errors import InputError, ShapeMismatchError
from cleanplate.hub.registry import MODELS, model_names
from cleanplate.inpainting import METHODS, create_inpainter
from cleanplate.inpainting.base import reach_of

SIZES_HW = st.tuples(st.integers(1, 75), st.integers(1, 75))  # not only multiples of 4
EXTREME_SIZES_HW = [(1, 1), (1, 2), (2, 1), (1, 90), (90, 1), (31, 33), (4, 257), (257, 30)]


def load(name, request):
    if name == "fake":
        return request.getfixturevalue("fake_inpainter_class")()
    if name == "edgeconnect.photos":
        return request.getfixturevalue("edgeconnect")
    if name in METHODS:
        return create_inpainter(name)
    return request.getfixturevalue("standin")(name)  # what its networks paint is no fill


# OSOR sees what it removes, and has tests of its own.
PUBLISHED = [n for n in model_names("inpainter") if not n.endswith(".own") and n != "osor.sdxl"]
ONE_A_FAMILY = {MODELS[name].family: name for name in PUBLISHED}.values()


@pytest.fixture(scope="module", params=["fake", *ONE_A_FAMILY, *METHODS])
def inpainter(request):
    return load(request.param, request)


@pytest.fixture(scope="module", params=["edgeconnect.photos", *METHODS])
def real_inpainter(request):
    return load(request.param, request)


def check(inpainter, image, mask):
    """Hold one call to the contract and return the result."""
    image_before, mask_before = image.copy(), mask.copy()

    filled = inpainter.inpaint(image, mask)

    assert (filled.shape, filled.dtype) == (image.shape, np.uint8)
    np.testing.assert_array_equal(filled[~mask], image[~mask])
    np.testing.assert_array_equal(image, image_before, err_msg="the input was modified")
    np.testing.assert_array_equal(mask, mask_before, err_msg="the mask was modified")
    assert not np.shares_memory(filled, image)
    return filled


@settings(max_examples=6)
@given(data=st.data(), size_hw=SIZES_HW)
def test_keeps_size_dtype_inputs_and_unmasked_pixels(inpainter, data, size_hw):
    image = data.draw(hnp.arrays(np.uint8, (*size_hw, 3)))
    mask = data.draw(hnp.arrays(np.bool_, size_hw))
    check(inpainter, image, mask)


@settings(max_examples=8)
@given(size_hw=SIZES_HW, seed=st.integers(0, 999), share=st.floats(0.05, 0.95))
@pytest.mark.slow
def test_what_is_in_the_hole_has_no_influence(inpainter, size_hw, seed, share):
    rng = np.random.default_rng(seed)
    image, other = rng.integers(0, 256, (2, *size_hw, 3)).astype(np.uint8)
    mask = rng.random(size_hw) < share
    mask[: size_hw[0] // 2, : size_hw[1] // 2] = True
    other[~mask] = image[~mask]
    np.testing.assert_array_equal(inpainter.inpaint(other, mask), inpainter.inpaint(image, mask))


def test_extreme_sizes(inpainter, rng):
    for size_hw in EXTREME_SIZES_HW:
        image, other = rng.integers(0, 256, (2, *size_hw, 3)).astype(np.uint8)
        mask = np.zeros(size_hw, np.bool_)
        np.testing.assert_array_equal(check(inpainter, image, mask), image)
        mask[size_hw[0] // 3 : size_hw[0] // 2 + 1, size_hw[1] // 3 : size_hw[1] // 2 + 1] = True
        check(inpainter, image, mask)
        mask[:] = True  # the result does not show the input
        np.testing.assert_array_equal(check(inpainter, image, mask), check(inpainter, other, mask))


def test_a_hole_at_every_border_and_corner(inpainter):
    ramp = np.linspace(60, 200, 61, dtype=np.uint8)
    image = np.broadcast_to(ramp[None, :, None], (45, 61, 3)).copy()
    for place in (np.s_[:9], np.s_[-9:], np.s_[:, :9], np.s_[:, -9:], np.s_[:9, :9], np.s_[-9:]):
        mask = np.zeros((45, 61), np.bool_)
        mask[place] = True
        filled = check(inpainter, np.where(mask[..., None], np.uint8(255), image), mask)
        assert filled[mask].max() < 250, "the paint of the hole shines through"


def test_arrays_of_any_layout_will_do(inpainter, rng):
    image = rng.integers(0, 256, (60, 80, 3)).astype(np.uint8)
    mask = np.zeros((60, 80), np.bool_)
    mask[20:40, 20:50] = True
    expected = check(inpainter, image, mask)
    frozen = image.copy()
    frozen.flags.writeable = False
    twice = np.repeat(np.repeat(image, 2, axis=0), 2, axis=1)
    for same in (frozen, np.asfortranarray(image), twice[::2, ::2]):
        np.testing.assert_array_equal(check(inpainter, same, np.asfortranarray(mask)), expected)


def test_the_same_hole_gives_the_same_fill(inpainter, cat):
    photo = np.ascontiguousarray(cat[60:188, 110:238])
    mask = np.zeros(photo.shape[:2], np.bool_)
    mask[40:90, 40:100] = True
    first, second = inpainter.inpaint(photo, mask), inpainter.inpaint(photo, mask)
    np.testing.assert_array_equal(first, second)


def test_says_that_a_mask_is_transposed(inpainter):
    image = np.zeros((4, 6, 3), np.uint8)
    with pytest.raises(ShapeMismatchError, match=r"got \(6, 4\).*transposed"):
        inpainter.inpaint(image, np.zeros((6, 4), np.bool_))


def test_other_arrays_are_refused(inpainter):
    for image, mask, match in [
        (np.zeros((4, 6), np.uint8), np.zeros((4, 6), np.bool_), "image must be"),
        (np.zeros((4, 6, 4), np.uint8), np.zeros((4, 6), np.bool_), "image must be"),
        (np.zeros((4, 6, 3), np.float32), np.zeros((4, 6), np.bool_), "float32"),
        (np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), np.uint8), "mask must be bool"),
    ]:
        with pytest.raises(InputError, match=match):
            inpainter.inpaint(image, mask)


def test_says_what_it_is(inpainter):
    assert inpainter.name
    assert inpainter.provider
    assert inpainter.working_size is None or inpainter.working_size >= 64
    assert reach_of(inpainter) is None or reach_of(inpainter) > 0


# --- behaviour


def error_of(filled, truth, mask):
    return np.abs(filled[mask].astype(int) - truth[mask]).mean()


def test_fills_a_ramp_better_than_the_mean_colour(real_inpainter):
    ramp = np.linspace(60, 200, 61, dtype=np.uint8)
    truth = np.broadcast_to(ramp[None, :, None], (45, 61, 3)).copy()
    mask = np.zeros((45, 61), np.bool_)
    mask[10:34, 10:34] = True
    holed = np.where(mask[..., None], np.uint8(0), truth)

    filled = real_inpainter.inpaint(holed, mask)

    mean = np.broadcast_to(truth[~mask].mean(axis=0), truth.shape)
    assert error_of(filled, truth, mask) < 0.25 * error_of(mean, truth, mask)


def test_colours_are_not_swapped(real_inpainter):
    truth = np.empty((64, 64, 3), np.uint8)
    truth[:] = (210, 120, 30)
    truth += np.random.default_rng(0).integers(0, 30, (64, 64, 1)).astype(np.uint8)
    mask = np.zeros((64, 64), np.bool_)
    mask[20:44, 20:44] = True
    filled = real_inpainter.inpaint(np.where(mask[..., None], np.uint8(255), truth), mask)
    np.testing.assert_allclose(filled[mask].mean(axis=0), (224.5, 134.5, 44.5), atol=25)
