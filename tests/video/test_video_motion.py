"""The camera's motion is estimated to a fraction of a pixel, and reported where it cannot be."""

import cv2
import numpy as np
import pytest
from video_builders import panned, red, view, with_thing, world

from cleanplate.ops.geometry import transform_points
from cleanplate.video.motion import CameraTracker

CORNERS = np.array([[0, 0], [159, 0], [159, 119], [0, 119]], np.float64)


def track(frames):
    tracker = CameraTracker()
    return [tracker.add(frame, red(frame)) for frame in frames]


def test_a_camera_that_stands_moves_not_at_all(rng):
    shown, _ = panned(rng, frames=10)
    noisy = [
        np.clip(frame + rng.normal(0, 2.5, frame.shape), 0, 255).astype(np.uint8) for frame in shown
    ]
    for placed in track(noisy):
        np.testing.assert_array_equal(placed.to_key, np.eye(3))
        assert placed.segment == 0


def test_a_pan_is_followed_to_a_fraction_of_a_pixel(rng):
    shown, _ = panned(rng, frames=30, pan_px=3.3)
    for number, placed in enumerate(track(shown)):
        assert placed.segment == 0
        error = transform_points(placed.to_key, CORNERS) - CORNERS - [3.3 * number, 0]
        assert np.abs(error).max() < 0.6


def test_turns_and_zooms_are_followed(rng):
    picture = world(rng, (260, 360))
    frames, moves = [], []
    for number in range(12):
        angle, zoom = 0.006 * number, 1 + 0.008 * number
        cos, sin = zoom * np.cos(angle), zoom * np.sin(angle)
        move = np.array([[cos, -sin, 90 + number], [sin, cos, 60], [0, 0, 1]])
        flags = cv2.WARP_INVERSE_MAP | cv2.INTER_CUBIC
        frames.append(
            with_thing(cv2.warpPerspective(picture, move, (160, 120), flags=flags), (80, 60))
        )
        moves.append(move)
    for move, placed in zip(moves, track(frames), strict=True):
        true = transform_points(np.linalg.inv(moves[0]) @ move, CORNERS)
        assert np.abs(transform_points(placed.to_key, CORNERS) - true).max() < 0.8


def test_a_cut_begins_a_shot(rng):
    one, other = (panned(rng, frames=4)[0] for _ in range(2))
    placed = track([*one, *other])
    assert [frame.cut for frame in placed] == [True, *[False] * 3, True, *[False] * 3]
    assert [frame.segment for frame in placed] == [0] * 4 + [1] * 4


@pytest.mark.slow
def test_what_grows_too_large_for_one_plate_begins_a_segment_and_no_shot(rng):
    picture = world(rng, (120, 900))
    frames = [view(picture, 8.0 * number, 0, (120, 160)) for number in range(90)]
    placed = track(frames)
    assert [frame.cut for frame in placed] == [True, *[False] * 89]
    assert placed[-1].segment >= 1
    for frame in placed:
        assert transform_points(frame.to_key, CORNERS)[:, 0].max() < 4.2 * 160


@pytest.mark.parametrize("size_hw", [(1, 1), (7, 300), (40, 31)])
def test_any_size_and_plain_frames_are_taken(size_hw):
    frames = [np.full((*size_hw, 3), 90, np.uint8)] * 3
    placed = track(frames)
    assert [frame.segment for frame in placed] == [0, 0, 0]


def test_a_frame_that_is_all_mask_is_taken(rng):
    frame = world(rng)[:60, :80]
    tracker = CameraTracker()
    for _ in range(3):
        placed = tracker.add(frame, np.ones((60, 80), bool))
    assert placed.to_key.shape == (3, 3)
