"""Masks over time: gaps are closed, weak finds linked, and nothing is invented."""

import numpy as np
import pytest
from video_builders import panned, red

from cleanplate.ops.masks import dilate
from cleanplate.video.mask_tracking import REACH, MaskStabilizer


@pytest.fixture
def scene(rng):
    shown, _ = panned(rng, step_px=3.0, frames=18)
    return shown, [dilate(red(frame), 3) for frame in shown]


def steadied(frames, masks, *, cuts=(), weak=None, kept=None):
    steadier = MaskStabilizer()
    result = []
    for number, (frame, mask) in enumerate(zip(frames, masks, strict=True)):
        hint = None if weak is None else weak[number]
        result += steadier.add(frame, mask, weak=hint, kept=kept, cut=number in cuts)
    return [*result, *steadier.finish()]


def missed(true, result):
    return np.count_nonzero(true & ~result.mask) / max(np.count_nonzero(true), 1)


def without(masks, *numbers):
    return [np.zeros_like(m) if n in numbers else m.copy() for n, m in enumerate(masks)]


def test_every_frame_comes_back_once_and_keeps_what_it_has(scene):
    frames, masks = scene
    result = steadied(frames, masks)
    assert len(result) == len(frames)
    for mask, steady in zip(masks, result, strict=True):
        assert not (mask & ~steady.mask).any()


@pytest.mark.parametrize("gap", [(8,), (8, 9), (6, 7, 8, 9, 10), (0,), (17,)], ids=str)
def test_gaps_are_closed(scene, gap):
    frames, masks = scene
    result = steadied(frames, without(masks, *gap))
    for number in gap:
        assert result[number].propagated
        assert missed(masks[number], result[number]) < 0.25


def test_half_an_object_that_is_missed_is_closed(scene):
    frames, masks = scene
    torn = [mask.copy() for mask in masks]
    torn[8][:60] = False
    assert missed(masks[8], steadied(frames, torn)[8]) < 0.15


def test_where_nothing_is_found_nothing_is_added(scene):
    frames, masks = scene
    assert not any(s.mask.any() for s in steadied(frames, without(masks, *range(18))))


def test_an_object_that_came_late_is_not_carried_far_back(scene):
    frames, masks = scene
    result = steadied(frames, without(masks, *range(10)))
    assert not any(steady.mask.any() for steady in result[: 10 - REACH])
    assert np.count_nonzero(result[9].mask) < np.count_nonzero(masks[9])


def test_weak_finds_count_where_neighbours_show_the_object(scene):
    frames, masks = scene
    gap = tuple(range(4, 16))  # longer than the reach
    far = np.zeros_like(masks[0])
    far[5:15, 140:150] = True
    weak = [mask | far for mask in masks]
    result = steadied(frames, without(masks, *gap), weak=weak)
    for number in gap:
        assert missed(masks[number], result[number]) < 0.05
        assert not (result[number].mask & far).any()


def test_nothing_is_carried_across_a_cut(scene):
    frames, masks = scene
    result = steadied(frames, without(masks, *range(9, 18)), cuts=(9,))
    assert not any(steady.mask.any() for steady in result[9:])


def test_what_is_kept_is_never_filled(scene):
    frames, masks = scene
    kept = np.zeros_like(masks[0])
    kept[:, 70:90] = True
    result = steadied(frames, without(masks, 8), kept=kept)
    assert not any((steady.mask & kept).any() for steady in result)


@pytest.mark.parametrize("size_hw", [(1, 1), (9, 200), (33, 17)])
def test_any_size_is_taken(size_hw):
    frames = [np.full((*size_hw, 3), 80, np.uint8)] * 4
    masks = [np.ones(size_hw, bool), np.zeros(size_hw, bool)] * 2
    assert len(steadied(frames, masks)) == 4
