"""`cleanplate.remove` gives back what it was given."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

import cleanplate
from cleanplate import api
from cleanplate.errors import InputError, PhotoError, UnknownNameError
from cleanplate.options import RemovalOptions
from cleanplate.remover import Remover
from tiff_builders import dng

BLOT = np.s_[20:40, 30:60]


@pytest.fixture(autouse=True)
def remover(monkeypatch, fake_segmenter, fake_inpainter):
    """Return the remover that is used when none is passed."""
    remover = Remover(segmenter=fake_segmenter, inpainter=fake_inpainter)
    monkeypatch.setattr(api, "_default_remover", lambda device: remover)
    return remover


@pytest.fixture
def pixels():
    pixels = np.full((64, 96, 3), (120, 150, 190), np.uint8)
    pixels[BLOT] = (250, 0, 0)
    return pixels


def encoded(image, format_name, **options):
    stream = io.BytesIO()
    image.save(stream, format_name, **options)
    return stream.getvalue()


def decoded(content):
    return Image.open(io.BytesIO(content))


def without_blot(result, original, *, slack=2):
    """Assert that the blot is gone from an RGB array, and nothing far from it has changed."""
    assert result.shape == original.shape
    assert np.abs(result[BLOT].astype(int) - (120, 150, 190)).max() <= slack
    np.testing.assert_array_equal(result[:, 75:], original[:, 75:])
    np.testing.assert_array_equal(result[55:], original[55:])


# --- arrays


def test_an_rgb_array(pixels):
    before = pixels.copy()
    result = cleanplate.remove(pixels, ["person"])
    assert result.dtype == np.uint8
    without_blot(result, pixels)
    np.testing.assert_array_equal(pixels, before, err_msg="the input was modified")


def test_an_array_with_alpha_keeps_it(pixels, rng):
    alpha = rng.integers(0, 256, (64, 96, 1)).astype(np.uint8)
    image = np.concatenate([pixels, alpha], axis=2)
    before = image.copy()
    result = cleanplate.remove(image, "person")
    assert result.shape == (64, 96, 4)
    np.testing.assert_array_equal(result[..., 3:], alpha)
    without_blot(result[..., :3], pixels)
    np.testing.assert_array_equal(image, before, err_msg="the input was modified")


def test_a_grey_array_stays_grey(rng):
    class Everywhere:
        name, provider, labels = "everywhere", "NumPy", ("person",)

        def segment(self, image, labels):
            assert (image == image[..., :1]).all()
            mask = np.ones((20, 30), np.bool_)
            return [cleanplate.Instance(1, "person", 0.9, (30, 20, 60, 40), mask)]

    image = np.full((64, 96), 140, np.uint8)
    image[BLOT] = 250
    before = image.copy()
    result = cleanplate.remove(
        image, "person", remover=Remover(segmenter=Everywhere(), inpainter="telea")
    )
    assert (result.shape, result.dtype) == ((64, 96), np.uint8)
    assert np.abs(result.astype(int) - 140).max() <= 3
    np.testing.assert_array_equal(image, before, err_msg="the input was modified")


@pytest.mark.parametrize("shape", [(64, 96), (64, 96, 3), (64, 96, 4), (1, 1), (1, 1, 4)])
def test_an_array_without_the_object_comes_back_as_an_equal_copy(shape, rng):
    image = rng.integers(0, 90, shape).astype(np.uint8)
    result = cleanplate.remove(image, "person")
    np.testing.assert_array_equal(result, image)
    assert not np.shares_memory(result, image)


@pytest.mark.parametrize(
    ("image", "match"),
    [
        (np.zeros((4, 6, 2), np.uint8), r"must be uint8 of shape .*got \(4, 6, 2\) uint8"),
        (np.zeros((4, 6, 3), np.float64), r"got \(4, 6, 3\) float64"),
        (np.zeros((4, 6), np.bool_), r"got \(4, 6\) bool"),
        (np.zeros(6, np.uint8), r"got \(6,\) uint8"),
        (np.zeros((1, 4, 6, 3), np.uint8), r"got \(1, 4, 6, 3\) uint8"),
        (np.zeros((0, 6), np.uint8), "H, W >= 1"),
    ],
)
def test_other_arrays_are_refused(image, match):
    with pytest.raises(InputError, match=match):
        cleanplate.remove(image, "person")


# --- files' content


@pytest.mark.parametrize("format_name", ["PNG", "JPEG", "WEBP", "TIFF", "BMP"])
def test_bytes_come_back_as_bytes_of_the_same_format(pixels, format_name):
    options = {"lossless": True} if format_name == "WEBP" else {}
    content = encoded(Image.fromarray(pixels), format_name, **options)
    result = cleanplate.remove(content, "person")
    assert isinstance(result, bytes)
    image = decoded(result)
    assert image.format == format_name
    original = np.asarray(decoded(content).convert("RGB"))
    if format_name == "JPEG":
        assert np.abs(np.asarray(image)[24:36, 34:56].astype(int) - (120, 150, 190)).max() < 12
    else:
        without_blot(np.asarray(image.convert("RGB")), original, slack=12)


@pytest.mark.parametrize("format_name", ["PNG", "JPEG", "WEBP", "TIFF", "BMP"])
def test_bytes_without_the_object_are_the_very_same(pixels, format_name):
    content = encoded(Image.fromarray(pixels), format_name)
    assert cleanplate.remove(content, "dog") is content


def test_metadata_of_bytes_is_kept(pixels):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010F] = "ACME Cameras"
    image = Image.fromarray(pixels)
    content = encoded(image, "JPEG", exif=exif, icc_profile=profile, dpi=(300, 300))

    kept = decoded(cleanplate.remove(content, "person"))

    assert kept.getexif()[0x010F] == "ACME Cameras"
    assert kept.info["icc_profile"] == profile
    assert kept.info["dpi"] == (300, 300)


def test_bad_bytes_say_what_is_wrong():
    with pytest.raises(PhotoError, match=r"<bytes>: the file is empty"):
        cleanplate.remove(b"", "person")
    with pytest.raises(PhotoError, match=r"<bytes>: it is a text file"):
        cleanplate.remove(b"no photo at all, only words", "person")


# --- Pillow images and paths


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_a_pillow_image_keeps_mode_and_size(pixels, mode):
    image = Image.fromarray(pixels)
    if mode == "RGBA":
        image.putalpha(77)
    elif mode == "P":
        image = image.quantize(16)
    before = image.tobytes()

    result = cleanplate.remove(image, "person")

    assert isinstance(result, Image.Image)
    assert (result.mode, result.size) == (image.mode, image.size)
    original = np.asarray(image.convert("RGB"))
    without_blot(np.asarray(result.convert("RGB")), original, slack=6)
    if mode == "RGBA":
        assert result.getchannel("A").getextrema() == (77, 77)
    assert image.tobytes() == before, "the input was modified"


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_a_pillow_image_without_the_object_comes_back_equal(mode, rng):
    grey = Image.fromarray(rng.integers(0, 90, (40, 50)).astype(np.uint8))
    image = grey.convert(mode)
    result = cleanplate.remove(image, "person")
    assert (result.mode, result.size) == (mode, (50, 40))
    assert result is not image
    np.testing.assert_array_equal(np.asarray(result), np.asarray(image))


@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_a_path_gives_a_pillow_image(pixels, tmp_path, kind):
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path)
    before = path.read_bytes()
    result = cleanplate.remove(kind(path), "person")
    assert isinstance(result, Image.Image)
    assert result.mode == "RGB"
    without_blot(np.asarray(result), pixels)
    assert path.read_bytes() == before


def test_the_path_of_a_heic_gives_rgb(pixels, tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif", reason="the extra `heif` is not installed")
    path = tmp_path / "photo.heic"
    pillow_heif.from_pillow(Image.fromarray(pixels)).save(path, quality=95, chroma=444)
    result = cleanplate.remove(path, "person")
    assert (result.mode, result.size) == ("RGB", (96, 64))
    assert np.abs(np.asarray(result)[BLOT].astype(int) - (120, 150, 190)).max() < 9


def test_the_bytes_of_a_raw_give_those_of_a_deep_tiff(pixels):
    pytest.importorskip("rawpy", reason="the extra `raw` is not installed")
    result = cleanplate.remove(dng(pixels), "person")
    assert (decoded(result).format, decoded(result).tag_v2[258]) == ("TIFF", (16, 16, 16))
    empty = dng(np.full_like(pixels, 200))
    assert cleanplate.remove(empty, "person") == empty


def test_a_path_that_is_no_photo_names_the_file(tmp_path):
    with pytest.raises(PhotoError, match=r"gone\.png"):
        cleanplate.remove(tmp_path / "gone.png", "person")
    (tmp_path / "text.jpg").write_text("no photo at all, only words")
    with pytest.raises(PhotoError, match=r"text\.jpg: it is a text file"):
        cleanplate.remove(tmp_path / "text.jpg", "person")


# --- options


@pytest.mark.parametrize("image", [None, 7, [[1, 2]], bytearray(b"x")], ids=repr)
def test_other_types_are_refused_by_name(image):
    with pytest.raises(InputError, match=rf"photo .*\b{type(image).__name__}\b"):
        cleanplate.remove(image, "person")


def test_options_reach_the_remover(pixels):
    np.testing.assert_array_equal(
        cleanplate.remove(pixels, "person", RemovalOptions(min_score=0.99)), pixels
    )
    np.testing.assert_array_equal(
        cleanplate.remove(pixels, "person", RemovalOptions(min_area=601)), pixels
    )
    kept = cleanplate.remove(pixels, "person", RemovalOptions(rules=cleanplate.Rules(keep=1)))
    np.testing.assert_array_equal(kept, pixels)
    changed = (cleanplate.remove(pixels, "person", RemovalOptions(dilation=0)) != pixels).any(
        axis=2
    )
    assert changed.sum() == 600
    with pytest.raises(UnknownNameError, match="Did you mean 'person'"):
        cleanplate.remove(pixels, "persn")


def test_a_remover_of_ones_own_is_used(pixels, fake_inpainter_class, fake_segmenter_class):
    inpainter = fake_inpainter_class()
    own = Remover(segmenter=fake_segmenter_class(), inpainter=inpainter)
    cleanplate.remove(pixels, "person", remover=own)
    assert len(inpainter.given) == 1


def test_the_default_models_are_loaded_once(monkeypatch):
    monkeypatch.undo()
    api._default_remover.cache_clear()
    assert api._default_remover() is api._default_remover()
