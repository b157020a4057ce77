"""The plate: medians of what frames show, and what becomes of the rest."""

import numpy as np
import pytest
from video_builders import view, world

from cleanplate.ops.geometry import translation
from cleanplate.video.background import FRAMES, NETWORK, SAMPLES, SegmentPlate

SIZE_HW = (60, 80)


def box_mask(left, top, right, bottom):
    mask = np.zeros(SIZE_HW, bool)
    mask[top:bottom, left:right] = True
    return mask


def no_fill(image, mask):
    raise AssertionError("nothing was to be filled")


def grey(image, mask):
    return np.where(mask[..., None], np.uint8(99), image)


def plate_of(frames, masks, moves, *, fill=no_fill, unit=1):
    """Return a completed plate, and the gains of the frames."""
    holes = [(n, mask) for n, mask in enumerate(masks) if mask.any()]
    boxes = []
    for _, mask in holes:
        rows, columns = np.nonzero(mask)
        box = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        boxes.append(tuple(int(edge) for edge in box))
    plate = SegmentPlate(SIZE_HW, [moves[n] for n, _ in holes], boxes, unit=unit)
    for number, mask in holes:
        plate.request(mask, moves[number])
    gains = [plate.add(*three) for three in zip(frames, masks, moves, strict=True)]
    plate.complete(fill)
    return plate, gains


def test_a_still_camera_gives_the_very_pixels(rng):
    truth = world(rng)[:60, :80]
    masks = [box_mask(10 + 10 * n, 20, 25 + 10 * n, 45) for n in range(4)]
    frames = [np.where(mask[..., None], np.uint8([250, 0, 0]), truth) for mask in masks]
    moves = [np.eye(3)] * 4

    plate, gains = plate_of(frames, masks, moves)

    for frame, mask, move, gain in zip(frames, masks, moves, gains, strict=True):
        applied = plate.apply(frame, mask, move, gain)
        np.testing.assert_array_equal(applied.image, truth)
        np.testing.assert_array_equal(applied.accepted, mask)
        assert not applied.rejected.any()
        assert applied.from_frames == np.count_nonzero(mask)


def test_a_camera_that_moves_gives_nearly_the_pixels(rng):
    picture = world(rng, (100, 160))
    moves = [translation(1.7 * n, 0.6 * n) for n in range(8)]
    truth = [view(picture, 20 + 1.7 * n, 10 + 0.6 * n, SIZE_HW) for n in range(8)]
    masks = [box_mask(5 + 7 * n, 20, 18 + 7 * n, 45) for n in range(8)]
    frames = [
        np.where(m[..., None], np.uint8([250, 0, 0]), t) for m, t in zip(masks, truth, strict=True)
    ]

    plate, gains = plate_of(frames, masks, moves)

    for frame, mask, move, gain, true in zip(frames, masks, moves, gains, truth, strict=True):
        applied = plate.apply(frame, mask, move, gain)
        error = np.abs(applied.image[mask].astype(int) - true[mask])
        assert applied.accepted[mask].all()
        assert error.mean() < 4


def test_what_passes_by_is_outvoted(rng):
    truth = world(rng)[:60, :80]
    mask = box_mask(30, 20, 50, 40)
    frames = [truth.copy() for _ in range(12)]
    for frame in frames[3:6]:
        frame[20:40, 30:50] = 5  # something else, in three frames of eleven
    frames[0] = np.where(mask[..., None], np.uint8([250, 0, 0]), truth)
    masks = [mask, *[np.zeros_like(mask)] * 11]

    plate, gains = plate_of(frames, masks, [np.eye(3)] * 12)

    applied = plate.apply(frames[0], mask, np.eye(3), gains[0])
    np.testing.assert_array_equal(applied.image, truth)


