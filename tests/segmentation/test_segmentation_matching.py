"""Details of real photos, the poses they vote for, and what is no possible pose."""

import cv2
import numpy as np
import pytest

from cleanplate.ops.geometry import (
    convex_outline,
    is_plausible,
    scale_of,
    scaling,
    transform_points,
    translation,
)
from cleanplate.segmentation.by_example.matching import find_features, find_poses, match_features

BOX = (130, 60, 330, 260)  # of the cat's face


def grey(image):
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def turned(angle, scale, centre=(230.0, 160.0)):
    return np.vstack([cv2.getRotationMatrix2D(centre, angle, scale), [0, 0, 1]])


def details_in_box(luma):
    mask = np.zeros(luma.shape, np.bool_)
    mask[BOX[1] : BOX[3], BOX[0] : BOX[2]] = True
    own = find_features(luma, most=1000, mask=mask)
    return own, find_features(luma, most=1000, mask=~mask), convex_outline(mask)


ASKEW = np.array([[1.1, 0.15, -40.0], [-0.1, 0.95, 30.0], [3e-4, -2e-4, 1.0]])
TRANSFORMS = {
    "as it is": np.eye(3),
    "moved": translation(37.5, -12.25),
    "half": scaling(0.5),
    "twice": scaling(2.0),
    "turned": turned(25, 1.0),
    "upside down": turned(170, 0.8),
    "askew": ASKEW,
}


@pytest.mark.parametrize("onto", TRANSFORMS.values(), ids=TRANSFORMS)
def test_known_transforms_are_recovered(cat, onto):
    luma = grey(cat)
    own, others, outline = details_in_box(luma)
    size_wh = (902, 600) if onto[0, 0] == 2 else (451, 320)
    seen = cv2.warpPerspective(luma, onto, size_wh)

    pose = next(find_poses(match_features(own, others, find_features(seen, most=4000)), outline))

    apart = transform_points(pose.transform, outline) - transform_points(onto, outline)
    assert np.hypot(*apart.T).max() < 2
    assert pose.support >= 12


def test_each_of_two_occurrences_is_one_pose(cat, gravel):
    luma = grey(cat)
    own, others, outline = details_in_box(luma)
    scene = cv2.resize(grey(gravel), (800, 600))
    part = luma[BOX[1] : BOX[3], BOX[0] : BOX[2]]
    scene[20:220, 30:230] = part
    scene[300:460, 500:660] = cv2.resize(part, (160, 160), interpolation=cv2.INTER_AREA)

    poses = list(find_poses(match_features(own, others, find_features(scene, most=8000)), outline))

    strong = [pose for pose in poses if pose.support >= 8]
    sizes = sorted(scale_of(pose.transform, outline) for pose in strong)
    np.testing.assert_allclose(sizes, [0.8, 1.0], atol=0.02)


def test_what_is_around_the_thing_too_is_no_match(cat):
    luma = grey(cat)
    own, _, _ = details_in_box(luma)
    photo = find_features(luma, most=4000)
    assert len(match_features(own, own, photo).own) < 0.05 * len(own)


def test_strangers_vote_for_hardly_anything(cat, coffee):
    own, others, outline = details_in_box(grey(cat))
    seen = find_features(grey(coffee), most=4000)
    assert all(pose.support < 8 for pose in find_poses(match_features(own, others, seen), outline))


@pytest.mark.parametrize("size_hw", [(1, 1), (5, 300), (7, 7), (64, 64)])
def test_plain_and_tiny_pictures_have_no_details(size_hw):
    plain = find_features(np.full(size_hw, 90, np.uint8), most=100)
    assert len(plain) == 0
    assert plain.vectors.shape == (0, 128)
    matches = match_features(plain, plain, plain)
    assert list(find_poses(matches, np.array([[0.0, 0], [9, 0], [0, 9]]))) == []


def test_no_more_details_than_asked_for(gravel):
    assert 0 < len(find_features(grey(gravel), most=50)) <= 60  # ties of one strength stay


SQUARE = np.array([[0.0, 0], [100, 0], [100, 100], [0, 100]])


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        (np.eye(3), True),
        (turned(180, 1.0), True),
        (scaling(0.13), True),
        (scaling(7.9), True),
        (ASKEW, True),
        (scaling(0.1), False),
        (scaling(9.0), False),
        (np.diag([-1.0, 1, 1]), False),  # a mirror image
        (np.diag([4.0, 1, 1]), False),
        (np.array([[1.0, 2.5, 0], [0, 1, 0], [0, 0, 1]]), False),  # a shear
        (np.array([[1.0, 0, 0], [0, 1, 0], [0.02, 0, 1]]), False),  # foreshortened to nothing
        (np.array([[1.0, 0, 0], [0, 1, 0], [-0.02, 0, 1]]), False),  # through the horizon
        (np.full((3, 3), np.nan), False),
    ],
)
def test_only_what_a_camera_can_show_is_plausible(transform, expected):
    assert is_plausible(transform, SQUARE) is expected


def test_scaling_keeps_the_outer_corners():
    corners = np.array([[-0.5, -0.5], [99.5, 49.5]])
    np.testing.assert_allclose(
        transform_points(scaling(0.25, 2.0), corners), [[-0.5, -0.5], [24.5, 99.5]]
    )


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (9, 9)])
def test_the_outline_of_the_thinnest_mask_has_an_area(shape):
    outline = convex_outline(np.ones(shape, np.bool_))
    assert cv2.contourArea(outline.astype(np.float32)) == pytest.approx(shape[0] * shape[1])
