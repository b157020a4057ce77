"""Segment Anything: what its networks see, and which of their masks is taken."""

import math

import numpy as np
import pytest
from prompters_builders import GROWTH, RADIUS, SCORES

from cleanplate.errors import InputError
from cleanplate.hub.registry import get_model, model_names

SQUARE = np.zeros((256, 256, 3), np.uint8)  # one cell of a mask is one pixel
NAMES = {
    family: [name for name in model_names("prompter") if get_model(name).family == family]
    for family in ("sam", "sam2")
}


@pytest.fixture(params=model_names("prompter"))
def prompter(request, stand_in):
    return stand_in(request.param)


@pytest.fixture
def sam(stand_in):
    return stand_in(NAMES["sam"][0])


@pytest.fixture
def sam2(stand_in):
    return stand_in(NAMES["sam2"][0])


class Recorded:
    """Stands for the network that sees the prompts; keeps what it was given."""

    def __init__(self, masks=None, scores=SCORES):
        self.masks = np.zeros((4, 256, 256), np.float32) if masks is None else masks
        self.scores = np.array(scores, np.float32)

    def run_all(self, *tensors):
        self.places, self.labels = tensors[-2][0], tensors[-1][0]
        return [self.masks[None], self.scores[None]]


def radius_of(outline):
    return math.sqrt(outline.mask.sum() / math.pi)


def test_a_single_point_gives_the_best_of_the_three_for_vague_prompts(prompter):
    prepared = prompter.set_image(SQUARE)
    for inside in (True, False):
        outline = prompter.predict(prepared, points=[(128, 128, inside)])
        assert radius_of(outline) == pytest.approx(RADIUS + 2 * GROWTH, abs=0.3)
        assert outline.score == pytest.approx(0.9)


@pytest.mark.parametrize(
    "prompt",
    [
        {"points": [(128, 128, True), (20, 20, False)]},
        {"box_xyxy": (128, 128, 200, 200)},
        {"points": [(128, 128, True)], "box_xyxy": (90, 90, 200, 200)},
    ],
    ids=["points", "box", "both"],
)
def test_clear_prompts_give_the_first_mask(prompter, prompt):
    outline = prompter.predict(prompter.set_image(SQUARE), **prompt)
    assert radius_of(outline) == pytest.approx(RADIUS, abs=0.3)
    assert outline.score == pytest.approx(SCORES[0])


def test_sam2_takes_the_best_of_the_others_where_the_first_is_not_stable(sam, sam2, monkeypatch):
    masks = np.full((4, 256, 256), -1, np.float32)
    masks[0, :100] = 1
    masks[0, 100:104] = 0.01  # 4 % of the mask is neither in nor out
    masks[2, :, :7] = 1
    prompt = {"box_xyxy": (0, 0, 256, 100)}
    for prompter, expected in [(sam, 104 * 256), (sam2, 7 * 256)]:
        prepared = prompter.set_image(SQUARE)
        monkeypatch.setattr(prompter, "_prompt", Recorded(masks))
        area = prompter.predict(prepared, **prompt).mask.sum()
        assert area == pytest.approx(expected, abs=256)  # a row, or a column

    masks[0, 102:104] = -1  # 2 %
    assert sam2.predict(prepared, **prompt).mask.sum() == 102 * 256
    masks[0] = -1
    outline = sam2.predict(prepared, **prompt)
    assert not outline.mask.any()
    assert outline.score == pytest.approx(SCORES[0])


def test_scores_are_held_to_0_and_1(prompter, monkeypatch):
    prepared = prompter.set_image(SQUARE)
    for expected, given in [(1, 1.03), (0, -0.2)]:  # the first SAM's may be
        monkeypatch.setattr(prompter, "_prompt", Recorded(scores=[given] * 4))
        assert prompter.predict(prepared, points=[(3, 3, True)]).score == expected


COLOUR = np.array([200, 100, 50], np.uint8)
SEEN_COLOUR = (COLOUR / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]


def test_sam_keeps_the_shape_and_fills_the_rest_with_zeros(sam):
    image = np.broadcast_to(COLOUR, (300, 600, 3))
    coarse = sam.set_image(image).features[0][0]
    expected = np.broadcast_to(SEEN_COLOUR[:, None, None], (3, 32, 64))
    np.testing.assert_allclose(coarse[:, :32], expected, atol=1e-5)
    assert not coarse[:, 32:].any()


def test_sam2_scales_both_sides(sam2):
    coarse = sam2.set_image(np.broadcast_to(COLOUR, (300, 600, 3))).features[0][0]
    expected = np.broadcast_to(SEEN_COLOUR[:, None, None], (3, 64, 64))
    np.testing.assert_allclose(coarse, expected, atol=1e-5)


@pytest.mark.parametrize("size_hw", [(100, 400), (400, 100), (1100, 2200)])
def test_outlines_have_the_scale_of_the_photo(sam, sam2, size_hw):
    height, width = size_hw
    image = np.zeros((*size_hw, 3), np.uint8)
    cells = RADIUS + 2 * GROWTH
    long_side = max(size_hw)
    for prompter, expected in [
        (sam, (2 * cells / 256 * long_side,) * 2),
        (sam2, (2 * cells / 256 * width, 2 * cells / 256 * height)),
    ]:
        outline = prompter.predict(
            prompter.set_image(image), points=[(width / 2, height / 2, True)]
        )
        across = outline.mask.any(axis=0).sum(), outline.mask.any(axis=1).sum()
        for found, wanted, side in zip(across, expected, (width, height), strict=True):
            assert found == pytest.approx(min(wanted, side), abs=2 + 0.01 * side)


def test_prompts_are_scaled_and_labelled(sam, sam2, monkeypatch):
    image = np.zeros((300, 600, 3), np.uint8)
    points, box = [(60, 30, True), (599.5, 0, False)], (150, 75, 600, 300)
    for prompter, down in [(sam, 512 / 300), (sam2, 1024 / 300)]:
        across = 1024 / 600
        prepared, network = prompter.set_image(image), Recorded()
        monkeypatch.setattr(prompter, "_prompt", network)

        prompter.predict(prepared, points=points)

        ours = [[60 * across, 30 * down], [599.5 * across, 0]]
        np.testing.assert_allclose(network.places, [*ours, [0, 0]], rtol=1e-6)
        assert network.labels.tolist() == [1, 0, -1]

        prompter.predict(prepared, points=points, box_xyxy=box)

        corners = [[150 * across, 75 * down], [1024, 300 * down]]
        closing = [[0, 0]] if prompter is sam2 else []
        np.testing.assert_allclose(network.places, [*ours, *corners, *closing], rtol=1e-6)
        assert network.labels.tolist() == [1, 0, 2, 3, *([-1] if prompter is sam2 else [])]
        assert network.places.dtype == np.float32
        assert network.labels.dtype == np.int64


def test_a_photo_prepared_by_another_prompter_is_refused(sam, sam2):
    prepared = sam.set_image(SQUARE)
    match = f"{sam.name}.*{sam2.name}; prepare it again"
    with pytest.raises(InputError, match=match):
        sam2.predict(prepared, points=[(3, 3, True)])
