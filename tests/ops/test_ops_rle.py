"""Run lengths of masks, as COCO writes them."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanplate.errors import InputError
from cleanplate.ops.masks import bounding_box
from cleanplate.ops.rle import decode_rle, encode_rle


@given(hnp.arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))), st.data())
def test_every_mask_comes_back_from_the_runs_of_its_columns(whole, data):
    if not whole.any():
        return
    box = bounding_box(whole, pad_px=data.draw(st.integers(0, 2)))  # need not be tight
    left, top, right, bottom = box

    counts = encode_rle(box, whole[top:bottom, left:right], whole.shape)

    values = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    np.testing.assert_array_equal(values.reshape(whole.shape[::-1]).T, whole)
    assert all(count > 0 for count in counts[1:])
    tight, mask = decode_rle(counts, whole.shape)
    assert tight == bounding_box(whole)
    np.testing.assert_array_equal(mask, whole[tight[1] : tight[3], tight[0] : tight[2]])


def test_the_lengths_of_a_known_mask():
    mask = np.array([[True, False], [True, True]])
    assert encode_rle((1, 0, 3, 2), mask, (2, 4)) == [2, 2, 1, 1, 2]
    assert encode_rle((0, 0, 4, 2), np.ones((2, 4), np.bool_), (2, 4)) == [0, 8]


@pytest.mark.parametrize("counts", [[], [3], [2, 3], [-1, 5], [4, 0], [[2, 2]]])
def test_lengths_that_are_no_mask_are_refused(counts):
    with pytest.raises(InputError, match=r"do not add up to 2 x 2 px|no pixel"):
        decode_rle(counts, (2, 2))
