"""Masks that lie compressed in a file come back as they were."""

import numpy as np
import pytest

from cleanplate.video.mask_tracking import MaskStore


@pytest.mark.parametrize("size_hw", [(1, 1), (13, 7), (64, 90)])
def test_masks_come_back_in_any_order(size_hw, rng):
    masks = [rng.random(size_hw) < share for share in (0, 0.01, 0.5, 1)]
    with MaskStore(size_hw) as store:
        for mask in masks:
            store.append(mask)
        assert len(store) == 4
        for number in (2, 0, 3, 1):
            np.testing.assert_array_equal(store.read(number), masks[number])


def test_boxes_are_tight_and_none_of_empty_masks():
    mask = np.zeros((20, 30), bool)
    with MaskStore((20, 30)) as store:
        store.append(mask)
        mask[3:8, 11:14] = True
        store.append(mask)
        assert store.box(0) is None
        assert store.box(1) == (11, 3, 14, 8)
