"""What goes in comes out: the kind of photo of every call, format and metadata of files."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

import cleanplate
from cleanplate.errors import InputError
from cleanplate.remover import Remover

SHAPES = {"grey": (), "RGB array": (3,), "RGBA array": (4,)}
MODES = {"1": (), "L": (), "P": (), "LA": (2,), "RGB": (3,), "RGBA": (4,), "CMYK": (4,)}
MODES |= dict.fromkeys(("PA", "YCbCr", "LAB", "HSV", "RGBX"), (3,))
KINDS = (*SHAPES, *MODES, "bytes", "path")
MASKS = {
    "bool": lambda mask: mask,
    "0 and 255": lambda mask: mask.astype(np.uint8) * np.uint8(255),
    "1": Image.fromarray,
    "L": lambda mask: Image.fromarray(mask).convert("L"),
}
CALLS = {
    "call": lambda photo, mask, remover: remover(photo, mask=mask).image,
    "Remover.fill": lambda photo, mask, remover: remover.fill(photo, mask).image,
    "remove": lambda photo, mask, remover: cleanplate.remove(photo, mask=mask, remover=remover),
    "fill": lambda photo, mask, remover: cleanplate.fill(photo, mask, remover=remover),
}


def make(kind, size_hw, rng, folder):
    """Return a random photo of a kind."""
    pixels = rng.integers(0, 256, (*size_hw, *{**SHAPES, **MODES}.get(kind, (3,)))).astype(np.uint8)
    if kind in SHAPES:
        return pixels
    if kind == "1":
        return Image.fromarray(pixels > 127)
    if kind in ("P", "PA"):
        colours = pixels if kind == "PA" else np.repeat(pixels[..., None], 3, axis=2)
        return Image.fromarray(colours & 0xF0).quantize(16).convert(kind)
    if kind == "LAB":
        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        return ImageCms.profileToProfile(Image.fromarray(pixels), *profiles, outputMode="LAB")
    image = Image.fromarray(pixels, "CMYK" if kind == "CMYK" else None)
    if kind in MODES:
        return image.convert(kind)
    image.save(folder / "photo.png")
    return folder / "photo.png" if kind == "path" else (folder / "photo.png").read_bytes()


def samples(photo):
    """Return what a photo of any kind holds, as an array."""
    if isinstance(photo, bytes):
        photo = Image.open(io.BytesIO(photo))
    return np.asarray(Image.open(photo) if hasattr(photo, "read_bytes") else photo)


@settings(max_examples=60)
@given(
    kind=st.sampled_from(KINDS),
    mask_kind=st.sampled_from(sorted(MASKS)),
    call=st.sampled_from(sorted(CALLS)),
    size_hw=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    seed=st.integers(0, 999),
)
def test_the_same_kind_comes_back_and_only_the_mask_differs(
    tmp_path_factory, fake_inpainter_class, *, kind, mask_kind, call, size_hw, seed
):
    rng = np.random.default_rng(seed)
    photo = make(kind, size_hw, rng, tmp_path_factory.getbasetemp())
    before = samples(photo).copy()
    mask = rng.random(size_hw) < 0.4

    remover = Remover(segmenter="none", inpainter=fake_inpainter_class())
    result = CALLS[call](photo, MASKS[mask_kind](mask), remover)

    expected = np.ndarray if kind in SHAPES else bytes if kind == "bytes" else Image.Image
    assert isinstance(result, expected)
    if kind in MODES:
        assert (result.mode, result.size) == (photo.mode, photo.size)
    if kind == "bytes":
        assert Image.open(io.BytesIO(result)).format == "PNG"
    found = samples(result)
    assert (found.shape, found.dtype) == (before.shape, before.dtype)
    np.testing.assert_array_equal(found[~mask], before[~mask])
    np.testing.assert_array_equal(samples(photo), before, err_msg="the input was modified")


# --- files


@pytest.fixture
def remover(fake_segmenter, fake_inpainter):
    return Remover(segmenter=fake_segmenter, inpainter=fake_inpainter)


def write(path, colour):
    """Write a photo with a square, an Exif tag, a colour profile and a resolution."""
    pixels = np.full((64, 96, 3), (120, 150, 190), np.uint8)
    pixels[20:40, 30:60] = colour
    exif = Image.Exif()
    exif[0x010F] = "ACME Cameras"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    options = {} if path.suffix == ".bmp" else {"exif": exif, "icc_profile": profile}
    if path.suffix == ".webp":
        options["lossless"] = True
    else:
        options["dpi"] = (300, 300)
    Image.fromarray(pixels).save(path, **options)
    return path


def test_a_preview_behind_a_cameras_photo_is_no_second_frame(tmp_path, remover):
    exif = Image.Exif()
    exif[0x0112] = 6
    photo, preview = Image.new("RGB", (40, 20), (250, 0, 0)), Image.new("RGB", (16, 8))
    photo.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[preview], exif=exif)
    mask = np.zeros((40, 20), np.bool_)
    mask[5:10, 5:10] = True
    result = cleanplate.fill(tmp_path / "a.jpg", mask, remover=remover)
    assert (result.size, result.getexif()[0x0112]) == ((40, 20), 6)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp", ".bmp"])
def test_a_file_keeps_format_and_metadata(tmp_path, remover, suffix):
    source = write(tmp_path / f"in{suffix}", (250, 0, 0))
    before = source.read_bytes()
    target = tmp_path / "new" / f"out{suffix}"

    removal = cleanplate.remove_file(source, target, ["person"], remover=remover)

    assert source.read_bytes() == before
    with Image.open(source) as old, Image.open(target) as new:
        assert (new.format, new.mode, new.size) == (old.format, old.mode, old.size)
        assert new.getexif().get(0x010F) == old.getexif().get(0x010F)
        assert new.info.get("icc_profile") == old.info.get("icc_profile")
        assert new.info.get("dpi") == old.info.get("dpi")
        pixels, original = np.asarray(new).astype(int), np.asarray(old)
    assert [instance.label for instance in removal.instances] == ["person"]
    assert np.abs(pixels[22:38, 32:58] - (120, 150, 190)).max() < 12
    if suffix != ".jpg":
        np.testing.assert_array_equal(pixels[~removal.mask], original[~removal.mask])


def test_a_file_without_the_object_is_copied_and_none_is_replaced_unasked(tmp_path, remover):
    source = write(tmp_path / "in.jpg", (0, 0, 250))
    target = tmp_path / "out.jpg"
    assert not cleanplate.remove_file(source, target, "person", remover=remover).changed
    assert target.read_bytes() == source.read_bytes()
    target.write_bytes(b"mine")
    for name, word in (("out.jpg", "overwrite"), ("in.jpg", "itself"), ("out.png", ".jpg")):
        with pytest.raises(InputError, match=rf"{name}: .*{word}"):
            cleanplate.remove_file(source, tmp_path / name, "person", remover=remover)
    assert target.read_bytes() == b"mine"
    cleanplate.remove_file(source, target, "person", overwrite=True, remover=remover)
    assert target.read_bytes() == source.read_bytes()
