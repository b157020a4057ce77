"""Measures: their known values, their order, and what they refuse."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanplate.errors import InputError
from cleanplate.evaluation.features import FeatureExtractor
from cleanplate.evaluation.metrics import (
    bootstrap_interval,
    context_similarity,
    perceptual_distance,
    psnr_db,
    seam_ratio,
    sharpness_ratio,
    ssim,
)


@pytest.fixture
def hole():
    mask = np.zeros((512, 512), np.bool_)
    mask[160:300, 200:380] = True
    return mask


@given(level=st.integers(0, 254))
def test_psnr_of_one_level_off_is_known(level):
    truth = np.full((8, 9, 3), level, np.uint8)
    assert psnr_db(truth + np.uint8(1), truth, np.ones((8, 9), np.bool_)) == pytest.approx(
        20 * math.log10(255)
    )
    assert psnr_db(truth, truth, np.ones((8, 9), np.bool_)) == 100


def test_only_the_hole_counts(gravel, hole):
    other = np.where(hole[..., None], gravel, 255 - gravel)
    assert psnr_db(other, gravel, hole) == 100
    inner = cv2.erode(hole.astype(np.uint8), np.ones((13, 13))) > 0
    assert ssim(other, gravel, inner) == pytest.approx(1, abs=1e-5)


@pytest.mark.slow
def test_blur_lowers_ssim_and_sharpness_and_raises_the_perceptual_distance(gravel, hole):
    features = FeatureExtractor(device="cpu")
    truth = features.maps(gravel)
    blurred = [
        np.where(hole[..., None], cv2.GaussianBlur(gravel, (0, 0), sigma), gravel)
        for sigma in (1, 4)
    ]
    similar = [ssim(image, gravel, hole) for image in (gravel, *blurred)]
    sharp = [sharpness_ratio(image, hole) for image in (gravel, *blurred)]
    distance = [perceptual_distance(features.maps(i), truth, hole) for i in (gravel, *blurred)]
    assert similar == sorted(similar, reverse=True)
    assert sharp == sorted(sharp, reverse=True)
    assert sharp[0] == pytest.approx(1, abs=0.1)
    assert sharp[-1] < 0.3
    assert distance == sorted(distance)
    assert distance[0] == 0


def test_a_step_at_the_border_is_a_seam(gravel, hole):
    shifted = np.where(hole[..., None], np.clip(gravel.astype(int) + 60, 0, 255), gravel)
    assert seam_ratio(gravel, hole) == pytest.approx(1, abs=0.1)
    assert seam_ratio(shifted.astype(np.uint8), hole) > 1.5


def test_the_interval_holds_the_mean_and_is_the_same_each_time(rng):
    values = [*rng.normal(5, 1, 200).tolist(), math.nan]
    low, high = bootstrap_interval(values)
    assert low < 5.1
    assert high > 4.9
    assert 0.1 < high - low < 0.5
    assert (low, high) == bootstrap_interval(values)


def test_an_empty_hole_is_refused(gravel):
    nothing = np.zeros(gravel.shape[:2], np.bool_)
    for measure in (sharpness_ratio, seam_ratio):
        with pytest.raises(InputError, match="empty"):
            measure(gravel, nothing)
    with pytest.raises(InputError, match="empty"):
        perceptual_distance([], [], nothing)
    with pytest.raises(InputError):
        bootstrap_interval([math.nan])


def test_features_have_the_strides_they_say(cat):
    maps = FeatureExtractor(device="cpu").maps(cat)
    height, width = cat.shape[:2]
    assert [m.shape[1:] for m in maps] == [
        (math.ceil(height / s), math.ceil(width / s)) for s in (2, 4, 8, 16)
    ]


def test_similarity_is_the_cosine_of_what_is_wholly_inside_and_outside():
    mask = np.zeros((64, 64), np.bool_)
    mask[16:40, 16:48] = True
    features = np.zeros((2, 4, 4), np.float32)
    features[0] = 1
    assert context_similarity(features, mask) == pytest.approx(1)
    features[:, 1, 1:3] = np.array([0, 1])[:, None]  # the cells that lie wholly in the hole
    features[:, 2, 1:3] = 7  # the cells that it covers half count for neither
    assert context_similarity(features, mask) == pytest.approx(0)
    features[0, 1, 1:3] = -1
    features[1, 1, 1:3] = 0
    assert context_similarity(features, mask) == pytest.approx(-1)


def test_similarity_needs_an_inside_and_an_outside():
    features = np.ones((3, 4, 4), np.float32)
    assert math.isnan(context_similarity(features, np.ones((64, 64), np.bool_)))
    small = np.zeros((64, 64), np.bool_)
    small[3:9, 3:9] = True
    assert math.isnan(context_similarity(features, small))
