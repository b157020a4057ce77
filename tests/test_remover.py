"""From a photo and some words to the photo without those objects."""

import math
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cleanplate import remover as pipeline
from cleanplate.errors import InputError, ShapeMismatchError, UnknownNameError
from cleanplate.hub import list_models
from cleanplate.inpainting import create_inpainter
from cleanplate.inpainting import fill as filling
from cleanplate.inpainting.base import inpaint_scaled
from cleanplate.io import Photo
from cleanplate.ops.masks import bounding_box, default_dilation_px, dilate
from cleanplate.ops.tiling import plan_windows
from cleanplate.options import RemovalOptions, Rules
from cleanplate.plan import edit_plan
from cleanplate.remover import Remover
from cleanplate.segmentation.interactive.prompts import Outline
from cleanplate.types import Instance
from random_arrays import arrays

RED, DIM_RED, BLUE, SKY = (250, 0, 0), (110, 0, 0), (0, 0, 250), (120, 150, 190)


def photo_with(*blots, size_hw=(200, 300)):
    """Return a plain photo with rectangles of (left, top, right, bottom), colour."""
    image = np.full((*size_hw, 3), SKY, np.uint8)
    for (left, top, right, bottom), colour in blots:
        image[top:bottom, left:right] = colour
    return image


@pytest.fixture
def remover(fake_segmenter, fake_inpainter):
    return Remover(segmenter=fake_segmenter, inpainter=fake_inpainter)


# --- find


def test_objects_are_chosen_by_score_and_area_and_the_others_are_reported(remover):
    image = photo_with(
        ((20, 20, 60, 60), RED), ((100, 20, 120, 40), DIM_RED), ((200, 20, 205, 25), RED)
    )
    chosen, left = remover.find(image, ["person"], RemovalOptions(min_score=0.5, min_area=100))
    assert [x.box_xyxy for x in chosen] == [(20, 20, 60, 60)]
    assert [x.box_xyxy for x in left] == [(100, 20, 120, 40), (200, 20, 205, 25)]


def test_an_object_across_a_panoramas_border_is_one(remover):
    image = photo_with(((0, 20, 30, 60), RED), ((280, 20, 300, 60), RED))
    assert len(remover.find(image, "person")[0]) == 2
    panorama = Photo("<image>", image, "PNG", wraps=True)
    plan = remover.plan(panorama, "person")
    (whole,) = plan.instances
    assert (whole.box_xyxy, whole.area_px) == ((0, 20, 300, 60), 50 * 40)
    margin = int(default_dilation_px(whole))
    assert plan.mask[40, 30 : 30 + margin].all()
    assert not plan.mask[40, 40:260].any()


class WholeOnly:
    """Finds the middles of objects, and nothing at the right border of the photo."""

    name, provider, labels = "whole", "test", ("person", "dog", "car")

    def __init__(self, segmenter):
        self._segmenter = segmenter

    def segment(self, image, labels):
        found = self._segmenter.segment(image, labels)
        middles = [
            replace(
                it,
                mask=cv2.erode(np.pad(it.mask, 1).view(np.uint8), np.ones((5, 5)))[1:-1, 1:-1] > 0,
            )
            for it in found
        ]
        return [it for it in middles if it.box_xyxy[2] < image.shape[1]]


class ShadowBelow:
    """Finds a shadow below an object that the photo's border does not cut."""

    def find(self, image, mask, *, strong=False):
        assert not mask[:, [0, -1]].any()
        return np.roll(mask, 6, axis=0) & ~mask


@pytest.mark.parametrize(("pitch_px", "is_told"), [(5, True), (12, False)])
def test_a_note_tells_of_specks_that_the_inpainter_does_not_fill(
    fake_segmenter, fake_inpainter, pitch_px, is_told
):
    mask = np.zeros((200, 300), np.bool_)
    mask[::pitch_px, ::pitch_px] = True  # 2,400 specks; 425
    remover = Remover(segmenter=fake_segmenter, inpainter=fake_inpainter)
    removal = remover.fill(np.full((200, 300, 3), 90, np.uint8), mask)
    told = [note for note in removal.notes if "1,000 specks" in note]
    assert len(told) == is_told
    assert all(fake_inpainter.name in note for note in told)


def test_no_note_tells_of_specks_that_the_inpainter_fills_itself(fake_segmenter):
    mask = np.zeros((200, 300), np.bool_)
    mask[::5, ::5] = True
    remover = Remover(segmenter=fake_segmenter, inpainter="navier-stokes")
    assert remover.fill(np.full((200, 300, 3), 90, np.uint8), mask).notes == ()


