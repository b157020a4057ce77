"""An object that is marked once is found in other photos, and nothing else is."""

import cv2
import numpy as np
import pytest

from cleanplate import ExampleSegmenter, Remover
from cleanplate.errors import InputError, ShapeMismatchError, UnknownNameError
from cleanplate.ops.masks import rasterize

SIZES_HW = [(1, 1), (1, 2), (3, 1), (8, 600), (600, 8), (33, 31), (301, 97)]


def oval(size_hw, centre, axes):
    mask = np.zeros(size_hw, np.uint8)
    cv2.ellipse(mask, centre, axes, 0, 0, 360, 1, -1)
    return mask > 0


@pytest.fixture(scope="module")
def cup(coffee):
    """Return the photo of a cup, and its mask."""
    return coffee, oval(coffee.shape[:2], (300, 190), (160, 130))


@pytest.fixture(scope="module")
def segmenter(cup):
    return ExampleSegmenter(*cup)


def put(ground, cup, onto, change=lambda thing: thing):
    """Return a photo with the cup in it, and where it is."""
    image, mask = cup
    size_wh = ground.shape[1::-1]
    thing = change(cv2.warpPerspective(image, onto, size_wh, borderMode=cv2.BORDER_REPLICATE))
    truth = cv2.warpPerspective(mask.astype(np.uint8), onto, size_wh) > 0
    return np.where(truth[..., None], thing, ground).astype(np.uint8), truth


def placed(centre, scale, angle=0.0):
    onto = np.vstack([cv2.getRotationMatrix2D((300, 190), angle, scale), [0, 0, 1]])
    return np.array([[1, 0, centre[0] - 300], [0, 1, centre[1] - 190], [0, 0, 1]]) @ onto


def iou(instance, truth):
    mask = rasterize([instance], truth.shape)
    return np.count_nonzero(mask & truth) / np.count_nonzero(mask | truth)


ASKEW = placed((320, 210), 0.9) @ np.array([[1, 0.05, 0], [-0.05, 1, 0], [4e-4, -2e-4, 1]])


@pytest.mark.parametrize(
    ("onto", "change"),
    [
        (placed((200, 200), 0.5), lambda thing: thing),
        (placed((350, 220), 1.3), lambda thing: thing),
        (placed((320, 210), 1.0, 25), lambda thing: thing),
        (ASKEW, lambda thing: thing),
        (placed((320, 210), 0.9), lambda thing: np.clip(thing * 0.6 + 20, 0, 255)),
        (placed((320, 210), 0.9), lambda thing: cv2.GaussianBlur(thing, (0, 0), 1.5)),
    ],
    ids=["smaller", "larger", "turned", "askew", "darker", "blurred"],
)
@pytest.mark.slow
def test_it_is_found_in_another_photo(segmenter, cup, rocket, onto, change):
    photo, truth = put(rocket, cup, onto, change)
    (found,) = segmenter.segment(photo, ["example"])
    assert iou(found, truth) > 0.95
    assert (found.id, found.label) == (1, "example")
    assert found.score > 0.8


def test_the_example_itself_is_found_to_the_pixel(segmenter, cup):
    (found,) = segmenter.segment(cup[0], ["example"])
    assert iou(found, cup[1]) > 0.99
    assert found.score == 1


def test_hidden_in_part_it_is_found_with_a_lower_score(segmenter, cup, rocket):
    photo, truth = put(rocket, cup, placed((320, 210), 0.9))
    photo[:, 350:] = rocket[:, 350:]
    (found,) = segmenter.segment(photo, ["example"])
    assert iou(found, truth) > 0.95
    assert 0.5 <= found.score < 0.95


def test_two_of_them_are_two_objects(segmenter, cup, rocket):
    wide = cv2.resize(rocket, (900, 427))
    photo, first = put(wide, cup, placed((200, 200), 0.9))
    photo, second = put(photo, cup, placed((650, 210), 0.7, 10))
    found = segmenter.segment(photo, ["example"])
    assert [instance.id for instance in found] == [1, 2]
    assert iou(found[0], first) > 0.95
    assert iou(found[1], second) > 0.95


@pytest.mark.parametrize("name", ["astronaut", "cat", "rocket", "gravel"])
def test_nothing_is_found_where_it_is_not(segmenter, name, request):
    assert segmenter.segment(request.getfixturevalue(name), ["example"]) == []


def test_its_mirror_image_is_another_object(segmenter, cup):
    elsewhere = cup[0][:, :580:-1], cup[0][:, ::-1]  # wider, so that no place is the example's
    assert segmenter.segment(np.hstack(elsewhere), ["example"]) == []


