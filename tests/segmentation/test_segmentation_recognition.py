"""What the network for small objects is shown, and what its answer decides."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanplate.hub import get_model
from cleanplate.labels import VOC_LABELS
from cleanplate.segmentation import create_segmenter
from cleanplate.segmentation.components import RECOGNIZING_MODEL, Recognizer
from cleanplate.segmentation.models import semantic
from cleanplate.segmentation.models.semantic import calibrate, uncalibrated
from cleanplate.segmentation.multiscale import Passes
from cleanplate.segmentation.small_objects import SmallObject

SIZE = get_model(RECOGNIZING_MODEL).preprocessing.square_px
PLACE = np.s_[30:50, 40:50]


class Answers:
    """A network that answers with one class, certain of it, and keeps what it was shown."""

    def __init__(self, number, logit=4.0):
        self.number, self.logit, self.inputs = number, logit, []

    def run(self, tensor):
        self.inputs.append(tensor.copy())
        logits = np.zeros((len(tensor), len(VOC_LABELS) + 1), np.float32)
        logits[:, self.number] = self.logit
        return logits


def recognizer_of(network):
    recognizer = Recognizer(device="cpu")
    recognizer.__dict__["_network"] = network
    return recognizer


@pytest.mark.parametrize("scale", [1, 2, 3.5])
def test_the_object_is_in_the_middle_with_its_surroundings_and_mirrored(scale):
    photo = np.full((round(80 * scale), round(120 * scale), 3), 60, np.uint8)
    photo[round(30 * scale) : round(50 * scale), round(40 * scale) : round(50 * scale)] = 200
    network = Answers(0)
    recognizer_of(network).recognize(
        photo, np.ones((20, 10), np.bool_), (40, 30, 50, 50), (80, 120)
    )
    (seen,) = network.inputs
    assert seen.shape == (2, 4, SIZE, SIZE)
    assert np.array_equal(seen[0], seen[1, :, :, ::-1])
    rows, columns = np.nonzero(seen[0, 3])
    assert abs(rows.mean() - SIZE / 2) < 1.5
    assert abs(columns.mean() - SIZE / 2) < 1.5
    assert abs(np.ptp(rows) + 1 - SIZE / 1.6) <= 2
    bright = seen[0, :3].min(axis=0) > 0.5
    assert (bright == (seen[0, 3] > 0)).mean() > 0.97


def test_probabilities_are_of_no_object_and_all_classes():
    photo = np.zeros((80, 120, 3), np.uint8)
    found = recognizer_of(Answers(3)).recognize(
        photo, np.ones((20, 10), np.bool_), (40, 30, 50, 50), (80, 120)
    )
    assert found.shape == (21,)
    assert found.sum() == pytest.approx(1)
    assert found.argmax() == 3


@pytest.fixture(scope="module")
def segmenter():
    return create_segmenter(device="cpu", threads=1)


EMPTY = Passes(*np.zeros((2, 2, 80, 120), np.float32), np.zeros((1, 80, 120), np.bool_))


@pytest.fixture
def see(monkeypatch):
    """Return a function that lets the passes over any photo see one small object."""

    def let_see(item):
        monkeypatch.setattr(semantic, "find_small_objects", lambda *_, **__: [item])

    return let_see


def small_object(index, *again):
    """Return one of 20 x 10 cells, as certain in the closest pass as in the looks."""
    logits = np.array(again, np.float32)
    return SmallObject(index, PLACE, np.ones((20, 10), np.bool_), logits, logits)


@pytest.mark.parametrize("label", ["dog", "person", "boat"])
def test_a_small_object_counts_if_it_is_recognized(segmenter, label, see, monkeypatch):
    photo = np.zeros((160, 240, 3), np.uint8)
    see(small_object(0, 1.5, -9, -1.5))
    number = VOC_LABELS.index(label) + 1
    scores = []
    for answer in (number, 0):
        monkeypatch.setattr(segmenter, "recognizer", recognizer_of(Answers(answer, 6.0)))
        ((same, features),) = segmenter.small_features(photo, EMPTY, (label,))
        assert same.index == 0
        assert features[:2] == (1.5, 1.5)
        assert features[4:] == (pytest.approx(np.log(20 / 120)), 0, label == "person")
        scores.append(segmenter.small_score(features))
    assert scores[0] > 0.5 > scores[1]


def test_its_class_is_what_both_networks_find_the_most_probable(segmenter, see, monkeypatch):
    photo = np.zeros((160, 240, 3), np.uint8)
    monkeypatch.setattr(
        segmenter, "recognizer", recognizer_of(Answers(VOC_LABELS.index("dog") + 1))
    )
    for cat, dog, expected in ((1, -1, 1), (3, -4, 0), (-2, 2, 1)):
        see(small_object(0, cat, dog, -9, -3))
        ((item, features),) = segmenter.small_features(photo, EMPTY, ("cat", "dog"))
        assert item.index == expected
        assert features[1] == (cat, dog)[expected]


def test_what_is_another_class_is_not_of_those_asked_for(segmenter, see, monkeypatch):
    photo = np.zeros((160, 240, 3), np.uint8)
    monkeypatch.setattr(
        segmenter, "recognizer", recognizer_of(Answers(VOC_LABELS.index("dog") + 1))
    )
    for index in (0, 1):
        see(small_object(index, 1, 0, -3))
        assert list(segmenter.small_features(photo, EMPTY, ("cat",))) == []
        assert len(list(segmenter.small_features(photo, EMPTY, ("dog",)))) == 1


def test_a_class_that_is_not_known_is_not_asked_about(segmenter, see, monkeypatch):
    network = Answers(0)
    monkeypatch.setattr(segmenter, "recognizer", recognizer_of(network))
    photo = np.zeros((160, 240, 3), np.uint8)
    see(small_object(0, 2.5, -9, -2.5))
    monkeypatch.setattr(segmenter, "_channels", lambda _: [0])
    ((_, features),) = segmenter.small_features(photo, EMPTY, ("fountain",))
    assert features[:4] == (2.5, 2.5, 0, 0)
    assert not network.inputs


@given(st.floats(0.01, 0.99), st.floats(0.5, 4), st.floats(-1, 1))
def test_scores_are_of_the_probability_that_they_come_from(score, slope, offset):
    probability = uncalibrated(score, slope, offset)
    assert calibrate(probability, slope, offset) == pytest.approx(score, abs=1e-3)