@pytest.mark.parametrize("turned", [0, 20, 45, 80])
def test_a_panorama_is_searched_and_outlined_where_its_border_cuts_nothing(
    fake_segmenter, fake_inpainter, rng, monkeypatch, turned
):
    monkeypatch.setattr(pipeline, "EffectsDetector", lambda *_, **__: ShadowBelow())
    size_hw = (120, 3600)
    image = photo_with(((200, 40, 220, 50), RED), size_hw=size_hw)
    cv2.ellipse(image, (60, 60), (30, 40), 0, 0, 360, RED, -1)
    image -= rng.integers(0, 9, size_hw, np.uint8)[..., None] // 2 * (image > 20)
    remover = Remover(segmenter=WholeOnly(fake_segmenter), inpainter=fake_inpainter)

    def planned(by):
        panorama = Photo("<image>", np.roll(image, -by, axis=1), "PNG", wraps=True)
        removed = remover.plan(panorama, "person", RemovalOptions(effects="strong"))
        options = RemovalOptions(effects="strong", rules=Rules(keep=1))
        kept = remover.plan(panorama, "person", options)
        edited = edit_plan(
            panorama.pixels,
            kept,
            remove={1: True},
            mask=kept.mask,
            complete=remover.outliner.complete,
            detector=lambda: remover.effects_detector,
        )
        return removed, edited

    for plan, whole in zip(planned(turned), planned(0), strict=True):
        assert len(plan.instances) == 2
        assert plan.effects.any()
        assert [it.area_px for it in plan.instances] == [it.area_px for it in whole.instances]
        np.testing.assert_array_equal(np.roll(plan.mask, turned, axis=1), whole.mask)


def test_the_limits_are_inclusive(remover):
    image = photo_with(((20, 20, 30, 30), (153, 0, 0)))  # 0.6, 100 px
    assert len(remover.find(image, "person", RemovalOptions(min_score=0.6, min_area=100))[0]) == 1
    assert len(remover.find(image, "person", RemovalOptions(min_score=0.61))[1]) == 1
    assert len(remover.find(image, "person", RemovalOptions(min_area=101))[1]) == 1


@pytest.mark.parametrize("labels", ["people", ["15"], "man, cars", ("kid", "7")])
def test_labels_are_words_of_any_kind(remover, fake_segmenter, labels):
    remover.find(photo_with(), labels)
    expected = ("person",) if "car" not in str(labels) and "7" not in labels else ("car", "person")
    assert fake_segmenter.asked == [expected]


def test_labels_that_the_segmenter_does_not_know_are_refused(remover):
    with pytest.raises(UnknownNameError, match="unknown label 'sheep'; known: car, dog, person"):
        remover.find(photo_with(), ["sheep"])
    with pytest.raises(InputError, match="no label given"):
        remover(photo_with(), [])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"min_score": -0.1}, r"min_score must be in \[0, 1\], got -0.1"),
        ({"min_score": 1.1}, r"min_score must be in \[0, 1\], got 1.1"),
        ({"min_score": math.nan}, r"min_score must be in \[0, 1\], got nan"),
        ({"min_area": -1}, "min_area must be at least 0 px, .* such as 5%, got -1"),
        ({"points": [(1, 2, 3)]}, "points"),
        ({"rules": 7}, "rules.*int"),
    ],
)
def test_options_out_of_range_are_refused(options, match):
    with pytest.raises(InputError, match=match):
        RemovalOptions(**options)


# --- remove


def test_objects_are_removed_and_all_else_stays_identical(remover):
    image = photo_with(((20, 20, 60, 60), RED), ((200, 100, 240, 180), BLUE))
    before = image.copy()

    removal = remover(image, ["person"])

    assert removal.changed
    assert [x.label for x in removal.instances] == ["person"]
    assert removal.kept == ()
    assert removal.notes == ()
    assert (removal.image[20:60, 20:60] == SKY).all()
    np.testing.assert_array_equal(removal.image[~removal.mask], image[~removal.mask])
    assert (removal.image[100:180, 200:240] == BLUE).all()
    np.testing.assert_array_equal(image, before, err_msg="the input was modified")


class ForgetfulInpainter:
    """Paints a red square in the middle of each of its first fills; plain sky from then on."""

    name, provider, working_size = "forgetful", "NumPy", None

    def __init__(self, times: int) -> None:
        self.times = times
        self.given = 0

    def inpaint(self, image, mask):
        result = np.where(mask[..., None], np.array(SKY, np.uint8), image)
        self.given += 1
        if self.given <= self.times:
            down, across = (int(place.mean()) for place in np.nonzero(mask))
            result[down - 6 : down + 6, across - 6 : across + 6] = RED
        return result


