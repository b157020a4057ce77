"""Every prompter keeps the contract of cleanplate/segmentation/interactive/prompts.py."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleanplate.errors import InputError
from cleanplate.hub import model_names


@pytest.fixture(scope="module", params=model_names("prompter"))
def prompter(request, stand_in):
    return stand_in(request.param)


def check(prompter, image, points=(), box_xyxy=None):
    """Hold one photo and one prompt to the contract and return the outline."""
    before = image.copy()

    prepared = prompter.set_image(image)
    features = [tensor.copy() for tensor in prepared.features]
    outline = prompter.predict(prepared, points=points, box_xyxy=box_xyxy)

    np.testing.assert_array_equal(image, before, err_msg="the photo was modified")
    for now, then in zip(prepared.features, features, strict=True):
        np.testing.assert_array_equal(now, then, err_msg="what was prepared was modified")
    assert prepared.size_hw == image.shape[:2]
    assert (outline.mask.shape, outline.mask.dtype) == (image.shape[:2], np.bool_)
    assert 0 <= outline.score <= 1
    return outline


@settings(max_examples=20)
@given(data=st.data(), seed=st.integers(0, 999))
def test_holds_for_small_and_odd_sizes(prompter, cat, data, seed):
    rng = np.random.default_rng(seed)
    height, width = data.draw(st.tuples(st.integers(1, 90), st.integers(1, 90)))
    top, left = rng.integers(cat.shape[0] - height), rng.integers(cat.shape[1] - width)
    image = cat[top : top + height, left : left + width]  # a view, not contiguous
    places = st.tuples(
        st.floats(0, width, exclude_max=True), st.floats(0, height, exclude_max=True), st.booleans()
    )
    points = data.draw(st.lists(places, max_size=4))
    box = None
    if not points or data.draw(st.booleans()):
        x = data.draw(st.tuples(st.integers(0, width - 1), st.integers(1, width)))
        y = data.draw(st.tuples(st.integers(0, height - 1), st.integers(1, height)))
        box = (x[0], y[0], max(x[0] + 1, x[1]), max(y[0] + 1, y[1]))
    check(prompter, image, points, box)


@pytest.mark.parametrize(
    "size_hw", [(1, 1), (1, 2), (3, 1), (1, 1500), (1500, 1), (1030, 1024), (33, 31), (301, 97)]
)
@pytest.mark.slow
def test_holds_for_extreme_sizes(prompter, cat, size_hw):
    image = cv2.resize(cat, size_hw[::-1], interpolation=cv2.INTER_AREA)
    height, width = size_hw
    corners = [(x, y, True) for x in (0, width - 1) for y in (0, height - 1)]
    for corner in corners:
        check(prompter, image, [corner])
    check(prompter, image, corners, (0, 0, width, height))


def test_read_only_and_fortran_arrays_will_do(prompter, cat):
    image = cat[:90, :120].copy()
    expected = check(prompter, image, [(60, 40, True)])
    image.flags.writeable = False
    for same in (image, np.asfortranarray(image), np.repeat(image, 2, axis=1)[:, ::2]):
        np.testing.assert_array_equal(check(prompter, same, [(60, 40, True)]).mask, expected.mask)


def test_the_object_is_where_the_point_is(prompter, cat):
    image = cat[:140]  # 140 x 451
    for x, y in [(30, 20), (400, 20), (30, 120), (400, 120), (225.5, 70.5)]:
        outline = check(prompter, image, [(x, y, True)])
        rows, columns = np.nonzero(outline.mask)
        assert outline.mask[int(y), int(x)]
        assert abs(np.median(columns) - x) < 60
        assert abs(np.median(rows) - y) < 30


def test_a_photo_is_prepared_once_for_any_number_of_outlines(prompter, cat):
    prepared = prompter.set_image(cat)
    prompts = [(x, y, True) for x in (20, 200, 430) for y in (20, 150, 280)]
    alone = [prompter.predict(prepared, points=[point]).mask for point in prompts]
    with ThreadPoolExecutor(4) as pool:
        together = pool.map(lambda point: prompter.predict(prepared, points=[point]).mask, prompts)
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


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
def test_other_arrays_are_refused(prompter, image):
    with pytest.raises(InputError, match="image must be"):
        prompter.set_image(image)


@pytest.mark.parametrize(
    ("x", "y"), [(6, 0), (0, 4), (-1, 2), (2, -0.5), (float("nan"), 1), (1, float("inf")), (5, 4)]
)
def test_a_point_outside_is_refused(prompter, x, y):
    prepared = prompter.set_image(np.zeros((4, 6, 3), np.uint8))
    match = rf"point \({x:g}, {y:g}\) is outside the photo.*6 x 4 px.* \[0, 6\)"
    with pytest.raises(InputError, match=match):
        prompter.predict(prepared, points=[(1, 1, True), (x, y, False)])


@pytest.mark.parametrize(
    "box", [(0, 0, 7, 4), (0, 0, 6, 5), (-1, 0, 6, 4), (3, 0, 3, 4), (4, 0, 3, 4), (0, 2, 6, 1)]
)
def test_a_box_outside_or_empty_is_refused(prompter, box):
    prepared = prompter.set_image(np.zeros((4, 6, 3), np.uint8))
    match = f"box {', '.join(map(str, box))} is empty or extends .* 6 x 4 px"
    with pytest.raises(InputError, match=match):
        prompter.predict(prepared, box_xyxy=box)


def test_nothing_to_go_by_is_refused(prompter):
    prepared = prompter.set_image(np.zeros((4, 6, 3), np.uint8))
    with pytest.raises(InputError, match="give at least one point or a box"):
        prompter.predict(prepared)


def test_says_what_it_is(prompter):
    assert prompter.name in model_names("prompter")
    assert prompter.provider
