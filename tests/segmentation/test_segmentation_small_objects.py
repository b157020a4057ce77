"""Small objects, with a `predict` that records its inputs."""

import numpy as np
import pytest
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
)

from cleanplate.segmentation.multiscale import Passes
from cleanplate.segmentation.small_objects import SmallObject, add_small


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
    (item,) = small_objects_in(image, predict)
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
    assert small_objects_in(image, predict) == []
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
    (item,) = small_objects_in(image, RecordedPredict(sees_more_in_looks))
    rows, columns = item.place
    assert (rows.start * 2, rows.stop * 2) == pytest.approx((200, 230), abs=4)
    assert (columns.start * 2, columns.stop * 2) == pytest.approx((300, 324), abs=4)
    assert item.inside.mean() > 0.9


@pytest.mark.parametrize(("right", "counts"), [(330, True), (420, False)])
def test_what_the_looks_cut_off_is_part_of_something_larger(right, counts):
    image = blotted((400, 600), (300, 200, 310, 224))
    image[195:229, 310:right] = (0, 0, 255)
    assert len(small_objects_in(image, RecordedPredict(sees_more_in_looks))) == counts


def test_a_small_object_may_be_of_any_class():
    image = blotted((400, 600), (300, 200, 324, 224))
    sees = seen_from(70, clear=0.97)

    def answer(predict, part):
        second = sees(predict, part)
        return np.stack([0 * second, second])

    assert [it.index for it in small_objects_in(image, RecordedPredict(answer))] == [1]


@pytest.mark.parametrize(("first", "is_looked_at"), [(0.0, False), (0.01, True)])
def test_only_what_may_be_of_a_class_asked_for_is_looked_at(first, is_looked_at):
    image = blotted((400, 600), (300, 200, 324, 224))
    sees = seen_from(70, clear=0.97)

    def answer(predict, part):
        return np.stack([redness(part) * first, sees(predict, part)])

    predict = RecordedPredict(answer)
    assert len(small_objects_in(image, predict, asked=1)) == is_looked_at
    last = [part.shape[:2] for part in predict.parts[-2:]]
    assert (last == [(256, 256), (320, 320)]) == is_looked_at


def test_a_small_object_has_the_class_it_is_given():
    merged, closest = np.zeros((2, 3, 4, 5), np.float32)
    merged[:] = 0.3
    closest[:] = np.array([0.8, 0.1, 0.1], np.float32)[:, None, None]
    inside = np.array([[True, False], [True, True]])
    item = SmallObject(1, np.s_[1:3, 2:4], inside, *np.zeros((2, 3), np.float32))
    found = add_small(Passes(merged, closest, merged[:-1] > 1), [(item, 0.8)])
    np.testing.assert_allclose(found[:, 2, 3], (0, 0.8, 0.2), atol=1e-6)
    np.testing.assert_allclose(found[:, 1, 3], 0.3)
