"""The built-in segmenter finds real objects, and its network gets what it was trained on."""

import cv2
import numpy as np
import pytest

from cleanplate.errors import UnknownNameError, WeightsError
from cleanplate.hub import MODELS, get_model, model_names, read_file
from cleanplate.labels import VOC_LABELS
from cleanplate.segmentation import DEFAULT_SEGMENTER, create_segmenter
from cleanplate.segmentation.components import Divider
from cleanplate.segmentation.models.semantic import SemanticSegmenter
from cleanplate.segmentation.multiscale import SIDE_MULTIPLE


def whole_mask(instance, size_hw):
    mask = np.zeros(size_hw, np.bool_)
    instance.paint_on(mask)
    return mask


# --- real photos


def test_finds_the_cat(deeplab, cat):
    found = deeplab.segment(cat, ["cat", "dog", "person"])
    assert [instance.label for instance in found] == ["cat"]
    assert found[0].score > 0.8
    left, top, right, bottom = found[0].box_xyxy
    assert left < 20
    assert top < 20
    assert 370 < right < 440
    assert bottom > 290
    mask = whole_mask(found[0], cat.shape[:2])
    assert mask[120:200, 100:300].all()  # its face
    assert not mask[:100, 420:].any()  # the cushion behind it


@pytest.mark.slow
def test_finds_the_person(deeplab, astronaut):
    person, *rest = deeplab.segment(astronaut, ["person", "cat"])
    assert (person.id, person.label) == (1, "person")
    assert person.score > 0.7
    assert all(instance.area_px < person.area_px / 20 for instance in rest)
    left, top, right, bottom = person.box_xyxy
    assert left < 20
    assert 0 < top < 60
    assert 320 < right < 420
    assert bottom == 512
    mask = whole_mask(person, astronaut.shape[:2])
    assert mask[60:180, 190:250].all()  # her head
    assert not mask[:150, 400:].any()  # the shuttle


@pytest.mark.slow
def test_the_mask_is_at_the_photos_own_place_and_size(deeplab, cat):
    """Mirrored, cropped or enlarged, the cat is found where it went."""
    size_hw = cat.shape[:2]
    whole = whole_mask(deeplab.segment(cat, ["cat"])[0], size_hw)

    mirrored = whole_mask(deeplab.segment(cat[:, ::-1], ["cat"])[0], size_hw)
    assert overlap(mirrored[:, ::-1], whole) > 0.9

    cropped = whole_mask(deeplab.segment(cat[30:270, 140:], ["cat"])[0], (240, 311))
    assert overlap(cropped, whole[30:270, 140:]) > 0.85

    enlarged = cv2.resize(cat, (722, 480), interpolation=cv2.INTER_LINEAR)
    larger = whole_mask(deeplab.segment(enlarged, ["cat"])[0], (480, 722))
    back = cv2.resize(larger.astype(np.uint8), size_hw[::-1], interpolation=cv2.INTER_NEAREST)
    assert overlap(back > 0, whole) > 0.85


def overlap(first, second):
    return np.count_nonzero(first & second) / np.count_nonzero(first | second)


@pytest.mark.slow
def test_finds_nothing_in_a_photo_without_any_class(deeplab, rocket):
    assert deeplab.segment(rocket, VOC_LABELS) == []


@pytest.mark.slow
def test_only_what_was_asked_is_found(deeplab, cat):
    assert all(x.label == "dog" and x.score < 0.6 for x in deeplab.segment(cat, ["dog"]))


def paste_small(cat, mask, ground, side_wh, at_xy):
    small = cv2.resize(cat, side_wh, interpolation=cv2.INTER_AREA)
    share = cv2.resize(mask.astype(np.float32), side_wh, interpolation=cv2.INTER_AREA)[..., None]
    photo = ground.copy()
    part = photo[at_xy[1] : at_xy[1] + side_wh[1], at_xy[0] : at_xy[0] + side_wh[0]]
    part[:] = np.rint(small * share + part * (1 - share))
    return photo


@pytest.mark.slow
def test_a_small_cat_in_a_large_photo_is_found_thanks_to_tiles(deeplab, cat, gravel):
    side_wh = (90, 60)
    (whole,) = deeplab.segment(cat, ["cat"])
    ground = np.tile(gravel, (4, 5, 1))[:1800, :2400]
    photo = paste_small(cat, whole_mask(whole, cat.shape[:2]), ground, side_wh, (1500, 1100))

    best = max(deeplab.segment(photo, ["cat"]), key=lambda instance: instance.score)

    assert best.score > 0.6
    left, top, right, bottom = best.box_xyxy
    assert 1450 < left < right < 1550 + side_wh[0]
    assert 1050 < top < bottom < 1150 + side_wh[1]
    assert best.area_px > 0.4 * side_wh[0] * side_wh[1]
    # One look at the whole, which gives the network 512 px, does not show it.
    shrunk = cv2.resize(photo, (512, 384), interpolation=cv2.INTER_AREA)
    once = deeplab_once(deeplab, shrunk)
    near = once[1100 * 384 // 1800 : (1100 + side_wh[1]) * 384 // 1800]
    assert near.max() < best.score


def deeplab_once(deeplab, image):
    """Return the network's probability of a cat, from one run."""
    tensor = np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32) / 255
    logits = deeplab._networks["segment"].run(tensor)[0]
    odds = np.exp(logits - logits.max(axis=0))
    evidence = odds[VOC_LABELS.index("cat") + 1] / odds.sum(axis=0)
    return cv2.resize(evidence, image.shape[1::-1])


