"""The edges are scikit-image's, pixel for pixel: published networks were trained with those."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.color import rgb2gray
from skimage.feature import canny

from cleanplate.inpainting.models.canny import canny_edges, grey_of

PHOTOS = ["coffee", "rocket"]


def masks_of(size_hw, rng):
    height, width = size_hw
    everything = np.ones(size_hw, np.bool_)
    box = everything.copy()
    box[height // 4 : height // 2, width // 3 : width // 2] = False
    at_the_border = everything.copy()
    at_the_border[: height // 3, : width // 5] = at_the_border[-7:] = False
    return [everything, box, at_the_border, rng.random(size_hw) > 0.02]


@pytest.mark.parametrize("name", PHOTOS)
def test_grey_and_edges_of_photos_are_those_of_skimage(request, name, rng):
    photo = request.getfixturevalue(name)
    grey = grey_of(photo)
    np.testing.assert_array_equal(grey, rgb2gray(photo))
    for known in masks_of(grey.shape, rng):
        edges = canny_edges(grey, known)
        assert edges.dtype == np.bool_
        assert edges.any()
        np.testing.assert_array_equal(edges, canny(grey, sigma=2, mask=known))


@settings(max_examples=20)
@given(
    size_hw=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    levels=st.integers(2, 200),
    seed=st.integers(0, 999),
)
def test_edges_of_noise_of_any_size_are_those_of_skimage(size_hw, levels, seed):
    rng = np.random.default_rng(seed)
    grey = rng.integers(0, levels, size_hw) / (levels - 1)
    known = rng.random(size_hw) > 0.1
    np.testing.assert_array_equal(canny_edges(grey, known), canny(grey, sigma=2, mask=known))


def test_flat_images_steps_and_unknown_ones():
    everything = np.ones((40, 60), np.bool_)
    flat = np.full((40, 60), 0.5)
    step = flat.copy()
    step[:, 30:] = 1
    assert not canny_edges(flat, everything).any()
    assert canny_edges(step, everything)[5:-5].sum(axis=1).min() >= 1
    assert not canny_edges(step, np.zeros((40, 60), np.bool_)).any()


def test_what_is_unknown_has_no_influence_and_gets_no_edge(astronaut, rng):
    grey = grey_of(astronaut)
    known = np.ones(grey.shape, np.bool_)
    known[100:300, 150:400] = False
    other = np.where(known, grey, rng.random(grey.shape))
    edges = canny_edges(grey, known)
    np.testing.assert_array_equal(canny_edges(other, known), edges)
    assert not edges[99:301, 149:401].any()