def test_what_a_fill_still_shows_is_filled_once_more(fake_segmenter):
    remover = Remover(segmenter=fake_segmenter, inpainter=ForgetfulInpainter(1))
    image = photo_with(((80, 60, 160, 140), RED))
    removal = remover(image, "person")
    assert removal.refills == 1
    assert removal.remaining == ()
    assert np.abs(removal.image[65:135, 85:155].astype(int) - SKY).max() <= 2
    assert removal.timings_s["verify"] > 0
    np.testing.assert_array_equal(removal.image[~removal.mask], image[~removal.mask])


def test_it_gives_up_after_two_more_fills_and_tells_what_remains(fake_segmenter):
    inpainter = ForgetfulInpainter(99)
    remover = Remover(segmenter=fake_segmenter, inpainter=inpainter)
    removal = remover(photo_with(((80, 60, 160, 140), RED)), "person")
    assert inpainter.given <= 3
    assert [x.label for x in removal.remaining] == ["person"]
    left, top, right, bottom = removal.remaining[0].box_xyxy
    assert removal.mask[top:bottom, left:right].any()


def test_without_looking_again_nothing_is_said_of_what_remains(fake_segmenter):
    inpainter = ForgetfulInpainter(99)
    remover = Remover(segmenter=fake_segmenter, inpainter=inpainter)
    removal = remover(photo_with(((80, 60, 160, 140), RED)), "person", RemovalOptions(verify=False))
    assert (inpainter.given, removal.refills, removal.remaining) == (1, 0, ())
    assert "verify" not in removal.timings_s


def test_a_foot_outside_the_mask_is_added_to_it(fake_inpainter):
    # Of another colour, so that the refinement of outlines does not follow it.
    image = photo_with(((80, 40, 140, 115), RED), ((80, 115, 140, 140), (255, 0, 220)))
    segmenter = HalfBlindSegmenter()
    removal = Remover(segmenter=segmenter, inpainter=fake_inpainter)(image, "person")
    assert removal.refills == 1
    assert removal.mask[40:140, 80:140].all()
    assert removal.remaining == ()
    assert np.abs(removal.image[40:140, 80:140].astype(int) - SKY).max() <= 2


class HalfBlindSegmenter:
    """At its first look it misses the lowest quarter of what is red."""

    name, provider, labels = "half blind", "NumPy", ("person",)

    def __init__(self):
        self.looks = 0

    def segment(self, image, labels):
        self.looks += 1
        red = (image[..., 0] > 200) & (image[..., 1] < 30)
        if not red.any():
            return []
        left, top, right, bottom = bounding_box(red)
        if self.looks == 1:
            bottom -= (bottom - top) // 4
        return [Instance(1, "person", 0.9, (left, top, right, bottom), red[top:bottom, left:right])]


def test_objects_that_were_to_stay_stay_when_looking_again(remover):
    image = photo_with(((80, 40, 140, 140), RED), ((142, 60, 162, 120), DIM_RED))
    removal = remover(image, "person", RemovalOptions(dilation=3))
    assert [x.score < 0.5 for x in removal.kept] == [True]
    assert removal.refills == 0
    assert (removal.image[60:120, 145:162] == DIM_RED).all()


def test_objects_that_stay_are_no_texture_to_copy(
    fake_segmenter, fake_inpainter_class, monkeypatch
):
    seen = []

    def record(known, filled, hole, sources, *, seed):
        seen.append(sources)
        return filled

    monkeypatch.setattr(filling, "transfer_texture", record)
    remover = Remover(segmenter=fake_segmenter, inpainter=fake_inpainter_class(64))
    image = photo_with(((80, 40, 140, 140), RED), ((160, 60, 180, 120), DIM_RED))
    removal = remover(image, "person", RemovalOptions(dilation=0, verify=False))
    assert len(removal.kept) == 1
    (sources,) = seen
    assert np.count_nonzero(~sources) == 60 * 100 + 20 * 60


def test_the_margin_scales_with_each_object(remover):
    image = photo_with(((20, 20, 120, 120), RED), ((200, 50, 210, 60), RED))
    removal = remover(image, "person")
    expected = np.zeros(image.shape[:2], np.bool_)
    for instance in removal.instances:
        own = np.zeros(image.shape[:2], np.bool_)
        instance.paint_on(own)
        expected |= dilate(own, default_dilation_px(instance))
    np.testing.assert_array_equal(removal.mask, expected)
    large, small = removal.instances
    assert default_dilation_px(large) > default_dilation_px(small) + 1


@pytest.mark.parametrize("px", [0, 1, 7, 40])
def test_grow_overrides_the_margin(remover, px):
    image = photo_with(((100, 80, 130, 110), RED))
    removal = remover(image, "person", RemovalOptions(dilation=px))
    own = np.zeros(image.shape[:2], np.bool_)
    own[80:110, 100:130] = True
    np.testing.assert_array_equal(removal.mask, dilate(own, px))