@pytest.mark.slow
def test_the_cpus_file_sees_what_the_other_does(deeplab, cat, pretended_cuda):
    """On a CPU the weights have 8 bits."""
    other = create_segmenter(device="cuda")
    assert pretended_cuda.sessions[0].content == read_file(MODELS[deeplab.name], "segment")
    masks = [
        whole_mask(max(found, key=lambda one: one.area_px), cat.shape[:2])
        for found in (deeplab.segment(cat, ["cat"]), other.segment(cat, ["cat"]))
    ]
    assert not np.array_equal(*masks)
    assert overlap(*masks) > 0.97


# --- what the network gets and what is made of its answer


class ColourNetwork:
    """Answers class 15 (person) for red, 8 (cat) for blue, at a quarter of the size."""

    max_concurrency = 1

    def __init__(self) -> None:
        self.given: list[np.ndarray] = []

    def run(self, tensor: np.ndarray) -> np.ndarray:
        self.given.append(tensor.copy())
        red, green, blue = (plane[2::4, 2::4] for plane in tensor[0])
        logits = np.zeros((1, 21, *red.shape), np.float32)
        logits[0, 15] = np.where((red > 0.8) & (green < 0.2) & (blue < 0.2), 9, -9)
        logits[0, 8] = np.where((blue > 0.8) & (green < 0.2) & (red < 0.2), 9, -9)
        return logits


@pytest.fixture
def on_colours(deeplab):
    segmenter = SemanticSegmenter.__new__(SemanticSegmenter)
    segmenter.divider = Divider(device="cpu")
    segmenter._model = get_model(deeplab.name)
    segmenter._networks = {"segment": ColourNetwork()}
    return segmenter


def test_the_network_gets_rgb_between_0_and_1_in_multiples_of_its_stride(on_colours):
    image = np.full((90, 130, 3), (255, 102, 0), np.uint8)
    on_colours.segment(image, VOC_LABELS)
    for tensor in on_colours._networks["segment"].given:
        assert (tensor.dtype, tensor.shape[:2]) == (np.float32, (1, 3))
        assert tensor.flags.c_contiguous
        assert tensor.shape[2] % SIDE_MULTIPLE == 0
        assert tensor.shape[3] % SIDE_MULTIPLE == 0
        for plane, value in zip(tensor[0], (1, 0.4, 0), strict=True):
            np.testing.assert_allclose(plane, value, atol=1e-6)


def test_channels_are_the_labels_in_order_and_logits_become_probabilities(on_colours):
    image = np.full((240, 400, 3), 128, np.uint8)
    image[40:200, 40:160] = (255, 0, 0)
    image[60:140, 240:360] = (0, 0, 255)

    found = on_colours.segment(image, ["cat", "person", "dog"])

    assert [(x.id, x.label) for x in found] == [(1, "person"), (2, "cat")]
    for instance, box in zip(found, [(40, 40, 160, 200), (240, 60, 360, 140)], strict=True):
        np.testing.assert_allclose(instance.box_xyxy, box, atol=3)
        # exp(9) against 19 classes at exp(0); the rim of the object is less sure
        assert 0.9 < instance.score <= 1
        assert instance.area_px == pytest.approx((box[2] - box[0]) * (box[3] - box[1]), rel=0.05)


def test_classes_that_were_not_asked_are_not_found(on_colours):
    image = np.full((240, 400, 3), (255, 0, 0), np.uint8)
    assert on_colours.segment(image, ["cat", "dog"]) == []
    assert [x.label for x in on_colours.segment(image, ["person"])] == ["person"]


# --- by name


def test_segmenters_by_name():
    assert DEFAULT_SEGMENTER in model_names("segmenter")
    assert create_segmenter(DEFAULT_SEGMENTER, device="cpu").name == DEFAULT_SEGMENTER


def test_a_segmenter_that_is_not_here_says_how_to_get_it():
    match = r"fcn_resnet101\.coco_voc .*run 'cleanplate models pull fcn_resn"
    with pytest.raises(WeightsError, match=match):
        create_segmenter("fcn_resnet101.coco_voc")


def test_an_unknown_segmenter_brings_the_known_ones():
    match = r"unknown segmenter 'deeplab'; known: .*deeplabv3plus_lite2\.voc"
    with pytest.raises(UnknownNameError, match=match):
        create_segmenter("deeplab")
