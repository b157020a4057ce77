"""Multiscale inference, with a `predict` that records its inputs."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_predict import (
    FIRST,
    STRIDE,
    RecordedPredict,
    blotted,
    predict_multiscale,
    redness,
    seen_from,
    small_objects_in,
    textured,
    with_rest,
)

from cleanplate.segmentation.multiscale import (
    FIRST_PASS_SIDE,
    SIDE_MULTIPLE,
    run_passes,
)

POSSIBLE = 0.002  # too little for a candidate, enough to be scanned


@settings(max_examples=30)
@given(
    size_hw=st.tuples(st.integers(1, 1300), st.integers(1, 1300)),
    probability=st.sampled_from([0.0, 0.02, 0.7, 1.0]),
)
def test_tiles_have_valid_sizes_and_the_result_covers_the_photo(size_hw, probability):
    image = textured(size_hw)
    before = image.copy()
    predict = RecordedPredict(lambda predict, part: probability)

    found = predict_multiscale(image, predict)

    assert found.dtype == np.float32
    assert found.shape[0] == 2
    np.testing.assert_allclose(found[0], probability, atol=1e-6)
    for part in predict.parts:
        assert part.dtype == np.uint8
        assert part.shape[0] % SIDE_MULTIPLE == part.shape[1] % SIDE_MULTIPLE == 0
        assert part.size > 0
    first = predict.parts[0].shape
    assert max(first[:2]) == FIRST_PASS_SIDE
    if min(size_hw) > 64:
        assert found.shape[2] / found.shape[1] == pytest.approx(size_hw[1] / size_hw[0], rel=0.05)
    np.testing.assert_array_equal(image, before, err_msg="the input was modified")


def test_a_small_photo_without_candidates_takes_only_the_first_pass():
    predict = RecordedPredict(lambda predict, part: 0.0)
    predict_multiscale(textured((480, 640)), predict)
    assert [part.shape[:2] for part in predict.parts] == [(384, 512), (288, 384), (576, 768)]
    predict = RecordedPredict(lambda predict, part: 0.0)
    predict_multiscale(textured((160, 240)), predict)
    assert [max(part.shape) for part in predict.parts] == [512, 384], "768 px is three times it"


def test_the_first_pass_is_the_mean_of_three_at_the_place_of_what_they_saw():
    image = blotted((400, 600), (300, 200, 360, 260))
    left_out = []  # the photo's left half is grey; mirrored, the object is on the left

    def answer(predict, part):
        left_out.append(bool(redness(part)[:, : part.shape[1] // STRIDE // 2].any()))
        return redness(part) * (0.0, 0.3, 0.9)[min(len(predict.parts), FIRST) - 1]

    found = run_passes(image, RecordedPredict(answer)).merged[0]
    rows, columns = found.shape
    assert left_out[:FIRST] == [False, True, True]
    place = round(230 / 400 * rows), round(330 / 600 * columns)
    assert found[place] == pytest.approx(0.4, abs=0.01)
    assert found[:, : round(290 / 600 * columns)].max() == 0


def test_a_large_photo_is_scanned_in_tiles_without_candidates():
    predict = RecordedPredict(lambda predict, part: POSSIBLE)
    predict_multiscale(textured((900, 1300)), predict)
    tiles = predict.parts[FIRST:]
    assert sum(part.shape[0] * part.shape[1] for part in tiles) >= 700 * 1024
    assert max(max(part.shape) for part in tiles) < 1024


def test_a_scan_leaves_out_where_no_object_is_possible():
    image = textured((1600, 2000))
    image[700:800, 200:300] = (255, 0, 0)
    predict = RecordedPredict(lambda predict, part: redness(part) * POSSIBLE)
    predict_multiscale(image, predict)
    (part,) = predict.parts[FIRST:]
    assert redness(part).any()
    assert max(part.shape) <= 600


def test_a_photo_of_2000_px_is_scanned_once():
    predict = RecordedPredict(lambda predict, part: POSSIBLE)
    predict_multiscale(textured((1600, 2000)), predict)
    scanned_px = sum(part.shape[0] * part.shape[1] for part in predict.parts[FIRST:])
    assert 1 < scanned_px / (1632 * 2048) < 1.25


def test_flat_tiles_of_a_large_photo_are_skipped():
    predict = RecordedPredict(lambda predict, part: POSSIBLE)
    image = textured((900, 1300))
    image[:, :750] = 190
    predict_multiscale(image, predict)
    half = [part for part in predict.parts[FIRST:] if part[..., 0].std() < 1]
    assert len(predict.parts) > FIRST
    assert half == []


def test_a_photo_of_4000_px_is_searched_at_its_own_size_only_where_something_is_suspected():
    image = np.full((800, 4000, 3), 120, np.uint8)
    image[::7, ::5] = 60  # detail, or every tile would be skipped
    image[400:440, 3000:3040] = (255, 0, 0)
    predict = RecordedPredict(seen_from(36, half=0.2, clear=0.97))

    found = predict_multiscale(image, predict)

    rows, columns = found.shape[1:]
    assert found[0, round(420 / 800 * rows), round(3020 / 4000 * columns)] > 0.5
    scanned_px = sum(part.shape[0] * part.shape[1] for part in predict.parts)
    assert scanned_px < 0.6 * 800 * 4000


def test_an_object_seen_in_a_photo_of_4000_px_is_looked_at_again_at_its_own_size():
    image = np.full((800, 4000, 3), 120, np.uint8)
    image[::7, ::5] = 60
    image[250:550, 3000:3300] = (255, 0, 0)
    found = predict_multiscale(image, RecordedPredict(seen_from(250, half=0.5, faint=0.5)))
    rows, columns = found.shape[1:]
    assert found[0, rows // 2, round(3150 / 4000 * columns)] == pytest.approx(0.7, abs=0.01)


@pytest.mark.slow
def test_no_part_is_larger_than_a_tile_and_the_grid_is_bounded_for_a_huge_photo():
    predict = RecordedPredict(lambda predict, part: 0.001)
    found = predict_multiscale(np.zeros((5000, 9000, 3), np.uint8), predict)
    assert max(max(part.shape) for part in predict.parts) <= 1024
    assert max(found.shape[1:]) <= 2048


@pytest.mark.parametrize(("first", "later"), [(0.8, 0.2), (0.1, 0.9)])
def test_what_fills_the_photo_is_left_to_the_first_pass(first, later):
    predict = RecordedPredict(lambda predict, part: first if len(predict.parts) <= FIRST else later)
    found = predict_multiscale(textured((900, 1300)), predict)
    assert len(predict.parts) > FIRST
    np.testing.assert_allclose(found[0], first, atol=1e-6)


def test_later_passes_are_averaged_into_what_the_first_saw_and_all_classes_compete():
    def answer(predict, part):
        seen = (0.8, 0.1) if len(predict.parts) <= FIRST else (0.1, 0.7)
        return np.array(seen)[:, None, None] * redness(part)

    image = textured((900, 1300))
    image[300:500, 400:600] = (255, 0, 0)
    found = predict_multiscale(image, RecordedPredict(answer))
    rows, columns = found.shape[1:]
    np.testing.assert_allclose(
        found[:, round(400 / 900 * rows), round(500 / 1300 * columns)], (0.45, 0.4, 0.15), atol=0.01
    )


def test_the_rim_of_a_tile_is_not_used_inside_the_photo():
    def answer(predict, part):
        """Say no on the outermost 8 px of every tile, as a network without context might."""
        cells = redness(part) * 0.9
        if len(predict.parts) > FIRST:
            cells[:2] = cells[-2:] = 0
            cells[:, :2] = cells[:, -2:] = 0
        return cells

    image = textured((1100, 1300))
    image[430:670, 530:770] = (255, 0, 0)  # four tiles meet here
    found = predict_multiscale(image, predict := RecordedPredict(answer))

    assert len(predict.parts) > FIRST + 1
    rows, columns = found.shape[1:]
    inside = found[0, round(0.45 * rows) : round(0.55 * rows)]
    assert inside[:, round(0.45 * columns) : round(0.55 * columns)].min() > 0.85


def is_part_added(part_xyxy, probability):
    """Return whether a part is found that the passes at 512 and 384 px do not see."""
    body = (200, 150, 360, 330)
    left, top, right, bottom = part_xyxy
    image = blotted((400, 600), body)
    image[top:bottom, left:right] = (0, 255, 0)

    def answer(predict, part):
        coarse = len(predict.parts) <= FIRST and part.shape[1] < 768
        of_part = redness(part[..., [1, 0, 2]]) * (0 if coarse else probability)
        return redness(part) * 0.95 + of_part

    found = run_passes(image, RecordedPredict(answer)).merged[0]
    rows, columns = found.shape
    middle = round((top + bottom) / 800 * rows), round((left + right) / 1200 * columns)
    return bool(found[middle] > 0.5)


@settings(max_examples=20)
@given(
    top=st.integers(155, 290),
    width=st.integers(10, 30),
    length=st.integers(40, 90),
    probability=st.floats(0.85, 1.0),
)
def test_a_part_that_stands_out_counts_by_the_finest_pass(top, width, length, probability):
    assert is_part_added((360, top, 360 + length, top + width), probability)


@pytest.mark.parametrize(
    "part_xyxy",
    [
        pytest.param((372, 200, 420, 220), id="apart"),
        pytest.param((360, 180, 420, 300), id="too large a share of the object"),
    ],
)
def test_what_is_no_part_that_stands_out_does_not_count(part_xyxy):
    assert not is_part_added(part_xyxy, 0.95)


def test_a_part_of_which_the_finest_pass_is_not_sure_does_not_count():
    assert not is_part_added((360, 200, 420, 220), 0.7)


def test_without_a_candidate_nothing_is_enlarged():
    image = blotted((400, 600), (300, 200, 324, 224))
    predict = RecordedPredict(seen_from(70, faint=0.0))
    assert predict_multiscale(image, predict)[0].max() == 0
    assert len(predict.parts) == FIRST


def test_a_probable_part_of_a_large_doubtful_region_is_enlarged_too():
    image = textured((480, 640))
    image[200:240, 500:520] = (255, 0, 0)

    def answer(predict, part):
        first = len(predict.parts) <= FIRST
        return np.maximum(redness(part) * (0.02 if first else 0.99), 0.005 if first else 0.0)

    predict = RecordedPredict(answer)
    run_passes(image, predict)
    later = predict.parts[FIRST:]
    assert any(redness(part).any() for part in later)
    assert max(max(part.shape) for part in later) < 600, "not all of the region"


def test_a_refuted_candidate_is_not_enlarged_further():
    image = blotted((400, 600), (300, 200, 324, 224))
    predict = RecordedPredict(seen_from(70, half=0.0))
    assert predict_multiscale(image, predict)[0].max() < 0.5
    assert len(predict.parts) == FIRST + 1


def test_probabilities_lie_at_the_object_at_every_scale():
    for size_hw, box in [
        ((300, 450), (100, 50, 220, 170)),
        ((450, 300), (100, 50, 220, 170)),
        ((1100, 1500), (700, 300, 1100, 700)),
        ((101, 97), (20, 20, 60, 60)),
    ]:
        image = blotted(size_hw, box)
        image[::7, ::5] = np.minimum(image[::7, ::5], 60)  # detail, or every tile would be skipped
        found = predict_multiscale(
            image, RecordedPredict(lambda predict, part: redness(part) * 0.9)
        )
        full = cv2.resize(found[0], size_hw[::-1], interpolation=cv2.INTER_LINEAR) > 0.3
        left, top, right, bottom = box
        grid_px = max(size_hw) / max(found.shape[1:])
        seen = full[top + 4 : bottom - 4, left + 4 : right - 4]
        assert seen.mean() > 0.8
        outside = full.copy()
        slack = 4 + round(2 * grid_px)
        outside[top - slack : bottom + slack, left - slack : right + slack] = False
        assert not outside.any()


# --- networks that make their first pass themselves


def seen(probability, size_hw=(60, 80)):
    return with_rest(probability, size_hw)


@pytest.mark.parametrize("size_hw", [(480, 640), (1000, 1000), (90, 1000), (1, 1)])
def test_a_photo_of_up_to_1000_px_takes_no_second_pass(size_hw):
    predict = RecordedPredict(lambda predict, part: 1.0)
    found = predict_multiscale(
        textured(size_hw), predict, first_pass=seen(0.4), first_pass_side=520
    )
    assert predict.parts == []
    np.testing.assert_allclose(found[0], 0.4, atol=1e-6)


def test_a_large_photo_is_not_scanned():
    predict = RecordedPredict(lambda predict, part: 1.0)
    found = predict_multiscale(
        textured((1500, 2000)), predict, first_pass=seen(0.001), first_pass_side=693
    )
    assert predict.parts == []
    np.testing.assert_allclose(found[0], 0.001, atol=1e-6)


def test_candidates_of_a_large_photo_are_smoothed_and_not_enlarged():
    stripes = np.zeros((1500, 2000, 3), np.uint8)
    stripes[:, ::2] = 200  # 100 on average, and grey noise of 16 px against the rule of flat tiles
    stripes = stripes + textured((375, 500)).repeat(4, axis=0).repeat(4, axis=1) // 8
    first = seen(0.0)
    first[:, 20:24, 30:34] = np.reshape([0.4, 0.2], (2, 1, 1))
    predict = RecordedPredict(lambda predict, part: 0.9)
    found = predict_multiscale(stripes, predict, first_pass=first, first_pass_side=693)
    assert len(predict.parts) == 1  # at 1,386 px; 2,772 would enlarge it
    (part,) = predict.parts
    assert part.shape[0] % SIDE_MULTIPLE == part.shape[1] % SIDE_MULTIPLE == 0
    assert np.abs(np.diff(part[..., 0].astype(int), axis=1)).max() < 100, "stripes show"
    assert found[0, 275, 400] > 0.6
    assert found[0, 700:].max() == 0


@pytest.mark.parametrize("size_hw", [(400, 500), (1100, 1300), (1500, 2000)])
def test_the_result_does_not_depend_on_the_concurrency(size_hw):
    image = blotted(size_hw, (100, 50, 220, 170))
    image[::7, ::5] = np.minimum(image[::7, ::5], 60)
    one, several = (RecordedPredict(lambda predict, part: redness(part) * 0.2) for _ in range(2))
    expected = predict_multiscale(image, one)
    np.testing.assert_array_equal(predict_multiscale(image, several, max_concurrency=4), expected)
    assert sorted(part.shape for part in one.parts) == sorted(part.shape for part in several.parts)


def test_in_a_narrow_photo_an_object_longer_than_it_is_high_is_seen_whole():
    image = textured((64, 4000))
    image[20:40, 900:1020] = (255, 0, 0)
    predict = RecordedPredict(
        lambda predict, part: redness(part) * (0.02 if len(predict.parts) <= FIRST else 0.99)
    )
    (found,) = small_objects_in(image, predict)
    px_per_cell = 4000 / run_passes(image, predict).merged.shape[2]
    columns = found.place[1]
    assert columns.start * px_per_cell == pytest.approx(900, abs=2 * px_per_cell)
    assert columns.stop * px_per_cell == pytest.approx(1020, abs=2 * px_per_cell)


def test_candidates_in_panoramas_wider_than_opencv_samples_are_enlarged():
    image = textured((64, 34_000))
    image[20:44, 33_400:33_450] = (255, 0, 0)

    def answer(predict, part):
        seen = redness(part) * 0.2
        if len(predict.parts) <= FIRST:
            seen[:, -3:] = 0.02
        return seen

    predict = RecordedPredict(answer)
    run_passes(image, predict)
    assert max(redness(part).any(axis=0).sum() for part in predict.parts) * STRIDE > 20