def test_objects_that_are_left_are_not_touched(remover):
    image = photo_with(((20, 20, 60, 60), RED), ((150, 100, 190, 140), DIM_RED))
    removal = remover(image, "person", RemovalOptions(min_score=0.9))
    assert [x.box_xyxy for x in removal.kept] == [(150, 100, 190, 140)]
    np.testing.assert_array_equal(removal.image[90:150, 140:200], image[90:150, 140:200])


class Knowing:
    """Fills a hole with what is really there, at the size that it is given."""

    name, provider, working_size, reach_px = "knowing", "OpenCV", 256, None

    def __init__(self, truth: np.ndarray, *, is_sharp: bool) -> None:
        self.truth, self.is_sharp = truth, is_sharp

    def inpaint(self, image, mask):
        size_wh = mask.shape[1], mask.shape[0]
        there = cv2.resize(self.truth, size_wh, interpolation=cv2.INTER_AREA)
        return np.where(mask[..., None], there, image)


@pytest.mark.parametrize(("is_sharp", "side_px"), [(True, 256), (False, 256), (True, 280)])
def test_texture_is_carried_into_smooth_and_enlarged_fills_only(gravel, is_sharp, side_px):
    truth = np.ascontiguousarray(gravel[:side_px, :side_px])  # in one window
    mask = np.zeros(truth.shape[:2], np.bool_)
    mask[80:160, 80:160] = True
    photo = np.where(mask[..., None], np.uint8(0), truth)
    filled = Remover(inpainter=Knowing(truth, is_sharp=is_sharp)).fill(photo, mask).image
    assert np.array_equal(filled, truth) == (is_sharp and side_px == 256)
    assert filled[mask].std() > 0.7 * truth[mask].std()  # there is texture in any case


def test_nothing_found_gives_an_equal_copy(remover, fake_inpainter):
    image = photo_with(((20, 20, 60, 60), BLUE))
    removal = remover(image, "person")
    assert not removal.changed
    assert removal.instances == ()
    np.testing.assert_array_equal(removal.image, image)
    assert not np.shares_memory(removal.image, image)
    assert fake_inpainter.given == []


def test_timings_say_where_the_time_went(remover):
    removal = remover(photo_with(((20, 20, 60, 60), RED)), "person")
    assert set(removal.timings_s) == {"find", "mask", "fill", "verify", "total"}
    *stages, total = (removal.timings_s[name] for name in removal.timings_s)
    assert all(stage >= 0 for stage in stages)
    assert sum(stages) == pytest.approx(total, rel=0.01, abs=1e-3)
    filled = remover.fill(photo_with(), np.eye(200, 300, dtype=np.bool_))
    assert set(filled.timings_s) == {"fill", "total"}


# --- fill


def test_a_mask_is_used_as_it_is(remover):
    image, mask = photo_with(), np.zeros((200, 300), np.bool_)
    mask[50:70, 80:100] = True
    mask[0, 0] = True
    before = mask.copy()
    removal = remover.fill(image, mask)
    np.testing.assert_array_equal(removal.mask, before)
    np.testing.assert_array_equal(mask, before, err_msg="the mask was modified")
    assert not np.shares_memory(removal.mask, mask)
    assert removal.instances == ()


def test_a_mask_inside_its_objects_edge_is_grown_to_it_and_that_is_said(remover):
    image = photo_with(((80, 50, 140, 110), RED))
    mask = np.zeros((200, 300), np.bool_)
    mask[53:107, 83:137] = True
    removal = remover(image, options=RemovalOptions(effects="off"), mask=mask)
    assert removal.mask[50:110, 80:140].mean() > 0.99
    assert not removal.mask[:44].any()
    assert removal.mask.sum() < 1.3 * 60 * 60
    assert any("dilated" in note for note in removal.notes)
    np.testing.assert_array_equal(removal.image[~removal.mask], image[~removal.mask])
    exact = np.zeros((200, 300), np.bool_)
    exact[49:111, 79:141] = True
    removal = remover(image, options=RemovalOptions(effects="off"), mask=exact)
    np.testing.assert_array_equal(removal.mask, exact)
    assert removal.notes == ()


def test_an_empty_mask_changes_nothing(remover, fake_inpainter):
    removal = remover.fill(photo_with(), np.zeros((200, 300), np.bool_))
    np.testing.assert_array_equal(removal.image, photo_with())
    assert not removal.changed
    assert fake_inpainter.given == []


def test_a_mask_of_the_whole_photo_is_noted(remover):
    removal = remover.fill(photo_with(), np.ones((200, 300), np.bool_))
    assert removal.notes == (
        "the mask covers the whole photo: there is nothing to continue it from",
    )
    assert removal.image.shape == (200, 300, 3)