def test_what_is_never_seen_is_filled_once(rng):
    truth = world(rng)[:60, :80]
    masks = [box_mask(20, 20, 50, 40), box_mask(30, 20, 60, 40)]
    calls = []

    def fill(image, mask):
        calls.append(mask.copy())
        return grey(image, mask)

    plate, gains = plate_of([truth, truth], masks, [np.eye(3)] * 2, fill=fill)
    applied = plate.apply(truth, masks[0], np.eye(3), gains[0])

    assert len(calls) == 1
    assert np.count_nonzero(calls[0]) == 20 * 20
    assert applied.from_frames == 20 * 30 - 20 * 20
    assert (applied.image[20:40, 30:50] == 99).all()
    assert {FRAMES, NETWORK} <= set(np.unique(plate.source))


def test_samples_that_disagree_are_no_background(rng):
    truth = world(rng)[:60, :80]
    mask = box_mask(20, 10, 60, 50)
    frames = []
    for _ in range(12):
        frame = truth.copy()
        frame[15:45, 25:55] = rng.integers(0, 256)
        frames.append(frame)
    masks = [mask, *[np.zeros_like(mask)] * 11]

    plate, gains = plate_of(frames, masks, [np.eye(3)] * 12, fill=grey)

    applied = plate.apply(frames[0], mask, np.eye(3), gains[0])
    assert (applied.image[20:40, 30:50] == 99).all()
    np.testing.assert_array_equal(applied.image[11:13, 21:59], truth[11:13, 21:59])


def test_a_plate_that_does_not_belong_is_refused(rng):
    truth = world(rng)[:60, :80]
    mask = box_mask(30, 20, 50, 40)
    away = [np.zeros_like(mask)] * 5
    plate, gains = plate_of([truth] * 6, [mask, *away], [np.eye(3)] * 6)
    other = world(np.random.default_rng(5))[60:120, 100:180]

    applied = plate.apply(other, mask, np.eye(3), gains[0])

    np.testing.assert_array_equal(applied.rejected, mask)
    np.testing.assert_array_equal(applied.image, other)


def test_exposure_is_matched_both_ways(rng):
    truth = np.clip(world(rng)[:60, :80], 40, 150)
    light = [1.0, 1.25, 1.5, 0.8]
    frames = [np.rint(truth * share).astype(np.uint8) for share in light]
    masks = [box_mask(10 + 15 * n, 20, 25 + 15 * n, 45) for n in range(4)]

    plate, gains = plate_of(frames, masks, [np.eye(3)] * 4)

    for frame, mask, share, gain in zip(frames, masks, light, gains, strict=True):
        np.testing.assert_allclose(gain, 1 / share, rtol=0.02)
        applied = plate.apply(frame, mask, np.eye(3), gain)
        assert np.abs(applied.image[mask].astype(int) - frame[mask]).max() <= 5


def test_deep_pictures_stay_deep(rng):
    truth = world(rng)[:60, :80].astype(np.uint16) * 256 + 77
    masks = [box_mask(10, 20, 30, 40), box_mask(40, 20, 60, 40)]
    plate, gains = plate_of([truth, truth], masks, [np.eye(3)] * 2, unit=256)
    applied = plate.apply(truth, masks[0], np.eye(3), gains[0])
    assert applied.image.dtype == np.uint16
    np.testing.assert_array_equal(applied.image, truth)


@pytest.mark.parametrize("frames", [SAMPLES - 1, SAMPLES, 5 * SAMPLES])
def test_memory_does_not_follow_the_number_of_frames(rng, frames):
    truth = world(rng)[:60, :80]
    mask = box_mask(30, 20, 50, 40)
    plate = SegmentPlate(SIZE_HW, [np.eye(3)], [(30, 20, 50, 40)])
    plate.request(mask, np.eye(3))
    for _ in range(frames):
        plate.add(truth, np.zeros_like(mask), np.eye(3))
    assert plate._samples.shape[0] == SAMPLES
    plate.complete(no_fill)
    applied = plate.apply(truth, mask, np.eye(3), np.ones(3, np.float32))
    np.testing.assert_array_equal(applied.image, truth)
