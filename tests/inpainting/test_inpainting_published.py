"""What the networks of other publishers are given, and what becomes of their answers."""

import numpy as np
import pytest
from inpainters_standins import HOLE_LEVEL, standin_file
from skimage.color import rgb2gray
from skimage.feature import canny

from cleanplate.errors import ChecksumError, WeightsError
from cleanplate.hub.install import import_model
from cleanplate.hub.registry import get_model
from cleanplate.inpainting import create_inpainter
from cleanplate.inpainting import fill as filling
from cleanplate.inpainting.base import DEFAULT_REACH_PX, is_sharp, reach_of
from cleanplate.remover import Remover


class Recorder:
    def __init__(self, network) -> None:
        self.network, self.given, self.answers = network, [], []
        self.input_shapes = network.input_shapes

    def run(self, *tensors):
        self.given.append([tensor.copy() for tensor in tensors])
        self.answers.append(self.network.run(*tensors))
        return self.answers[-1].copy()


@pytest.fixture
def recorded(standin, request):
    inpainter = standin(request.param)
    inpainter._networks = {role: Recorder(net) for role, net in inpainter._networks.items()}
    return inpainter


def with_(name):
    return pytest.mark.parametrize("recorded", [name], indirect=True)


def photo_and_hole(astronaut, size_hw):
    height, width = size_hw
    image = astronaut[40 : 40 + height, 180 : 180 + width]
    mask = np.zeros(size_hw, np.bool_)
    mask[height // 4 : height // 2 + 1, width // 4 : width // 2] = True
    return image, mask


# --- EdgeConnect


@with_("edgeconnect.places2")
@pytest.mark.parametrize("size_hw", [(256, 256), (64, 96), (101, 87), (7, 45)])
def test_edgeconnect_gets_what_its_authors_program_hands_over(recorded, astronaut, size_hw):
    height, width = size_hw
    image, mask = photo_and_hole(astronaut, size_hw)

    result = recorded.inpaint(image, mask)

    edges, fill = recorded._networks["edges"], recorded._networks["fill"]
    (planes,), (painted,) = edges.given[0], fill.given[0]
    assert planes.dtype == painted.dtype == np.float32
    assert planes.shape[1] == 3
    assert painted.shape[1] == 4
    assert all(side % 4 == 0 for side in planes.shape[2:])
    grey = planes[0, 0, :height, :width]
    np.testing.assert_allclose(grey, np.where(mask, 1, rgb2gray(image)), atol=1e-6)
    np.testing.assert_array_equal(planes[0, 2, :height, :width], mask)
    if height % 4 == width % 4 == 0:  # nothing is padded
        np.testing.assert_array_equal(planes[0, 1], canny(rgb2gray(image), sigma=2, mask=~mask))
    white = np.where(mask[..., None], 1, image / 255)
    np.testing.assert_allclose(painted[0, :3, :height, :width].transpose(1, 2, 0), white, atol=1e-6)
    np.testing.assert_array_equal(painted[0, 3], edges.answers[0][0, 0])  # outside the hole too
    answer = fill.answers[0][0, :, :height, :width].transpose(1, 2, 0)
    np.testing.assert_array_equal(result, np.where(mask[..., None], np.rint(answer * 255), image))


# --- LaMa


@with_("big_lama.places")
@pytest.mark.parametrize("size_hw", [(64, 96), (101, 87), (5, 300), (600, 40)])
def test_lama_gets_multiples_of_8_mirrored_and_a_hole_of_1(recorded, astronaut, size_hw):
    image, mask = photo_and_hole(astronaut, (min(size_hw[0], 470), min(size_hw[1], 330)))
    image = np.resize(image, (*size_hw, 3))
    mask = np.resize(mask, size_hw)

    recorded.inpaint(image, mask)

    (picture, hole), *_ = recorded._networks["fill"].given
    assert picture.dtype == hole.dtype == np.float32
    padded = [max(16, -(-side // 8) * 8) for side in size_hw]
    assert picture.shape == (1, 3, *padded)
    assert hole.shape == (1, 1, *padded)
    more = [(0, after - side) for side, after in zip(size_hw, padded, strict=True)]
    expected = np.pad(mask, more, mode="symmetric")
    np.testing.assert_array_equal(hole[0, 0], expected)
    mirrored = np.pad(image, (*more, (0, 0)), mode="symmetric") / 255
    np.testing.assert_allclose(
        picture[0].transpose(1, 2, 0), mirrored * ~expected[..., None], atol=1e-6
    )


@with_("lama.places")
@pytest.mark.parametrize("size_hw", [(512, 512), (300, 451), (9, 13)])
def test_the_fixed_lama_gets_512_px_mirrored(recorded, astronaut, size_hw):
    image, mask = photo_and_hole(np.tile(astronaut, (2, 2, 1)), size_hw)
    recorded.inpaint(image, mask)
    (picture, hole), *rest = recorded._networks["fill"].given
    assert not rest
    assert picture.shape == (1, 3, 512, 512)
    assert picture.max() <= 1
    more = [(0, 512 - side) for side in size_hw]
    np.testing.assert_array_equal(hole[0, 0], np.pad(mask, more, mode="symmetric"))


@with_("lama.places")
def test_the_fixed_lama_fills_larger_images_at_512_px(recorded, astronaut):
    image = np.tile(astronaut, (1, 2, 1))  # 512 x 1024
    mask = np.zeros(image.shape[:2], np.bool_)
    mask[100:300, 600:900] = True
    result = recorded.inpaint(image, mask)
    (picture, hole), *_ = recorded._networks["fill"].given
    assert picture.shape == (1, 3, 512, 512)
    assert np.count_nonzero(hole[0, 0, :256]) >= np.count_nonzero(mask) / 4
    np.testing.assert_array_equal(result[~mask], image[~mask])


@pytest.mark.parametrize("name", ["lama.places", "big_lama.places"])
def test_lama_answers_are_levels_of_the_right_range_and_order(standin, name):
    image = np.empty((40, 56, 3), np.uint8)
    image[:] = (210, 121, 30)
    mask = np.zeros((40, 56), np.bool_)
    mask[10:30, 10:50] = True
    filled = standin(name).inpaint(np.where(mask[..., None], np.uint8(255), image), mask)
    np.testing.assert_array_equal(filled, image)


# --- MI-GAN


@with_("migan.places2")
@pytest.mark.parametrize(
    ("size_hw", "given_hw"),
    [
        ((512, 512), (512, 512)),
        ((300, 451), (451, 451)),
        ((9, 3), (16, 16)),
        ((600, 520), (600, 520)),
        ((4, 700), (16, 700)),
    ],
)
def test_migan_gets_levels_and_255_for_what_is_known(recorded, astronaut, size_hw, given_hw):
    image, mask = photo_and_hole(np.tile(astronaut, (2, 2, 1)), size_hw)

    result = recorded.inpaint(image, mask)

    (picture, known), *_ = recorded._networks["fill"].given
    assert picture.dtype == known.dtype == np.uint8
    assert picture.shape == (1, 3, *given_hw)
    assert known.shape == (1, 1, *given_hw)
    assert set(np.unique(known)) == {0, 255}
    height, width = size_hw
    np.testing.assert_array_equal(known[0, 0, :height, :width] == 255, ~mask)
    own = picture[0, :, :height, :width].transpose(1, 2, 0)
    np.testing.assert_array_equal(own[~mask], image[~mask])
    np.testing.assert_array_equal(
        result, np.where(mask[..., None], np.uint8(HOLE_LEVEL), image), err_msg="polarity"
    )


@with_("migan.places2")
def test_migan_blends_with_the_surroundings_and_not_with_the_object(recorded):
    image = np.full((80, 90, 3), 60, np.uint8)
    mask = np.zeros((80, 90), np.bool_)
    mask[20:50, 30:60] = True
    image[mask] = 250
    recorded.inpaint(image, mask)
    (picture, _), *_ = recorded._networks["fill"].given
    np.testing.assert_allclose(picture, 60, atol=1)


# --- by name, and in the pipeline


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("lama.places", "run 'cleanplate models pull lama.places'"),
        ("migan.places2", "run 'cleanplate models pull migan.places2'"),
        ("big_lama.places", "run 'cleanplate models pull big_lama.places'"),
        (
            "edgeconnect.celeba",
            r"EdgeModel_gen.pth .* from https://drive.google.com/.* --accept-licence",
        ),
    ],
)
def test_one_that_is_not_here_says_how_to_get_it(name, advice, tmp_path, monkeypatch):
    monkeypatch.setenv("CLEANPLATE_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match=f"{name} is not installed; .*{advice}"):
        create_inpainter(name)


@pytest.mark.parametrize("name", ["lama.places", "migan.places2"])
def test_an_onnx_file_of_ones_own_is_imported(name, tmp_path, monkeypatch, astronaut):
    pytest.importorskip("onnx")
    monkeypatch.setenv("CLEANPLATE_HOME", str(tmp_path))
    own = tmp_path / "own.onnx"
    own.write_bytes(standin_file(name, "fill"))
    with pytest.raises(ChecksumError, match=r"own\.onnx: .* bytes, expected .*--own-weights"):
        import_model(name, [own])

    assert import_model(name, [own], own_weights=True).origin == "own"

    image, mask = photo_and_hole(astronaut, (60, 90))
    result = create_inpainter(name, device="cpu").inpaint(image, mask)
    assert (result[mask] != image[mask]).any()
    np.testing.assert_array_equal(result[~mask], image[~mask])


def test_licences_are_reported_as_their_publishers_leave_them():
    commercial = {
        name: get_model(name).licence.commercial
        for name in ("edgeconnect.places2", "lama.places", "big_lama.places", "migan.places2")
    }
    assert list(commercial.values()) == ["no", "unclear", "unclear", "yes"]


def test_reach_is_32_px_unless_an_inpainter_says_otherwise(standin, fake_inpainter_class):
    assert reach_of(fake_inpainter_class()) == DEFAULT_REACH_PX == 32
    assert reach_of(standin("edgeconnect.psv")) == 32
    for name in ("lama.places", "big_lama.places", "migan.places2"):
        assert reach_of(standin(name)) is None


def test_fills_count_as_smooth_unless_an_inpainter_says_otherwise(standin, fake_inpainter_class):
    assert not is_sharp(fake_inpainter_class())
    assert not is_sharp(standin("edgeconnect.psv"))
    assert not is_sharp(create_inpainter(device="cpu"))
    for name in ("lama.places", "big_lama.places", "migan.places2"):
        assert is_sharp(standin(name))


@pytest.mark.parametrize(("reach_px", "expected"), [(32.0, 128), (None, 256), (100.0, 375)])
@pytest.mark.slow
def test_deep_holes_are_given_smaller_only_where_that_helps(
    fake_inpainter_class, gravel, monkeypatch, reach_px, expected
):
    """A hole 136 px deep in a window of 512 px, for an inpainter that works at 256 px."""
    monkeypatch.setattr(filling, "transfer_texture", lambda known, filled, *more, **options: filled)
    inpainter = fake_inpainter_class(working_size=256)
    inpainter.reach_px = reach_px
    mask = np.zeros((512, 512), np.bool_)
    mask[120:391, 120:391] = True
    Remover(inpainter=inpainter).fill(gravel, mask)
    ((image, _),) = inpainter.given
    assert max(image.shape) == min(expected, 256)
