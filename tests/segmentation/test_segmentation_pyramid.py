"""Closer and closer looks at a photo, with a `look` that counts what it is shown."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleanplate.segmentation.multiscale import SIDE_MULTIPLE, WHOLE_SIDE, find_evidence

STRIDE = 4  # px of a part for each cell of evidence


class Look:
    """Keeps the parts it was shown and answers with what a function makes of them."""

    def __init__(self, answer) -> None:
        self.answer = answer
        self.parts: list[np.ndarray] = []

    def __call__(self, part):
        self.parts.append(part.copy())
        rows, columns = part.shape[0] // STRIDE, part.shape[1] // STRIDE
        return np.broadcast_to(self.answer(self, part), (2, rows, columns)).astype(np.float32)


def textured(size_hw, seed=0):
    noise = np.random.default_rng(seed).integers(
        60, 200, (size_hw[0] // 4 + 1, size_hw[1] // 4 + 1)
    )
    photo = np.repeat(np.repeat(noise.astype(np.uint8), 4, axis=0), 4, axis=1)
    return np.repeat(photo[: size_hw[0], : size_hw[1], None], 3, axis=2)


@settings(max_examples=30)
@given(
    size_hw=st.tuples(st.integers(1, 1300), st.integers(1, 1300)),
    probability=st.sampled_from([0.0, 0.02, 0.7, 1.0]),
)
def test_every_part_suits_the_network_and_the_answer_covers_the_photo(size_hw, probability):
    image = textured(size_hw)
    before = image.copy()
    look = Look(lambda look, part: probability)

    evidence = find_evidence(image, look)

    assert evidence.dtype == np.float32
    assert evidence.shape[0] == 2
    np.testing.assert_allclose(evidence, probability, atol=1e-6)
    for part in look.parts:
        assert part.dtype == np.uint8
        assert part.shape[0] % SIDE_MULTIPLE == part.shape[1] % SIDE_MULTIPLE == 0
        assert part.size > 0
    first = look.parts[0].shape
    assert max(first[:2]) == WHOLE_SIDE
    if min(size_hw) > 64:
        assert evidence.shape[2] / evidence.shape[1] == pytest.approx(
            size_hw[1] / size_hw[0], rel=0.05
        )
    np.testing.assert_array_equal(image, before, err_msg="the input was modified")


def test_a_small_photo_without_suspicion_is_looked_at_once():
    look = Look(lambda look, part: 0.0)
    find_evidence(textured((480, 640)), look)
    assert [part.shape for part in look.parts] == [(384, 512, 3)]


def test_a_large_photo_is_looked_at_in_tiles_without_any_suspicion():
    look = Look(lambda look, part: 0.0)
    find_evidence(textured((900, 1300)), look)
    whole, *tiles = look.parts
    assert max(whole.shape) == WHOLE_SIDE
    assert sum(part.shape[0] * part.shape[1] for part in tiles) >= 700 * 1024
    assert max(max(part.shape) for part in tiles) < 1024


def test_flat_tiles_of_a_large_photo_are_left_out():
    look = Look(lambda look, part: 0.0)
    image = textured((900, 1300))
    image[:, :750] = 190
    find_evidence(image, look)
    half = [part for part in look.parts[1:] if part[..., 0].std() < 1]
    assert len(look.parts) > 1
    assert half == []


def test_no_part_is_larger_than_a_tile_and_the_grid_is_bounded_for_a_huge_photo():
    look = Look(lambda look, part: 0.001)
    evidence = find_evidence(np.zeros((5000, 9000, 3), np.uint8), look)
    assert max(max(part.shape) for part in look.parts) <= 1024
    assert max(evidence.shape[1:]) <= 2048


def test_the_stronger_evidence_wins_whichever_look_gave_it():
    def whole_is_sure(look, part):
        return 0.8 if len(look.parts) == 1 else 0.2

    def tiles_are_sure(look, part):
        return 0.2 if len(look.parts) == 1 else 0.8

    for answer in (whole_is_sure, tiles_are_sure):
        look = Look(answer)
        evidence = find_evidence(textured((900, 1300)), look)
        assert len(look.parts) > 1
        np.testing.assert_allclose(evidence, 0.8, atol=1e-6)


def test_classes_are_merged_each_for_itself():
    def answer(look, part):
        probabilities = (0.8, 0.1) if len(look.parts) == 1 else (0.3, 0.6)
        return np.array(probabilities)[:, None, None]

    evidence = find_evidence(textured((900, 1300)), Look(answer))
    np.testing.assert_allclose(evidence[0], 0.8, atol=1e-6)
    np.testing.assert_allclose(evidence[1], 0.6, atol=1e-6)


def test_the_rim_of_a_tile_is_not_used_inside_the_photo():
    def answer(look, part):
        """Say yes on the outermost 8 px of every tile, as a network without context might."""
        cells = np.zeros((part.shape[0] // STRIDE, part.shape[1] // STRIDE))
        if len(look.parts) > 1:
            cells[:2] = cells[-2:] = 1
            cells[:, :2] = cells[:, -2:] = 1
        return cells[None]

    evidence = find_evidence(textured((1100, 1300)), look := Look(answer))

    assert len(look.parts) > 2
    frame = evidence.shape[1] // 50  # 2 % of the height: the photo's own border has no neighbour
    assert evidence[:, frame:-frame, frame:-frame].max() < 0.01
    assert evidence[:, 0].min() > 0.5
    assert evidence[:, :, 0].min() > 0.5


def redness(part):
    """Return, for each cell, whether its centre is red."""
    centre = part[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE].astype(int)
    return (centre[..., 0] > 180) & (centre[..., 1] < 60)


def seen_from(sure_px, faint=0.01, half=0.2):
    """Return an answer: a red blot is seen when it is `sure_px` wide, suspected when smaller."""

    def answer(look, part):
        red = redness(part)
        wide_px = red.any(axis=0).sum() * STRIDE
        if wide_px >= sure_px:
            return red * 0.9
        return red * (half if wide_px > sure_px / 2 else faint)

    return answer


def blotted(size_hw, box):
    image = np.repeat(np.full(size_hw, 120, np.uint8)[..., None], 3, axis=2)
    left, top, right, bottom = box
    image[top:bottom, left:right] = (255, 0, 0)
    return image


def test_what_is_only_seen_enlarged_is_found_where_it_was_suspected():
    image = blotted((400, 600), (300, 200, 324, 224))
    look = Look(seen_from(70))  # its 24 px are 82 at the closest level, 41 at the one before

    evidence = find_evidence(image, look)

    assert evidence.max() > 0.85
    rows, columns = np.nonzero(evidence[0] > 0.5)
    down, across = 400 / evidence.shape[1], 600 / evidence.shape[2]
    assert rows.min() * down == pytest.approx(200, abs=4)
    assert (rows.max() + 1) * down == pytest.approx(224, abs=4)
    assert columns.min() * across == pytest.approx(300, abs=4)
    assert (columns.max() + 1) * across == pytest.approx(324, abs=4)


def test_without_suspicion_it_is_not_looked_for():
    image = blotted((400, 600), (300, 200, 324, 224))
    look = Look(seen_from(70, faint=0.0))
    assert find_evidence(image, look).max() == 0
    assert len(look.parts) == 1


def test_a_suspicion_that_a_closer_look_refutes_is_not_followed_further():
    image = blotted((400, 600), (300, 200, 324, 224))
    look = Look(seen_from(70, half=0.0))
    assert find_evidence(image, look).max() < 0.5
    assert len(look.parts) == 2


def test_evidence_lies_where_the_object_is_at_every_scale():
    for size_hw, box in [
        ((300, 450), (100, 50, 220, 170)),
        ((450, 300), (100, 50, 220, 170)),
        ((1100, 1500), (700, 300, 1100, 700)),
        ((101, 97), (20, 20, 60, 60)),
    ]:
        image = blotted(size_hw, box)
        image[::7, ::5] = np.minimum(image[::7, ::5], 60)  # detail, or no tile would be looked at
        evidence = find_evidence(image, Look(lambda look, part: redness(part) * 0.9))
        full = cv2.resize(evidence[0], size_hw[::-1], interpolation=cv2.INTER_LINEAR) > 0.3
        left, top, right, bottom = box
        grid_px = max(size_hw) / max(evidence.shape[1:])
        seen = full[top + 4 : bottom - 4, left + 4 : right - 4]
        assert seen.mean() > 0.8
        outside = full.copy()
        slack = 4 + round(2 * grid_px)
        outside[top - slack : bottom + slack, left - slack : right + slack] = False
        assert not outside.any()


# --- networks that give their first look themselves


def seen(probability, size_hw=(60, 80)):
    return np.full((2, *size_hw), probability, np.float32)


@pytest.mark.parametrize("size_hw", [(480, 640), (1000, 1000), (90, 1000), (1, 1)])
def test_a_photo_of_up_to_1000_px_is_not_looked_at_again(size_hw):
    look = Look(lambda look, part: 1.0)
    evidence = find_evidence(textured(size_hw), look, seen=seen(0.4), seen_side=520)
    assert look.parts == []
    np.testing.assert_allclose(evidence, 0.4, atol=1e-6)


def test_a_large_photo_is_not_scanned():
    look = Look(lambda look, part: 1.0)
    evidence = find_evidence(textured((1500, 2000)), look, seen=seen(0.001), seen_side=693)
    assert look.parts == []
    np.testing.assert_allclose(evidence, 0.001, atol=1e-6)


def test_suspected_parts_of_a_large_photo_are_looked_at_smoothed_and_not_enlarged():
    stripes = np.zeros((1500, 2000, 3), np.uint8)
    stripes[:, ::2] = 200  # 100 on average, and grey noise of 16 px against the rule of flat tiles
    stripes = stripes + textured((375, 500)).repeat(4, axis=0).repeat(4, axis=1) // 8
    first = seen(0.0)
    first[:, 20:24, 30:34] = 0.2
    look = Look(lambda look, part: 0.7)
    evidence = find_evidence(stripes, look, seen=first, seen_side=693)
    assert len(look.parts) == 1  # at 1,386 px; 2,772 would enlarge it
    (part,) = look.parts
    assert part.shape[0] % SIDE_MULTIPLE == part.shape[1] % SIDE_MULTIPLE == 0
    assert np.abs(np.diff(part[..., 0].astype(int), axis=1)).max() < 100, "stripes show"
    assert evidence[:, 275, 400].min() > 0.69
    assert evidence[:, 700:].max() == 0


@pytest.mark.parametrize("size_hw", [(400, 500), (1100, 1300), (1500, 2000)])
def test_looks_at_the_same_time_see_what_one_by_one_see(size_hw):
    image = blotted(size_hw, (100, 50, 220, 170))
    image[::7, ::5] = np.minimum(image[::7, ::5], 60)
    one, several = (Look(lambda look, part: redness(part) * 0.2) for _ in range(2))
    expected = find_evidence(image, one)
    np.testing.assert_array_equal(find_evidence(image, several, max_concurrency=4), expected)
    assert sorted(part.shape for part in one.parts) == sorted(part.shape for part in several.parts)