def test_wrong_arrays_are_refused(remover):
    image = photo_with()
    with pytest.raises(ShapeMismatchError, match=r"got \(300, 200\).*transposed"):
        remover.fill(image, np.zeros((300, 200), np.bool_))
    with pytest.raises(InputError, match=r"0 and 255.*got 1.*> 127"):
        remover.fill(image, np.ones((200, 300), np.uint8))
    with pytest.raises(InputError, match="float64"):
        remover.fill(image, np.zeros((200, 300)))
    with pytest.raises(InputError, match=r"mask.*list"):
        remover.fill(image, [[True]])
    with pytest.raises(InputError, match=r"uint8.*float32"):
        remover(image.astype(np.float32), "person")
    with pytest.raises(InputError, match=r"options.*dict"):
        remover(image, "person", {"dilation": 3})


def test_a_mask_of_0_and_255_is_one_of_false_and_true(remover):
    image = photo_with(((20, 20, 60, 60), RED))
    mask = np.zeros((200, 300), np.bool_)
    mask[18:62, 18:62] = True
    expected = remover.fill(image, mask)
    for removal in (
        remover.fill(image, mask.astype(np.uint8) * 255),
        remover(image, mask=mask),
    ):
        np.testing.assert_array_equal(removal.image, expected.image)
        np.testing.assert_array_equal(removal.mask, mask)
    with pytest.raises(InputError, match=r"mask.*only effects"):
        remover(image, "person", mask=mask)


def test_points_and_boxes_pick_among_the_instances(remover):
    image = photo_with(
        ((20, 20, 60, 60), RED), ((120, 20, 160, 60), RED), ((200, 20, 240, 60), BLUE)
    )
    at = remover(image, points=[(30, 30)], boxes=[(195, 18, 50, 45)])
    assert sorted(x.box_xyxy[0] for x in at.instances) == [20, 200]
    assert [x.box_xyxy[0] for x in at.kept] == [120]
    assert [x.box_xyxy[0] for x in remover(image, "person", points=[(121, 21)]).instances] == [120]
    with pytest.raises(InputError, match=r"point \(90, 30\).*person.*models pull"):
        remover(image, points=[(90, 30)])
    with pytest.raises(InputError, match=r"no person .*point \(210, 30\).*class(?!.*models pull)"):
        remover(image, "person", points=[(210, 30)])
    with pytest.raises(InputError, match=r"box \(70, 20, 40, 40\)"):
        remover(image, boxes=[(70, 20, 40, 40)])
    for place in ({"points": [(300, 30)]}, {"boxes": [(10, 200, 30, 30)]}):
        with pytest.raises(InputError, match=r"30.* photo.* 300 x 200 px"):
            remover(image, **place)
    with pytest.raises(InputError, match=r"only.*points"):
        RemovalOptions(rules=Rules(only=(1,)), points=[(30, 30)])


class FixedPrompter:
    """Outlines a square of 20 px around the point, or the box."""

    name, provider = "fixed", "NumPy"

    def set_image(self, image):
        return image.shape[:2]

    def predict(self, prepared, *, points=(), box_xyxy=None):
        mask = np.zeros(prepared, np.bool_)
        if box_xyxy is None:
            x, y, _ = points[0]
            box_xyxy = (x - 10, y - 10, x + 10, y + 10)
        left, top, right, bottom = box_xyxy
        mask[top:bottom, left:right] = True
        return Outline(mask, 0.9)


def test_a_prompter_outlines_what_is_at_points_and_in_boxes(fake_inpainter, fake_segmenter):
    remover = Remover(segmenter=fake_segmenter, inpainter=fake_inpainter, prompter=FixedPrompter())
    image = photo_with()
    removal = remover(
        image, options=RemovalOptions(dilation=0), points=[(50, 50)], boxes=[(100, 80, 30, 40)]
    )
    expected = np.zeros((200, 300), np.bool_)
    expected[40:60, 40:60] = expected[80:120, 100:130] = True
    np.testing.assert_array_equal(removal.mask, expected)
    assert [x.label for x in removal.instances] == ["object", "object"]
    assert fake_segmenter.asked == []
    with pytest.raises(InputError, match=r"rules.*prompter"):
        remover(image, options=RemovalOptions(rules=Rules(keep=1)), points=[(50, 50)])


def test_with_a_prompter_classes_are_everyday_words_too(fake_inpainter, fake_segmenter):
    remover = Remover(segmenter=fake_segmenter, inpainter=fake_inpainter, prompter=FixedPrompter())
    removal = remover(photo_with(), ["people"], points=[(50, 50)])
    assert [x.label for x in removal.instances] == ["object"]
    with pytest.raises(UnknownNameError, match="unicorn"):
        remover.plan(photo_with(), ["unicorn"], points=[(50, 50)])


