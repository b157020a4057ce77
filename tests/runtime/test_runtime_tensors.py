"""Images as published networks want them."""

import numpy as np
import pytest

from cleanplate.ops import resize
from cleanplate.runtime import sigmoid, to_tensor

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def prepare(image, size_hw):
    return to_tensor(resize(image, size_hw, antialias=True), MEAN, DEVIATION)


def test_without_mean_and_deviation_it_is_in_0_to_1(rng):
    image = rng.integers(0, 256, (5, 7, 3), np.uint8)
    np.testing.assert_array_equal(to_tensor(image)[0], image.transpose(2, 0, 1) / np.float32(255))


def test_linear_scaling_skips_what_it_shrinks():
    image = np.zeros((64, 64, 3), np.uint8)
    image[0] = 255  # a row of one pixel
    assert resize(image, (8, 8), antialias=False).max() == 0
    assert resize(image, (8, 8), antialias=True).max() > 0


@pytest.mark.parametrize("size_hw", [(1, 1), (7, 5), (3, 40), (90, 61)])
def test_linear_scaling_is_not_rounded(rng, size_hw):
    image = rng.integers(0, 256, (30, 21, 3), np.uint8)
    expected = image.astype(float)
    for axis, wanted in enumerate(size_hw):
        length = image.shape[axis]
        places = (np.arange(wanted) + 0.5) * length / wanted - 0.5
        expected = np.apply_along_axis(
            lambda line, at=places: np.interp(at, np.arange(len(line)), line), axis, expected
        )
    resized = resize(image, size_hw, antialias=False)
    assert resized.dtype == np.float32
    np.testing.assert_allclose(resized, expected, atol=1e-3)


def test_channels_are_rgb_and_normalised():
    image = np.full((30, 50, 3), (255, 102, 0), np.uint8)
    prepared = prepare(image, (16, 32))
    assert (prepared.shape, prepared.dtype) == ((1, 3, 16, 32), np.float32)
    assert prepared.flags.c_contiguous
    for plane, value, mean, deviation in zip(
        prepared[0], (1, 0.4, 0), MEAN, DEVIATION, strict=True
    ):
        np.testing.assert_allclose(plane, (value - mean) / deviation, atol=1e-5)


def test_shrinking_averages():
    image = np.zeros((64, 64, 3), np.uint8)
    image[::2] = 255  # rows of one pixel
    grey = prepare(image, (16, 16))[0, 0] * DEVIATION[0] + MEAN[0]
    np.testing.assert_allclose(grey[1:-1], 0.5, atol=0.03)


def test_any_array_of_the_right_shape_will_do():
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    expected = prepare(np.ascontiguousarray(image[::-1, 3:]), (20, 30))
    np.testing.assert_array_equal(prepare(image[::-1, 3:], (20, 30)), expected)


def test_a_sigmoid_takes_any_logit():
    logits = np.array([-1e4, -np.log(3), 0, np.log(3), 1e4], np.float32)
    np.testing.assert_allclose(sigmoid(logits), [0, 0.25, 0.5, 0.75, 1], atol=1e-6)


@pytest.mark.slow  # loads transformers
@pytest.mark.parametrize("size_hw", [(301, 451), (97, 33), (512, 512)])
def test_it_is_what_the_published_processors_make(astronaut, size_hw):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    image = astronaut[: size_hw[0], : size_hw[1]]
    for processor, side in (
        (transformers.ViTImageProcessor(**_SETTINGS, size={"height": 352, "width": 352}), 352),
        (transformers.SegformerImageProcessor(**_SETTINGS), 512),
    ):
        expected = processor(torch.from_numpy(image.copy()).permute(2, 0, 1), return_tensors="np")
        apart = np.abs(prepare(image, (side, side)) - expected["pixel_values"])
        assert apart.max() < 1.01 / 255 / min(DEVIATION)  # one grey level


_SETTINGS = {"image_mean": MEAN, "image_std": DEVIATION, "resample": 2, "rescale_factor": 1 / 255}