def stamped(ground, text="(c) Example", opacity=1.0):
    shape = np.zeros(ground.shape[:2], np.float32)
    place = ground.shape[1] - 230, ground.shape[0] - 30
    cv2.putText(shape, text, place, cv2.FONT_HERSHEY_DUPLEX, 1, (opacity,), 2, cv2.LINE_AA)
    return (ground * (1 - shape[..., None]) + 255 * shape[..., None]).astype(np.uint8), shape > 0.2


def test_a_half_transparent_mark_is_found_at_its_place(coffee, rocket):
    grounds = [cv2.resize(photo, (640, 420)) for photo in (coffee, rocket)]
    image, mask = stamped(grounds[0], opacity=0.5)
    mask = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((15, 15))) > 0
    segmenter = ExampleSegmenter(image, mask)
    (found,) = segmenter.segment(stamped(grounds[1], opacity=0.5)[0], ["example"])
    assert iou(found, mask) > 0.9
    assert segmenter.segment(grounds[1], ["example"]) == []
    smaller = cv2.resize(stamped(grounds[1], opacity=0.5)[0], (480, 315))
    assert len(segmenter.segment(smaller, ["example"])) == 1


@pytest.mark.slow
def test_a_plain_sign_is_found_elsewhere_but_not_in_another_colour(coffee, rocket):
    def with_sign(ground, centre, radius, colour):
        image = ground.copy()
        cv2.circle(image, centre, radius, colour, -1, cv2.LINE_AA)
        bar = radius * 2 // 3, radius // 6
        corner = centre[0] - bar[0], centre[1] - bar[1]
        cv2.rectangle(image, corner, (centre[0] + bar[0], centre[1] + bar[1]), (255,) * 3, -1)
        return image

    image = with_sign(coffee, (500, 100), 60, (200, 30, 30))
    segmenter = ExampleSegmenter(image, oval(image.shape[:2], (500, 100), (60, 60)))
    (found,) = segmenter.segment(with_sign(rocket, (420, 150), 72, (200, 30, 30)), ["example"])
    assert iou(found, oval(rocket.shape[:2], (420, 150), (72, 72))) > 0.9
    assert segmenter.segment(with_sign(rocket, (420, 150), 72, (30, 120, 200)), ["example"]) == []


def test_several_examples_find_what_any_of_them_finds(segmenter, cup, cat, rocket):
    face = ExampleSegmenter(cat, oval(cat.shape[:2], (230, 150), (100, 110)), label="cat")
    both = ExampleSegmenter.joined([segmenter, face])
    wide = cv2.resize(rocket, (900, 427))
    photo, first = put(wide, cup, placed((200, 200), 0.9))
    photo[60:360, 440:891] = cat
    found = both.segment(photo, ["example"])
    assert both.labels == ("example",)
    assert len(found) == 2
    assert max(iou(instance, first) for instance in found) > 0.95
    with pytest.raises(InputError, match="no example to join"):
        ExampleSegmenter.joined([])


@pytest.mark.slow
def test_it_is_removed_and_not_found_in_its_hole(segmenter, cup, gravel):
    photo, truth = put(gravel, cup, placed((250, 250), 0.8))
    remover = Remover(segmenter=segmenter, inpainter="telea")
    removal = remover(photo, ["example"])
    assert len(removal.instances) == 1
    assert removal.remaining == ()
    assert removal.refills == 0
    assert (removal.mask | ~truth).mean() > 0.999
    assert segmenter.segment(removal.image, ["example"]) == []


def test_what_was_missed_is_found_when_looked_for_again(segmenter, cup, gravel):
    from cleanplate.segmentation.verification import detect_remaining

    photo, truth = put(gravel, cup, placed((250, 250), 0.8))
    remaining = detect_remaining(
        photo, truth, removed=[], kept=[], segmenter=segmenter, labels=["example"],
        min_score=0.5, min_area=0,
    )  # fmt: skip
    assert len(remaining) == 1
    assert iou(remaining[0], truth) > 0.9


def test_the_label_is_the_users(cup, cat):
    segmenter = ExampleSegmenter(*cup, label="cup")
    assert segmenter.labels == ("cup",)
    assert segmenter.segment(cup[0], ["cup"])[0].label == "cup"
    with pytest.raises(UnknownNameError, match="unknown label 'example'; known: cup"):
        segmenter.segment(cat, ["example"])
    assert segmenter.segment(cat, []) == []
    assert (segmenter.name, segmenter.provider) == ("example", "OpenCV")


