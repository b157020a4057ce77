"""`transfer_texture` gives a smooth fill the grain of the photo, and touches nothing else."""

import cv2
import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import skimage
from hypothesis import given, settings
from hypothesis import strategies as st

from cleanplate.evaluation.metrics import seam_ratio, sharpness_ratio
from cleanplate.inpainting import patchmatch
from cleanplate.inpainting import texture_transfer as texture
from cleanplate.inpainting.texture_transfer import RIM_PX, transfer_texture
from cleanplate.ops.blending import paste

SIZES_HW = st.tuples(st.integers(1, 70), st.integers(1, 70))


def grain(image, part):
    """Deviation of the finest detail inside a part of an image."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float(cv2.Laplacian(grey, cv2.CV_32F)[part].std())


def rough_ground(height, width, seed=0):
    """Gravel: noise of two scales on a slope of colour."""
    rng = np.random.default_rng(seed)
    fine = rng.normal(0, 18, (height, width, 1))
    coarse = cv2.resize(rng.normal(0, 18, (height // 8, width // 8)), (width, height))[..., None]
    slope = np.linspace(90, 150, width)[None, :, None] + np.array([0, 8, -8])
    return np.clip(slope + fine + coarse, 0, 255).astype(np.uint8)


@pytest.fixture
def gravel():
    """A photo of gravel, its hole, and what a network would make of it: only the slow part."""
    photo = rough_ground(480, 640)
    hole = np.zeros((480, 640), np.bool_)
    hole[180:300, 240:400] = True
    smooth = cv2.GaussianBlur(photo, (0, 0), 20)
    return photo, hole, np.where(hole[..., None], smooth, photo)


@settings(max_examples=20)
@given(data=st.data(), hw=SIZES_HW)
def test_keeps_shape_inputs_and_all_beyond_the_rim(data, hw):
    image = data.draw(hnp.arrays(np.uint8, (*hw, 3)))
    hole = data.draw(hnp.arrays(np.bool_, hw))
    sources = data.draw(hnp.arrays(np.bool_, hw))
    fill = np.where(hole[..., None], np.uint8(99), image)
    before = [array.copy() for array in (image, fill, hole, sources)]

    result = transfer_texture(image, fill, hole, sources)

    assert (result.shape, result.dtype) == (image.shape, np.uint8)
    beyond = cv2.dilate(hole.astype(np.uint8), np.ones((2 * RIM_PX + 1,) * 2)) == 0
    np.testing.assert_array_equal(result[beyond], image[beyond])
    for array, copy in zip((image, fill, hole, sources), before, strict=True):
        np.testing.assert_array_equal(array, copy, err_msg="an input was modified")


def test_a_smooth_fill_gets_the_grain_of_its_surroundings(gravel):
    photo, hole, fill = gravel
    inner = cv2.erode(hole.astype(np.uint8), np.ones((9, 9))) > 0
    result = transfer_texture(photo, fill, hole, ~hole)
    true = grain(photo, inner)
    assert grain(fill, inner) < 0.1 * true
    assert 0.7 * true < grain(result, inner) < 1.3 * true


def test_in_one_texture_a_fill_that_hardly_fits_still_becomes_rough(monkeypatch):
    """Gravel has no outlines that a network could guess: all of it suits."""
    photo = np.repeat(skimage.data.gravel()[100:400, 100:400, None], 3, axis=2)
    hole = cv2.circle(np.zeros(photo.shape[:2], np.uint8), (150, 150), 60, 1, -1) > 0
    tinted = np.clip(cv2.GaussianBlur(photo, (0, 0), 15) + np.array([10.0, 0, -10]), 0, 255)
    fill = np.where(hole[..., None], tinted, photo).astype(np.uint8)
    rough = grain(transfer_texture(photo, fill, hole, ~hole), hole)
    assert rough > 0.85 * grain(photo, hole)
    monkeypatch.setattr(patchmatch, "_UNIFORM_SHARE", (-1, 0))  # no texture is uniform
    assert rough > 1.03 * grain(transfer_texture(photo, fill, hole, ~hole), hole)


def test_slow_colours_stay_those_of_the_fill(gravel):
    photo, hole, fill = gravel
    result = transfer_texture(photo, fill, hole, ~hole)
    blurred = [cv2.GaussianBlur(array.astype(np.float32), (0, 0), 24) for array in (result, fill)]
    assert np.abs(blurred[0] - blurred[1])[hole].mean() < 6


def test_what_lies_under_the_hole_has_no_influence(gravel):
    photo, hole, fill = gravel
    other = photo.copy()
    other[hole] = 255 - other[hole]
    np.testing.assert_array_equal(
        transfer_texture(photo, fill, hole, ~hole), transfer_texture(other, fill, hole, ~hole)
    )


def test_another_seed_gives_another_texture_as_rough():
    photo = rough_ground(96, 96)
    hole = np.zeros((96, 96), np.bool_)
    hole[36:60, 36:60] = True
    fill = np.where(hole[..., None], cv2.GaussianBlur(photo, (0, 0), 6), photo)
    first, other = (
        transfer_texture(photo, fill, hole, ~hole, seed=seed)[hole].astype(int) for seed in (0, 1)
    )
    assert np.abs(first - other).mean() > 5
    assert other.std() == pytest.approx(first.std(), rel=0.1)


def test_only_allowed_sources_are_copied(gravel):
    photo, hole, fill = gravel
    sources = ~hole
    sources[:, 420:] = False  # another object that is to be removed, bright green
    photo, fill = photo.copy(), fill.copy()
    photo[:, 420:] = fill[:, 420:] = (0, 255, 0)
    result = transfer_texture(photo, fill, hole, sources)
    assert np.abs(result[hole].astype(int) - (0, 255, 0)).max(axis=1).min() > 60


def test_a_fill_that_resembles_nothing_keeps_its_colours_and_gets_the_photos_noise(gravel):
    photo, hole, fill = gravel
    blue = np.where(hole[..., None], np.array([60, 60, 220], np.uint8), fill)
    result = transfer_texture(photo, blue, hole, ~hole)
    inner = cv2.erode(hole.astype(np.uint8), np.ones((41, 41))) > 0
    assert np.abs(result[inner].mean(axis=0) - (60, 60, 220)).max() < 2
    assert 0.7 * grain(photo, inner) < grain(result, inner) < 1.3 * grain(photo, inner)


def test_on_flat_ground_nothing_gets_noise():
    photo = np.full((300, 300, 3), 128, np.uint8)
    hole = np.zeros((300, 300), np.bool_)
    hole[100:200, 100:200] = True
    blue = np.where(hole[..., None], np.array([60, 60, 220], np.uint8), photo)
    result = transfer_texture(photo, blue, hole, ~hole)
    inner = cv2.erode(hole.astype(np.uint8), np.ones((41, 41))) > 0
    assert np.abs(result[inner].astype(int) - (60, 60, 220)).max() <= 1


@pytest.mark.parametrize("size_hw", [(480, 640), (1200, 1600)])
@pytest.mark.slow
def test_works_at_any_scale(size_hw):
    photo = rough_ground(*size_hw, seed=1)
    hole = np.zeros(size_hw, np.bool_)
    hole[size_hw[0] // 3 : size_hw[0] // 2, size_hw[1] // 3 : size_hw[1] // 2] = True
    fill = np.where(hole[..., None], cv2.GaussianBlur(photo, (0, 0), 25), photo)
    inner = cv2.erode(hole.astype(np.uint8), np.ones((15, 15))) > 0
    result = transfer_texture(photo, fill, hole, ~hole)
    assert grain(result, inner) > 0.7 * grain(photo, inner)


def test_copied_grain_meets_the_photo_without_a_seam(gravel):
    photo, hole, fill = gravel
    result = paste(photo, transfer_texture(photo, fill, hole, ~hole), hole)

    assert seam_ratio(result, hole) < 1.1
    assert 0.8 < sharpness_ratio(result, hole) < 1.2


@pytest.mark.slow
def test_copying_in_blocks_is_copying_at_once(gravel, monkeypatch):
    photo, hole, fill = gravel
    in_blocks = transfer_texture(photo, fill, hole, ~hole).astype(int)
    monkeypatch.setattr(texture, "_MIN_BLOCK_PX", 10_000)
    at_once = transfer_texture(photo, fill, hole, ~hole)
    difference = np.abs(in_blocks - at_once)
    assert difference.max() <= 3  # positions are rounded from another origin
    assert np.count_nonzero(difference) < 0.01 * hole.sum()


def test_on_two_cores_it_is_the_same(gravel, monkeypatch):
    photo, hole, fill = gravel
    monkeypatch.setattr(texture, "_STRIP_PX", 160 * 16)
    results = []
    for cores in (1, 2):
        monkeypatch.setattr(cv2, "getNumThreads", lambda cores=cores: cores)
        results.append(transfer_texture(photo, fill, hole, ~hole))
    np.testing.assert_array_equal(*results)


def test_noise_is_measured_in_strips_as_in_one_piece():
    photo = rough_ground(700, 300)
    known = np.ones((700, 300), np.bool_)
    known[100:400, 90:200] = False
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine = grey - cv2.GaussianBlur(grey, (0, 0), 1)
    power = cv2.blur(fine * fine, (16, 16))[::16, ::16]
    whole = cv2.erode(known.astype(np.uint8), np.ones((16, 16), np.uint8))[::16, ::16] > 0
    expected = np.sqrt(np.quantile(power[whole], 0.1))
    assert texture.noise_level(photo, known, 1.0) == pytest.approx(expected, rel=1e-6)
