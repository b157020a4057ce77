"""What RF-DETR's, ADE20K's and CLIPSeg's adapters return keeps the contract, whatever is said."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleanplate.hub import get_model
from cleanplate.labels import ADE20K_LABELS, COCO_LABELS
from cleanplate.segmentation.components import Divider
from cleanplate.segmentation.models.clipseg import ClipSegSegmenter
from cleanplate.segmentation.models.rfdetr import RfDetrSegmenter
from cleanplate.segmentation.models.semantic import SemanticSegmenter


def noise(rng, planes, size_hw):
    """Return (planes, h, w) of blots, about half of each below 0."""
    coarse = rng.normal(0, 6, (planes, 5, 7)).astype(np.float32)
    return np.stack([cv2.resize(plane, size_hw[::-1]) for plane in coarse])


class Noisy:
    """Answers with blots of every class, the same for the same input."""

    max_concurrency = 1

    def run(self, pixels, embeddings=None):
        rng = np.random.default_rng(int(np.abs(pixels).sum()) % 1000)
        if embeddings is not None:
            return noise(rng, len(embeddings), (352, 352))
        return noise(rng, 150, (pixels.shape[2] // 4, pixels.shape[3] // 4))[None]

    def run_all(self, pixels):
        rng = np.random.default_rng(int(np.abs(pixels).sum()) % 1000)
        logits = rng.normal(-3, 2, (1, 20, 91)).astype(np.float32)
        return [logits, noise(rng, 20, (78, 78))[None]]


def rfdetr():
    segmenter = RfDetrSegmenter.__new__(RfDetrSegmenter)
    segmenter._model = get_model("rfdetr_seg_nano.coco")
    segmenter._networks = {"segment": Noisy()}
    return segmenter, COCO_LABELS


def ade20k():
    segmenter = SemanticSegmenter.__new__(SemanticSegmenter)
    segmenter.divider = Divider(device="cpu")
    segmenter._model = get_model("segformer_b0.ade20k")
    segmenter._networks = {"segment": Noisy()}
    return segmenter, ADE20K_LABELS


def clipseg():
    segmenter = ClipSegSegmenter.__new__(ClipSegSegmenter)
    segmenter.divider = Divider(device="cpu")
    segmenter._model = get_model("clipseg_rd64.phrasecut")
    segmenter._networks = {"segment": Noisy()}
    segmenter._embedding = lambda phrase: np.zeros((1, 512), np.float32)
    return segmenter, ("red car", "a dog", "graffiti on the wall", "lamp")


def check(segmenter, image, labels):
    before = image.copy()
    found = segmenter.segment(image, labels)
    np.testing.assert_array_equal(image, before, err_msg="the input was modified")
    times = np.zeros(image.shape[:2], int)
    for instance in found:
        left, top, right, bottom = instance.box_xyxy
        assert 0 <= left < right <= image.shape[1]
        assert 0 <= top < bottom <= image.shape[0]
        assert (instance.mask.shape, instance.mask.dtype) == ((bottom - top, right - left), bool)
        for edge in (*instance.mask[[0, -1]], *instance.mask[:, [0, -1]].T):
            assert edge.any(), "the box is not tight"
        assert instance.label in labels
        assert 0 < instance.score <= 1
        times[top:bottom, left:right] += instance.mask
    assert times.max(initial=0) <= 1, "two objects share a pixel"
    assert [instance.id for instance in found] == list(range(1, len(found) + 1))
    areas = [instance.area_px for instance in found]
    assert areas == sorted(areas, reverse=True)
    return found


@pytest.mark.parametrize("create", [rfdetr, ade20k, clipseg])
@settings(max_examples=10)
@given(data=st.data(), size_hw=st.tuples(st.integers(1, 90), st.integers(1, 90)))
def test_holds_for_small_and_odd_sizes(create, data, size_hw):
    segmenter, labels = create()
    image = np.random.default_rng(0).integers(0, 256, (120, 130, 3), np.uint8)
    image = image[: size_hw[0], 7 : 7 + size_hw[1]]  # a view, not contiguous
    asked = data.draw(st.lists(st.sampled_from(labels), max_size=4, unique=True))
    check(segmenter, image, asked)


@pytest.mark.parametrize("create", [rfdetr, ade20k, clipseg])
def test_holds_for_a_photo_and_is_the_same_again(create, astronaut):
    segmenter, labels = create()
    image = np.asfortranarray(astronaut[:, :333])
    image.flags.writeable = False
    first, second = (check(segmenter, image, labels[:4]) for _ in range(2))
    assert first, "nothing was found, nothing was checked"
    assert [(x.label, x.score, x.box_xyxy) for x in first] == [
        (x.label, x.score, x.box_xyxy) for x in second
    ]