@pytest.mark.parametrize("size_hw", SIZES_HW)
def test_photos_of_any_size_will_do(segmenter, cup, size_hw):
    small = cv2.resize(cup[0], size_hw[::-1], interpolation=cv2.INTER_AREA)
    for photo in (small, np.zeros_like(small), np.full_like(small, 255), np.asfortranarray(small)):
        before = photo.copy()
        found = segmenter.segment(photo, ["example"])
        np.testing.assert_array_equal(photo, before, err_msg="the input was modified")
        times = np.zeros(size_hw, int)
        for instance in found:
            left, top, right, bottom = instance.box_xyxy
            assert 0 <= left < right <= size_hw[1]
            assert 0 <= top < bottom <= size_hw[0]
            assert instance.mask.shape == (bottom - top, right - left)
            assert 0 < instance.score <= 1
            times[top:bottom, left:right] += instance.mask
        assert times.max() <= 1


@pytest.mark.parametrize("seed", range(4))
def test_pieces_of_the_example_do_no_harm(segmenter, cup, seed):
    rng = np.random.default_rng(seed)
    for _ in range(5):
        height, width = rng.integers(1, 120, 2)
        top, left = rng.integers(400 - height), rng.integers(600 - width)
        part = cup[0][top : top + height, left : left + width]
        for instance in segmenter.segment(part, ["example"]):
            assert instance.mask.any()
            assert instance.mask.shape[0] <= height


def test_the_same_photo_gives_the_same_objects(segmenter, cup, rocket):
    photo, _ = put(rocket, cup, ASKEW)
    first, second = (segmenter.segment(photo, ["example"])[0] for _ in range(2))
    assert (first.box_xyxy, first.score) == (second.box_xyxy, second.score)
    np.testing.assert_array_equal(first.mask, second.mask)


def test_a_mask_at_the_edge_and_of_several_parts_will_do(coffee, cat):
    mask = np.zeros(coffee.shape[:2], np.bool_)
    mask[:120, :200] = mask[300:, 400:] = True
    segmenter = ExampleSegmenter(coffee, mask)
    (found,) = segmenter.segment(coffee, ["example"])
    assert iou(found, mask) > 0.98
    assert segmenter.segment(cat, ["example"]) == []


def test_the_whole_photo_may_be_marked(cat):
    segmenter = ExampleSegmenter(cat, np.ones(cat.shape[:2], np.bool_))
    (found,) = segmenter.segment(cat, ["example"])
    assert found.mask.mean() > 0.98


def test_a_blank_object_is_refused(coffee):
    blank = coffee.copy()
    blank[100:200, 100:200] = 128
    mask = np.zeros(coffee.shape[:2], np.bool_)
    mask[110:190, 110:190] = True
    with pytest.raises(InputError, match="too little texture"):
        ExampleSegmenter(blank, mask)


def test_masks_that_cannot_be_used_are_refused(coffee):
    mask = np.zeros(coffee.shape[:2], np.bool_)
    with pytest.raises(InputError, match="the example's mask is empty"):
        ExampleSegmenter(coffee, mask)
    mask[10:18, 10:15] = True
    with pytest.raises(InputError, match="is 5 x 8 px, too small to be recognised"):
        ExampleSegmenter(coffee, mask)
    with pytest.raises(ShapeMismatchError, match="transposed"):
        ExampleSegmenter(coffee, mask.T)
    with pytest.raises(InputError, match="0 and 255 only, got 1"):
        ExampleSegmenter(coffee, mask.astype(np.uint8))
    with pytest.raises(InputError, match=r"mask must be .*list"):
        ExampleSegmenter(coffee, mask.tolist())


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 6), np.uint8), np.zeros((4, 6, 3), np.float32), np.zeros((0, 6, 3), np.uint8)],
    ids=["grey", "float", "empty"],
)
def test_other_arrays_are_refused(segmenter, image):
    with pytest.raises(InputError, match="image must be"):
        segmenter.segment(image, ["example"])


@pytest.mark.parametrize("colour", [None, (250, 30, 30)])
def test_panoramas_wider_than_opencv_warps_are_searched(rng, colour):
    image = np.full((64, 33_000, 3), 90, np.uint8)
    mask = np.zeros(image.shape[:2], np.bool_)
    mask[10:50, 32_800:32_850] = True
    thing = rng.integers(0, 256, (8, 10, 3)).astype(np.uint8)
    image[mask] = cv2.resize(thing, (50, 40)).reshape(-1, 3) if colour is None else colour
    (found,) = ExampleSegmenter(image, mask).segment(image, ["example"])
    assert np.abs(np.subtract(found.box_xyxy, (32_800, 10, 32_850, 50))).max() <= 1
