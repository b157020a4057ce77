"""Multiscale inference, with a `predict` that records its inputs."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleanplate.segmentation.multiscale import (
    FIRST_PASS_SIDE,
    SIDE_MULTIPLE,
    Passes,
    SmallObject,
    add_small,
    run_passes,
)

STRIDE = 4  # px of a part for each cell of found
POSSIBLE = 0.002  # too little for a candidate, enough to be scanned
FIRST = 3  # sizes of the complete photo in the first pass


def predict_multiscale(image, predict, **options):
    """Return the probabilities, with the small objects that the looks confirm."""
    passes = run_passes(image, predict, **options)
    sure = [it for it in passes.small if (it.closest + it.again)[it.index] > 3.5]
    return add_small(passes, [(it, 0.95) for it in sure])


class RecordedPredict:
    """Keeps the parts it was shown and answers with what a function makes of them.

    The answer is of one class, or of several; everything else gets the rest, as a last plane.
    """

    def __init__(self, answer) -> None:
        self.answer = answer
        self.parts: list[np.ndarray] = []

    def __call__(self, part):
        self.parts.append(part.copy())
        rows, columns = part.shape[0] // STRIDE, part.shape[1] // STRIDE
        return with_rest(self.answer(self, part), (rows, columns))


def with_rest(probabilities, size_hw):
    """Return (C + 1, h, w) float32 for one class or (C, ...) classes."""
    planes = np.asarray(probabilities, np.float32)
    planes = planes if planes.ndim == 3 else planes[None]
    planes = np.broadcast_to(planes, (len(planes), *size_hw))
    return np.concatenate([planes, 1 - planes.sum(axis=0, keepdims=True)])


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


@pytest.mark.parametrize(
    ("side_px", "probability", "counts"),
    [(18, 0.95, True), (18, 0.8, False), (90, 0.8, False), (90, 0.95, True), (200, 0.98, False)],
)
def test_what_only_later_passes_saw_counts_if_it_is_small_and_certain(side_px, probability, counts):
    def answer(predict, part):
        return redness(part) * (0.01 if len(predict.parts) <= FIRST else probability)

    image = textured((900, 1300))
    image[300 : 300 + side_px, 400 : 400 + side_px] = (255, 0, 0)
    found = predict_multiscale(image, RecordedPredict(answer))
    assert (found[0].max() > 0.5) == counts


def test_a_small_object_that_the_first_pass_doubted_counts_by_later_ones():
    def answer(predict, part):
        return redness(part) * (0.4 if len(predict.parts) <= FIRST else 0.98)

    image = textured((900, 1300))
    image[300:360, 400:460] = (255, 0, 0)
    found = predict_multiscale(image, RecordedPredict(answer))
    assert found[0].max() > 0.9


@pytest.mark.parametrize(("again", "counts"), [(0.98, True), (0.02, False)])
def test_what_one_more_look_does_not_see_does_not_count(again, counts):
    def answer(predict, part):
        if len(predict.parts) <= FIRST:
            return redness(part) * 0.1
        return redness(part) * (again if part.shape[:2] == (256, 256) else 0.98)

    image = textured((900, 1300))
    image[300:360, 400:460] = (255, 0, 0)
    image[300:360, 440:460] = (0, 0, 255)
    found = predict_multiscale(image, predict := RecordedPredict(answer))
    assert (found[0].max() > 0.5) == counts
    # Its 40 x 60 px are in the middle, mirrored, and what is beside it is on the left.
    red = redness(predict.parts[-1])
    middle = len(red) // 2
    assert red[middle, middle + 2]
    assert not red[middle, middle - len(red) // 3]


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


def redness(part):
    """Return, for each cell, whether its centre is red."""
    centre = part[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE].astype(int)
    return (centre[..., 0] > 180) & (centre[..., 1] < 60)


def seen_from(sure_px, faint=0.01, half=0.2, clear=0.9):
    """Return an answer: a red blot is seen when it is `sure_px` wide, suspected when smaller."""

    def answer(predict, part):
        red = redness(part)
        wide_px = red.any(axis=0).sum() * STRIDE
        if wide_px >= sure_px:
            return red * clear
        return red * (half if wide_px > sure_px / 2 else faint)

    return answer


def blotted(size_hw, box):
    image = np.repeat(np.full(size_hw, 120, np.uint8)[..., None], 3, axis=2)
    left, top, right, bottom = box
    image[top:bottom, left:right] = (255, 0, 0)
    return image


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


def test_an_object_detected_only_when_enlarged_is_found_at_a_candidate():
    image = blotted((400, 600), (300, 200, 324, 224))
    # Its 24 px are 82 at the closest level, 41 at the one before.
    predict = RecordedPredict(seen_from(70, clear=0.97))

    found = predict_multiscale(image, predict)

    assert found[0].max() > 0.85
    rows, columns = np.nonzero(found[0] > 0.5)
    down, across = 400 / found.shape[1], 600 / found.shape[2]
    assert rows.min() * down == pytest.approx(200, abs=4)
    assert (rows.max() + 1) * down == pytest.approx(224, abs=4)
    assert columns.min() * across == pytest.approx(300, abs=4)
    assert (columns.max() + 1) * across == pytest.approx(324, abs=4)


@pytest.mark.parametrize("box", [(300, 200, 324, 224), (0, 0, 24, 30), (576, 370, 600, 400)])
def test_a_small_object_is_looked_at_twice_each_time_larger(box):
    image = blotted((400, 600), box)
    predict = RecordedPredict(seen_from(70, clear=0.97))
    (item,) = run_passes(image, predict).small
    assert item.again.shape == item.closest.shape == (2,)
    assert item.again[0] > 1
    assert item.again[1] < -1
    looks = predict.parts[-2:]
    assert [part.shape for part in looks] == [(256, 256, 3), (320, 320, 3)]
    long_side = max(box[2] - box[0], box[3] - box[1])
    for part, most in zip(looks, (112, 6 * long_side), strict=True):
        rows, columns = np.nonzero(redness(part))
        assert max(np.ptp(rows), np.ptp(columns)) * STRIDE == pytest.approx(most, rel=0.15)


def test_what_the_first_look_does_not_see_gets_no_second_one():
    image = blotted((400, 600), (300, 200, 324, 224))
    sees = seen_from(20, clear=0.97)
    predict = RecordedPredict(
        lambda predict, part: sees(predict, part) * (part.shape[:2] != (256, 256))
    )
    assert run_passes(image, predict).small == []
    assert predict.parts[-1].shape == (256, 256, 3)


def sees_more_in_looks(predict, part):
    """Return where a part is red, in the looks where it is red or blue."""
    if len(predict.parts) <= FIRST:
        return redness(part) * 0.1
    is_look = part.shape[:2] in {(256, 256), (320, 320)}
    return np.maximum(redness(part), redness(part[..., ::-1]) if is_look else 0) * 0.97


def test_a_small_object_grows_to_what_the_looks_see():
    image = blotted((400, 600), (300, 200, 324, 210))
    image[210:230, 300:324] = (0, 0, 255)
    image[260:270, 300:324] = (0, 0, 255)  # apart
    (item,) = run_passes(image, RecordedPredict(sees_more_in_looks)).small
    rows, columns = item.place
    assert (rows.start * 2, rows.stop * 2) == pytest.approx((200, 230), abs=4)
    assert (columns.start * 2, columns.stop * 2) == pytest.approx((300, 324), abs=4)
    assert item.inside.mean() > 0.9


@pytest.mark.parametrize(("right", "counts"), [(330, True), (420, False)])
def test_what_the_looks_cut_off_is_part_of_something_larger(right, counts):
    image = blotted((400, 600), (300, 200, 310, 224))
    image[195:229, 310:right] = (0, 0, 255)
    assert len(run_passes(image, RecordedPredict(sees_more_in_looks)).small) == counts


def test_a_small_object_may_be_of_any_class():
    image = blotted((400, 600), (300, 200, 324, 224))
    sees = seen_from(70, clear=0.97)

    def answer(predict, part):
        second = sees(predict, part)
        return np.stack([0 * second, second])

    assert [it.index for it in run_passes(image, RecordedPredict(answer)).small] == [1]


@pytest.mark.parametrize(("first", "is_looked_at"), [(0.0, False), (0.01, True)])
def test_only_what_may_be_of_a_class_asked_for_is_looked_at(first, is_looked_at):
    image = blotted((400, 600), (300, 200, 324, 224))
    sees = seen_from(70, clear=0.97)

    def answer(predict, part):
        return np.stack([redness(part) * first, sees(predict, part)])

    predict = RecordedPredict(answer)
    assert len(run_passes(image, predict, asked=1).small) == is_looked_at
    last = [part.shape[:2] for part in predict.parts[-2:]]
    assert (last == [(256, 256), (320, 320)]) == is_looked_at


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


def test_a_small_object_has_the_class_it_is_given():
    merged, closest = np.zeros((2, 3, 4, 5), np.float32)
    merged[:] = 0.3
    closest[:] = np.array([0.8, 0.1, 0.1], np.float32)[:, None, None]
    inside = np.array([[True, False], [True, True]])
    item = SmallObject(1, np.s_[1:3, 2:4], inside, *np.zeros((2, 3), np.float32))
    found = add_small(Passes(merged, closest, [item]), [(item, 0.8)])
    np.testing.assert_allclose(found[:, 2, 3], (0, 0.8, 0.2), atol=1e-6)
    np.testing.assert_allclose(found[:, 1, 3], 0.3)


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
    (found,) = run_passes(image, predict).small
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