def test_labels_are_known_without_loading_a_model(remover, fake_segmenter):
    assert remover.labels == fake_segmenter.labels
    for model in list_models("segmenter"):
        assert Remover(segmenter=model.name).labels == model.labels
    with pytest.raises(UnknownNameError, match="Did you mean"):
        _ = Remover(segmenter="rfdetr_seg_larg.coco").labels


def test_reprs_hold_no_arrays(remover):
    image = photo_with(((20, 20, 60, 60), RED))
    plan = remover.plan(image, "person")
    removal = remover.fill(image, plan)
    for value in (remover, plan, removal, removal.instances[0]):
        assert "array" not in repr(value)
        assert len(repr(value)) < 200
    assert "300 x 200 px, 1 removed, 0 kept, 0 remaining" in repr(removal)


def test_far_holes_are_filled_from_windows_of_their_own(fake_inpainter, fake_segmenter):
    image = photo_with(size_hw=(400, 900))
    mask = np.zeros((400, 900), np.bool_)
    mask[50:90, 50:90] = mask[300:320, 700:720] = True
    Remover(segmenter=fake_segmenter, inpainter=fake_inpainter).fill(image, mask)
    assert len(fake_inpainter.given) == 2
    assert [hole.sum() for _, hole in fake_inpainter.given] == [1600, 400]
    assert all(max(part.shape) < 200 for part, _ in fake_inpainter.given)


def test_near_holes_are_filled_from_one_window(fake_inpainter, fake_segmenter):
    image = photo_with(size_hw=(400, 900))
    mask = np.zeros((400, 900), np.bool_)
    mask[50:90, 50:90] = mask[50:90, 93:100] = True
    Remover(segmenter=fake_segmenter, inpainter=fake_inpainter).fill(image, mask)
    assert [hole.sum() for _, hole in fake_inpainter.given] == [1880]


def test_a_hole_that_is_not_yet_filled_is_no_context_for_its_neighbour(
    fake_inpainter, fake_segmenter
):
    mask = np.zeros((300, 300), np.bool_)
    mask[100:140, 100:140] = mask[100:110, 153:163] = True
    image = np.where(mask[..., None], np.uint8(255), photo_with(size_hw=(300, 300)))

    removal = Remover(segmenter=fake_segmenter, inpainter=fake_inpainter).fill(image, mask)

    (_, first), (second_part, second) = fake_inpainter.given
    assert first.sum() == 1700  # both: the small one is still an object
    assert second.sum() == 100
    assert second_part[~second].max() < 255, "the large hole was shown as it was before"
    assert (removal.image == SKY).all()


@settings(max_examples=12)
@given(data=st.data(), size_hw=st.tuples(st.integers(1, 70), st.integers(1, 70)))
def test_outside_the_mask_every_photo_stays_identical(fake_inpainter_class, data, size_hw):
    image = data.draw(arrays(np.uint8, (*size_hw, 3)))
    mask = data.draw(arrays(np.bool_, size_hw))
    size = data.draw(st.sampled_from([None, 16, 64]))
    before = image.copy()

    removal = Remover(segmenter="none", inpainter=fake_inpainter_class(size)).fill(image, mask)

    assert (removal.image.shape, removal.image.dtype) == (image.shape, np.uint8)
    np.testing.assert_array_equal(removal.image[~mask], image[~mask])
    np.testing.assert_array_equal(image, before, err_msg="the input was modified")


# --- scaling


@settings(max_examples=25)
@given(
    size_hw=st.tuples(st.integers(1, 120), st.integers(1, 120)),
    working_size=st.sampled_from([None, 7, 16, 33, 64]),
    seed=st.integers(0, 999),
)
def test_the_objects_pixels_have_no_influence_when_scaled(
    fake_inpainter_class, size_hw, working_size, seed
):
    rng = np.random.default_rng(seed)
    image, other = rng.integers(0, 256, (2, *size_hw, 3)).astype(np.uint8)
    top, left = rng.integers(size_hw[0]), rng.integers(size_hw[1])
    mask = np.zeros(size_hw, np.bool_)
    mask[top : top + rng.integers(1, 60), left : left + rng.integers(1, 60)] = True
    mask |= rng.random(size_hw) < 0.01
    other[~mask] = image[~mask]

    first, second = (
        inpaint_scaled(fake_inpainter_class().inpaint, picture, mask, working_size)
        for picture in (image, other)
    )

    assert (first.shape, first.dtype) == (image.shape, np.uint8)
    np.testing.assert_array_equal(first, second)


