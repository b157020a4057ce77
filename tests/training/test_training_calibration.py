"""What training/calibration.py counts as right, and what it fits."""

import numpy as np
import pytest
from training.calibration import Examples, add_examples, is_right, logistic_regression

from cleanplate.segmentation import create_segmenter

pytestmark = pytest.mark.slow  # loads PyTorch


def test_the_regression_finds_the_weights_that_made_the_examples():
    rng = np.random.default_rng(0)
    features = rng.normal(0, 2, (20_000, 2))
    likely = 1 / (1 + np.exp(-(features @ [1.1, -0.4] - 0.7)))
    right = rng.random(len(features)) < likely
    found = logistic_regression(features, right, np.ones(len(features)))
    np.testing.assert_allclose(found, [1.1, -0.4, -0.7], atol=0.08)


def test_an_example_that_counts_twice_is_two():
    features, right = np.array([[0.0], [1.0], [2.0]]), np.array([False, True, False])
    twice = logistic_regression(features[[0, 1, 1, 2]], right[[0, 1, 1, 2]], np.ones(4))
    counted = logistic_regression(features, right, np.array([1.0, 2.0, 1.0]))
    np.testing.assert_allclose(counted, twice)


def test_separable_examples_have_finite_weights():
    found = logistic_regression(np.array([[-1.0], [1.0]]), np.array([False, True]), np.ones(2))
    assert found[0] > 0
    assert np.isfinite(found).all()


@pytest.mark.parametrize("right", [True, False])
def test_examples_of_one_kind_are_refused(right):
    with pytest.raises(ValueError, match="more photos"):
        logistic_regression(np.ones((3, 1)), np.full(3, right), np.ones(3))


@pytest.mark.parametrize(
    ("under", "expected"),
    [([3, 3, 0], True), ([3, 0, 0], False), ([3, 255], True), ([3, 255, 255], None)],
)
def test_a_detection_is_right_where_half_of_what_is_labelled_is_its_class(under, expected):
    assert is_right(np.array(under, np.uint8), 3) is expected


@pytest.mark.slow  # runs the segmenter
def test_a_cat_is_an_example_and_right_only_where_the_truth_says_so(cat):
    segmenter, examples = create_segmenter(), Examples()
    for number in (8, 0):
        classes = np.full(cat.shape[:2], number, np.uint8)
        add_examples(cat, classes, segmenter, examples)
    logits, right = zip(*examples.scored, strict=True)
    half = len(right) // 2
    assert any(right[:half])
    assert not any(right[half:])
    assert logits[:half] == logits[half:]
