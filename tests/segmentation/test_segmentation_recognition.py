"""What the network for small objects is shown, and what its answer decides."""

import numpy as np
import pytest

from cleanplate.hub import get_model
from cleanplate.labels import VOC_LABELS
from cleanplate.segmentation import create_segmenter
from cleanplate.segmentation.components import RECOGNIZING_MODEL, Recognizer
from cleanplate.segmentation.multiscale import Passes, SmallObject

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


def passes_with(item):
    empty = np.zeros((2, 80, 120), np.float32)
    return Passes(empty, empty.copy(), [item])


@pytest.mark.parametrize("label", ["dog", "person", "boat"])
def test_a_small_object_counts_if_it_is_recognized(segmenter, label, monkeypatch):
    photo = np.zeros((160, 240, 3), np.uint8)
    item = SmallObject(0, PLACE, np.ones((20, 10), np.bool_), logit=2.5, again=2.0)
    number = VOC_LABELS.index(label) + 1
    likely = []
    for answer in (number, 0, number % 20 + 1):
        monkeypatch.setattr(segmenter, "recognizer", recognizer_of(Answers(answer, 6.0)))
        ((same, features),) = segmenter.small_features(photo, passes_with(item), (label,))
        assert same is item
        assert features[:2] == (2.5, 2.0)
        likely.append(segmenter.is_likely(features))
    assert likely == [True, False, False]


def test_a_class_that_is_not_known_is_not_asked_about(segmenter, monkeypatch):
    network = Answers(0)
    monkeypatch.setattr(segmenter, "recognizer", recognizer_of(network))
    item = SmallObject(0, PLACE, np.ones((20, 10), np.bool_), logit=2.5, again=2.0)
    photo = np.zeros((160, 240, 3), np.uint8)
    ((_, features),) = segmenter.small_features(photo, passes_with(item), ("fountain",))
    assert features == (2.5, 2.0, 0.0)
    assert not network.inputs