def test_the_inpainter_gets_its_working_size_but_no_enlarged_photo(fake_inpainter_class, rng):
    image = rng.integers(0, 256, (300, 200, 3)).astype(np.uint8)
    mask = np.zeros((300, 200), np.bool_)
    mask[100:150, 50:90] = True
    for working_size, expected in [
        (60, (60, 40)), (150, (150, 100)), (300, (300, 200)), (512, (300, 200)), (None, (300, 200)),
    ]:  # fmt: skip
        inpainter = fake_inpainter_class()
        inpaint_scaled(inpainter.inpaint, image, mask, working_size)
        ((part, hole),) = inpainter.given
        assert part.shape[:2] == hole.shape == expected
        assert hole.sum() >= mask.sum() * expected[0] * expected[1] / mask.size


# --- loading


def test_filling_loads_no_segmenter_and_finding_no_inpainter(
    monkeypatch, fake_segmenter, fake_inpainter
):
    created = []

    def make(kind, model):
        def create(name, *, device, threads):
            created.append((kind, name, device, threads))
            return model

        return create

    monkeypatch.setattr(pipeline, "create_segmenter", make("segmenter", fake_segmenter))
    monkeypatch.setattr(pipeline, "create_inpainter", make("inpainter", fake_inpainter))
    mask = np.eye(200, 300, dtype=np.bool_)

    filling = Remover(device="cpu", threads=3)
    assert created == []
    filling.fill(photo_with(), mask)
    filling.fill(photo_with(), mask)
    assert created == [("inpainter", pipeline.DEFAULT_INPAINTER, "cpu", 3)]

    created.clear()
    finding = Remover(segmenter="other")
    finding.find(photo_with(), "person")
    finding.find(photo_with(), "person")
    finding(photo_with(), "person")  # nothing there: nothing to fill
    assert created == [("segmenter", "other", "auto", None)]


def test_unknown_models_are_named_when_they_are_needed():
    remover = Remover(segmenter="deeplab", inpainter="lamma")
    with pytest.raises(
        UnknownNameError, match=r"unknown segmenter 'deeplab'; known: .*deeplabv3plus"
    ):
        remover.find(photo_with(), "person")
    with pytest.raises(UnknownNameError, match=r"unknown inpainter 'lamma'; known: .*edgeconnect"):
        remover.fill(photo_with(), np.ones((200, 300), np.bool_))


def test_models_are_loaded_once_though_four_threads_ask(monkeypatch, fake_segmenter):
    created, meeting = [], threading.Barrier(4)

    def create(name, **options):
        created.append(name)
        return fake_segmenter

    monkeypatch.setattr(pipeline, "create_segmenter", create)
    remover = Remover()

    def find(_):
        meeting.wait(10)
        return remover.find(photo_with(((20, 20, 60, 60), RED)), "person")[0][0].box_xyxy

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(find, range(4))) == [(20, 20, 60, 60)] * 4
    assert len(created) == 1


# --- with the built-in models


def pasted(cat, segmenter, ground, share, at_xy):
    """Return `ground` with the cat cut out and pasted at a share of its size."""
    (whole,) = segmenter.segment(cat, ["cat"])
    alpha = np.zeros(cat.shape[:2], np.bool_)
    whole.paint_on(alpha)
    size_wh = (round(cat.shape[1] * share), round(cat.shape[0] * share))
    small = cv2.resize(cat, size_wh, interpolation=cv2.INTER_AREA)
    alpha = cv2.resize(alpha.astype(np.float32), size_wh, interpolation=cv2.INTER_AREA)[..., None]
    photo = ground.copy()
    part = photo[at_xy[1] : at_xy[1] + size_wh[1], at_xy[0] : at_xy[0] + size_wh[0]]
    part[:] = np.rint(small * alpha + part * (1 - alpha))
    true = np.zeros(ground.shape[:2], np.bool_)
    true[at_xy[1] : at_xy[1] + size_wh[1], at_xy[0] : at_xy[0] + size_wh[0]] = alpha[..., 0] > 0.5
    return photo, true


def psnr_db(filled, truth, mask):
    return 10 * np.log10(255**2 / np.square(filled[mask].astype(float) - truth[mask]).mean())


@pytest.fixture(scope="module")
def built_in(deeplab, edgeconnect):
    return Remover(segmenter=deeplab, inpainter=edgeconnect)


