"""Every segmenter keeps the contract of cleanplate/segmentation/base.py."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleanplate.errors import InputError, UnknownNameError


# Networks that are not built in are held to it in test_segmenters_noisy_networks.py.
@pytest.fixture(scope="module", params=["fake", "deeplab"])
def segmenter(request, fake_segmenter_class):
    if request.param == "fake":
        return fake_segmenter_class()
    return request.getfixturevalue("deeplab")


@pytest.fixture(scope="module")
def material(astronaut, cat):
    """Return photos to cut pieces from: two real ones, and coloured blots for the fake."""
    blots = np.random.default_rng(1).integers(0, 2, (12, 18, 3)).astype(np.uint8) * 255
    return astronaut, cat, cv2.resize(blots, (180, 120), interpolation=cv2.INTER_NEAREST)


def check(segmenter, image, labels):
    before = image.copy()

    found = segmenter.segment(image, labels)

    np.testing.assert_array_equal(image, before, err_msg="the input was modified")
    height, width = image.shape[:2]
    times = np.zeros((height, width), int)
    for instance in found:
        left, top, right, bottom = instance.box_xyxy
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        assert (instance.mask.shape, instance.mask.dtype) == ((bottom - top, right - left), bool)
        for edge in (instance.mask[0], instance.mask[-1], instance.mask[:, 0]):
            assert edge.any(), "the box is not tight"
        assert instance.mask[:, -1].any(), "the box is not tight"
        assert instance.label in labels
        assert 0 < instance.score <= 1
        times[top:bottom, left:right] += instance.mask
    assert times.max(initial=0) <= 1, "two objects share a pixel"
    assert [instance.id for instance in found] == list(range(1, len(found) + 1))
    areas = [instance.area_px for instance in found]
    assert areas == sorted(areas, reverse=True)
    return found


@settings(max_examples=10)
@given(data=st.data(), seed=st.integers(0, 999))
def test_holds_for_small_and_odd_sizes(segmenter, material, data, seed):
    rng = np.random.default_rng(seed)
    source = material[data.draw(st.integers(0, len(material) - 1))]
    height, width = data.draw(st.tuples(st.integers(1, 90), st.integers(1, 90)))
    top, left = rng.integers(source.shape[0] - height), rng.integers(source.shape[1] - width)
    image = source[top : top + height, left : left + width]  # a view, not contiguous
    chosen = data.draw(st.lists(st.sampled_from(segmenter.labels), max_size=3, unique=True))
    check(segmenter, image, chosen)


@pytest.mark.parametrize(
    "size_hw", [(1, 1), (1, 2), (3, 1), (8, 600), (600, 8), (1, 700), (33, 31), (301, 97)]
)
@pytest.mark.slow
def test_holds_for_extreme_sizes(segmenter, cat, size_hw):
    for image in (
        cv2.resize(cat, size_hw[::-1], interpolation=cv2.INTER_AREA),
        np.zeros((*size_hw, 3), np.uint8),
        np.full((*size_hw, 3), 255, np.uint8),
    ):
        check(segmenter, image, segmenter.labels)


def test_holds_for_a_panorama_with_tiles(segmenter, cat):
    panorama = np.tile(cat[60:124], (1, 4, 1))  # 64 x 1804
    check(segmenter, panorama, segmenter.labels)


def test_read_only_and_fortran_arrays_will_do(segmenter, cat):
    check(segmenter, np.asfortranarray(cat[:90, :120]), segmenter.labels)
    image = cat[:90, :120].copy()
    image.flags.writeable = False
    check(segmenter, image, segmenter.labels)


def test_nothing_asked_nothing_found(segmenter, cat):
    assert segmenter.segment(cat, []) == []


def test_the_same_photo_gives_the_same_objects(segmenter, astronaut):
    first, second = (segmenter.segment(astronaut[::2, ::2], segmenter.labels) for _ in range(2))
    assert [(x.label, x.score, x.box_xyxy) for x in first] == [
        (x.label, x.score, x.box_xyxy) for x in second
    ]
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.mask, other.mask)


@pytest.mark.parametrize("word", ["dragon", "Person", "", "background", "people"])
def test_a_label_it_does_not_know_is_refused(segmenter, cat, word):
    with pytest.raises(UnknownNameError, match=f"unknown label '{word}'; known: .*person"):
        segmenter.segment(cat, ["person", word])


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 6), np.uint8),
        np.zeros((4, 6, 4), np.uint8),
        np.zeros((4, 6, 3), np.float32),
        np.zeros((0, 6, 3), np.uint8),
    ],
    ids=["grey", "alpha", "float", "empty"],
)
def test_other_arrays_are_refused(segmenter, image):
    with pytest.raises(InputError, match="image must be"):
        segmenter.segment(image, ["person"])


def test_says_what_it_is(segmenter):
    assert segmenter.name
    assert segmenter.provider
    assert len(set(segmenter.labels)) == len(segmenter.labels) > 0