@pytest.mark.slow
def test_a_cat_in_another_photo_is_removed(built_in, cat, coffee):
    photo, true = pasted(cat, built_in.segmenter, coffee, 0.35, (150, 60))

    removal = built_in(photo, "cat")

    assert removal.instances[0].score > 0.7
    assert (removal.mask & true).sum() > 0.97 * true.sum(), "parts of the cat are left"
    np.testing.assert_array_equal(removal.image[~removal.mask], photo[~removal.mask])
    still = np.zeros(true.shape, np.bool_)
    for instance in built_in.find(removal.image, "cat")[0]:
        instance.paint_on(still)
    assert (still & true).sum() < 0.25 * true.sum(), "a cat is still found"  # the rocket is orange
    mean = np.broadcast_to(photo[~removal.mask].mean(axis=0), coffee.shape)
    telea = Remover(inpainter=create_inpainter("telea")).fill(photo, removal.mask).image
    ours = psnr_db(removal.image, coffee, removal.mask)
    assert ours > psnr_db(mean, coffee, removal.mask) + 0.5
    assert ours > psnr_db(telea, coffee, removal.mask) + 0.5


@pytest.mark.slow
def test_four_threads_on_one_remover_give_what_one_gives(built_in, cat):
    photo = np.ascontiguousarray(cat[::2, ::2])
    mask = np.zeros(photo.shape[:2], np.bool_)
    mask[40:90, 60:120] = True

    def work(_):
        return built_in.fill(photo, mask).image, built_in.find(photo, "cat")[0]

    alone, cats = work(0)
    with ThreadPoolExecutor(4) as pool:
        rest = list(pool.map(work, range(4)))
    for image, found in rest:
        np.testing.assert_array_equal(image, alone)
        assert [x.box_xyxy for x in found] == [x.box_xyxy for x in cats]
        np.testing.assert_array_equal(found[0].mask, cats[0].mask)


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 50), (3, 2), (33, 31), (600, 5)])
@pytest.mark.slow
def test_the_built_in_models_take_any_size(built_in, size_hw, rng):
    image = rng.integers(0, 256, (*size_hw, 3)).astype(np.uint8)
    assert built_in(image, "all").image.shape == image.shape
    for mask in (np.ones(size_hw, np.bool_), rng.random(size_hw) < 0.5):
        removal = built_in.fill(image, mask)
        np.testing.assert_array_equal(removal.image[~mask], image[~mask])


def test_an_object_of_another_window_does_not_shine_in():
    """Two holes a px apart, filled in windows of their own: neither sees the other's object."""

    class Still:
        """Fills with the mean of what is known, and would be shifted by any red on the rim."""

        name, provider, working_size = "still", "numpy", None

        def inpaint(self, image, mask):
            mean = np.rint(image[~mask].mean(axis=0)).astype(np.uint8)
            return np.where(mask[..., None], mean, image)

    photo = np.full((1200, 1600, 3), 100, np.uint8)
    mask = np.zeros((1200, 1600), np.bool_)
    mask[600:630, 340:700] = True
    mask[600:630, 701:1160] = True
    photo[mask] = (255, 0, 0)
    filled = Remover(inpainter=Still()).fill(photo, mask)
    assert len(plan_windows(mask, context=1.0, min_size=64, join=0.15)) == 2
    np.testing.assert_array_equal(filled.image, np.full_like(photo, 100))


@pytest.mark.parametrize("kind", ["array", "palette", "colour key"])
def test_what_is_transparent_is_no_context(kind):
    y, x = np.mgrid[:96, :128]
    disc = (x - 64) ** 2 + (y - 48) ** 2 < 40**2
    cutout = np.dstack([np.where(disc, 200, 0).astype(np.uint8)] * 3 + [disc * np.uint8(255)])
    mask = (x - 100) ** 2 + (y - 48) ** 2 < 16**2
    photo = cutout
    if kind != "array":
        photo = Image.fromarray(cutout[..., :3])
        photo = photo.quantize(2) if kind == "palette" else photo
        photo.info["transparency"] = (0, 0, 0)
        if kind == "palette":
            photo.info["transparency"] = int(np.asarray(photo)[0, 0])
    filled = Remover(inpainter="telea").fill(photo, mask).image
    if kind == "palette":
        filled = filled.convert("RGB")
    opaque = np.asarray(filled)[disc][:, :3]
    assert opaque.min() > 190
    if kind == "array":
        np.testing.assert_array_equal(filled[..., 3], cutout[..., 3])


def test_with_another_inpainter_all_else_is_shared(fake_segmenter, fake_inpainter_class):
    first = Remover(segmenter=fake_segmenter, inpainter="telea")
    inpainter = fake_inpainter_class()
    other = first.with_inpainter(inpainter)
    assert (first.inpainter.name, other.inpainter) == ("telea", inpainter)
    assert other.segmenter is first.segmenter
    assert other.effects_detector is first.effects_detector  # loaded once, by whichever needs it
    assert first.with_inpainter("navier-stokes").inpainter.name == "navier-stokes"
    with pytest.raises(UnknownNameError, match="telae"):
        first.with_inpainter("telae")
