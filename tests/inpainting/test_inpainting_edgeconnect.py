"""The built-in inpainter: what its networks get, and what it makes of real photos."""

import cv2
import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt
from skimage.feature import canny

from cleanplate.errors import UnknownNameError
from cleanplate.hub import read_file
from cleanplate.inpainting import DEFAULT_INPAINTER, METHODS, create_inpainter, inpainter_names
from cleanplate.inpainting.models.edgeconnect import EdgeConnectInpainter, find_edges
from cleanplate.inpainting.models.opencv import DiffusionInpainter
from cleanplate.runtime import Session

LUMA = np.array([0.2125, 0.7154, 0.0721], np.float32)


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


def grey_of(photo):
    return photo.astype(np.float32) / 255 @ LUMA


def psnr_db(filled, truth, mask):
    return 10 * np.log10(255**2 / np.square(filled[mask].astype(float) - truth[mask]).mean())


def blot(size_hw, centre_xy, radii_px):
    mask = np.zeros(size_hw, np.uint8)
    cv2.ellipse(mask, centre_xy, radii_px, 20, 0, 360, 1, -1)
    return mask > 0


# --- edges


@pytest.mark.parametrize("name", ["astronaut", "coffee", "rocket"])
def test_edges_are_those_of_skimage_which_the_training_used(request, name):
    grey = grey_of(request.getfixturevalue(name))
    ours = find_edges(grey)
    theirs = canny(grey, sigma=2, low_threshold=0.1, high_threshold=0.2)

    assert ours.dtype == np.float32
    assert set(np.unique(ours)) == {0, 1}
    near_px = 1.5  # a neighbour, over a corner too
    assert (distance_transform_edt(~theirs)[ours > 0] < near_px).mean() > 0.95
    assert (distance_transform_edt(ours == 0)[theirs] < near_px).mean() > 0.95
    assert np.count_nonzero(ours) == pytest.approx(np.count_nonzero(theirs), rel=0.06)


def test_a_flat_image_has_no_edges_and_a_step_has_one():
    assert not find_edges(np.full((20, 30), 0.5, np.float32)).any()
    step = np.zeros((40, 60), np.float32)
    step[:, 30:] = 1
    edges = find_edges(step)
    assert edges[5:-5].sum(axis=1).min() == edges[5:-5].sum(axis=1).max() == 1
    assert np.isin(np.nonzero(edges[5:-5])[1], (29, 30)).all()


@pytest.mark.parametrize(("step", "seen"), [(0.05, False), (0.2, True)])
def test_a_faint_step_is_no_edge(step, seen):
    # At sigma 2 the Sobel magnitude of a step is 8 / sqrt(8 pi) = 1.6 times its height.
    grey = np.full((40, 60), 0.3, np.float32)
    grey[:, 30:] += step
    assert find_edges(grey).any() == seen


# --- what the networks get


class Recorder:
    def __init__(self, network) -> None:
        self.network, self.given, self.answers = network, [], []
        self.provider, self.input_shapes = network.provider, network.input_shapes

    def run(self, tensor):
        self.given.append(tensor.copy())
        self.answers.append(self.network.run(tensor))
        return self.answers[-1].copy()


@pytest.fixture
def recorded(edgeconnect):
    inpainter = EdgeConnectInpainter.__new__(EdgeConnectInpainter)
    inpainter._model = edgeconnect._model
    inpainter._networks = {
        role: Recorder(network) for role, network in edgeconnect._networks.items()
    }
    return inpainter


@pytest.mark.parametrize("size_hw", [(64, 96), (101, 87), (7, 45)])
def test_the_networks_get_what_they_were_trained_on(recorded, astronaut, size_hw):
    height, width = size_hw
    image = astronaut[40 : 40 + height, 180 : 180 + width]
    mask = np.zeros(size_hw, np.bool_)
    mask[height // 4 : height // 2 + 1, width // 4 : width // 2] = True

    recorded.inpaint(image, mask)

    (planes,), (painted,) = recorded._networks["edges"].given, recorded._networks["fill"].given
    assert planes.shape[:2] == (1, 3)
    assert painted.shape[:2] == (1, 4)
    assert planes.shape[2:] == painted.shape[2:]
    assert all(side % 4 == 0 and side >= 32 for side in planes.shape[2:])
    grey, edges, hole = planes[0, :, :height, :width]
    np.testing.assert_array_equal(hole, mask)
    np.testing.assert_allclose(grey, np.where(mask, 1, grey_of(image)), atol=1e-6)
    away_px = distance_transform_edt(~mask)
    assert not edges[away_px <= 2].any()
    # What lies 12 px from the hole and from the padding does not depend on them.
    far = np.zeros(size_hw, np.bool_)
    far[: max(0, height - 12), : max(0, width - 12)] = True
    far &= away_px > 12
    expected = find_edges(grey_of(image))
    assert np.count_nonzero(edges[far] != expected[far]) <= 0.01 * np.count_nonzero(far)
    assert edges.any()
    rgb, drawn = painted[0, :3, :height, :width], painted[0, 3, :height, :width]
    for channel in range(3):
        np.testing.assert_allclose(
            rgb[channel], np.where(mask, 1, image[..., channel] / 255), atol=1e-6
        )
    answer = recorded._networks["edges"].answers[0][0, 0, :height, :width]
    np.testing.assert_array_equal(drawn[mask], answer[mask])
    np.testing.assert_array_equal(drawn[away_px > 3], edges[away_px > 3])


@pytest.mark.parametrize("role", ["edges", "fill"])
def test_the_file_for_cpus_computes_nearly_what_the_other_does(edgeconnect, recorded, cat, role):
    mask = blot((256, 256), (120, 140), (50, 30))
    recorded.inpaint(cat[20:276, 100:356], mask)
    (given,), (found,) = recorded._networks[role].given, recorded._networks[role].answers
    (expected,) = Session(read_file(edgeconnect._model, role), name=role, device="cpu").run_all(
        given
    )
    off = np.abs(found - expected)[..., mask]
    assert 0 < off.mean() < 0.02  # of [0, 1]; on 15 other holes 0.001 for edges, 0.009 for colours


def test_the_objects_outline_is_no_edge(recorded):
    """A bright object in a tight mask on a flat photo: the networks see no edge at all."""
    image = np.full((80, 80, 3), 90, np.uint8)
    mask = blot((80, 80), (40, 40), (20, 15))
    image[mask] = 255
    recorded.inpaint(image, mask)
    assert not recorded._networks["edges"].given[0][0, 1].any()
    assert not recorded._networks["fill"].given[0][0, 3][~mask].any()


def test_padding_repeats_the_photos_border(recorded, astronaut):
    recorded.inpaint(astronaut[100:109, 200:213], np.eye(9, 13, dtype=np.bool_))
    (painted,) = recorded._networks["fill"].given
    assert painted.shape == (1, 4, 32, 32)
    last_column = painted[0, :3, :9, 12]
    np.testing.assert_array_equal(painted[0, :3, :9, 20], last_column)
    np.testing.assert_array_equal(painted[0, :3, 20, :12], painted[0, :3, 8, :12])


def test_an_empty_mask_runs_no_network(recorded, astronaut):
    recorded.inpaint(astronaut, np.zeros((512, 512), np.bool_))
    assert recorded._networks["edges"].given == recorded._networks["fill"].given == []


# --- real photos


@pytest.mark.parametrize(
    ("name", "place", "hole"),
    [
        ("astronaut", np.s_[:256, 256:], ((150, 100), (45, 30))),  # before the shuttle
        slow("coffee", np.s_[92:348, 189:445], ((71, 63), (35, 50))),  # over the cup's rim
        slow("rocket", np.s_[150:406, 200:456], ((120, 130), (35, 55))),  # over the tower
    ],
)
@pytest.mark.slow
def test_real_photos_are_filled_better_than_by_the_mean_colour_and_by_white(
    request, edgeconnect, name, place, hole
):
    truth = request.getfixturevalue(name)[place]
    mask = blot(truth.shape[:2], *hole)
    holed = np.where(mask[..., None], np.uint8(255), truth)

    filled = edgeconnect.inpaint(holed, mask)

    mean = np.broadcast_to(truth[~mask].mean(axis=0), truth.shape)
    assert psnr_db(filled, truth, mask) > psnr_db(mean, truth, mask) + 1
    assert psnr_db(filled, truth, mask) > psnr_db(holed, truth, mask) + 3


@pytest.mark.parametrize("level", [60, 150, 235])
@pytest.mark.slow
def test_a_noisy_sky_is_filled_with_its_own_colour(edgeconnect, level, rng):
    sky = np.clip(rng.normal((level - 40, level, level + 15), 2, (128, 128, 3)), 0, 255)
    truth = np.rint(sky).astype(np.uint8)
    mask = blot((128, 128), (60, 70), (30, 22))
    filled = edgeconnect.inpaint(np.where(mask[..., None], np.uint8(20), truth), mask)
    np.testing.assert_allclose(
        filled[mask].mean(axis=0), truth[~mask].mean(axis=0), atol=2, err_msg="a tint"
    )


def test_a_sky_that_darkens_upwards_stays_so_in_the_hole(edgeconnect, rng):
    shade = np.linspace(120, 220, 128)[:, None, None] + rng.normal(0, 1, (128, 128, 3))
    truth = np.rint(shade).astype(np.uint8)
    mask = blot((128, 128), (60, 70), (20, 30))
    filled = edgeconnect.inpaint(np.where(mask[..., None], np.uint8(20), truth), mask)
    rows = np.nonzero(mask.any(axis=1))[0]
    for row in rows[5:-5]:
        assert filled[row][mask[row]].mean() == pytest.approx(shade[row].mean(), abs=5)


def test_a_remnant_of_the_object_does_not_tint_the_sky(edgeconnect, rng):
    truth = np.rint(rng.normal(180, 1.5, (128, 128, 3))).astype(np.uint8)
    mask = np.zeros((128, 128), np.bool_)
    mask[40:90, 40:90] = True
    holed = np.where(mask[..., None], np.uint8(10), truth)
    holed[90:92, 60:66] = (200, 30, 30)  # what the mask missed
    filled = edgeconnect.inpaint(holed, mask)
    np.testing.assert_allclose(filled[40:86, 40:90].mean(axis=(0, 1)), 180, atol=2)


@pytest.mark.slow
def test_thin_scratches_are_not_left_white(edgeconnect, astronaut):
    truth = astronaut[:256, :256]
    lines = np.zeros((256, 256), np.uint8)
    for width_px, start in ((1, 20), (2, 90), (3, 160)):
        cv2.line(lines, (start, 10), (start + 60, 240), 1, width_px)
    mask = lines > 0

    filled = edgeconnect.inpaint(np.where(mask[..., None], np.uint8(255), truth), mask)

    assert psnr_db(filled, truth, mask) > 24
    dark = mask & (truth.max(axis=2) < 120)
    assert np.percentile(filled[dark], 99) < 200


@pytest.mark.slow
def test_a_scratch_beside_a_hole_leaves_the_holes_fill_alone(edgeconnect, astronaut):
    truth = astronaut[:256, :256]
    hole = blot((256, 256), (90, 120), (30, 40))
    both = hole.copy()
    both[:, 230] = True
    filled = edgeconnect.inpaint(truth, both)
    assert psnr_db(filled, truth, both & ~hole) > 24
    assert psnr_db(filled, edgeconnect.inpaint(truth, hole), hole) > 25


# --- by name


def test_inpainters_by_name():
    assert DEFAULT_INPAINTER in inpainter_names()
    assert inpainter_names()[-2:] == METHODS == ("telea", "navier-stokes")
    for name in (DEFAULT_INPAINTER, *METHODS):
        assert create_inpainter(name, device="cpu").name == name


def test_an_unknown_inpainter_brings_the_known_ones():
    match = r"unknown inpainter 'tele'; known: .*edgeconnect\.photos, .*\. Did you mean 'telea'\?"
    with pytest.raises(UnknownNameError, match=match):
        create_inpainter("tele")
    with pytest.raises(UnknownNameError, match="known: navier-stokes, telea"):
        DiffusionInpainter("edgeconnect.photos")


@pytest.mark.parametrize("threads", [1, 2])
def test_windows_are_of_the_same_size_on_any_number_of_cores(threads):
    """What is filled together has sizes in steps, and results would depend on the machine."""
    assert create_inpainter(device="cpu", threads=threads).max_concurrency == 1


def test_the_two_methods_differ(cat):
    mask = blot(cat.shape[:2], (200, 150), (40, 40))
    telea, navier_stokes = (create_inpainter(name).inpaint(cat, mask) for name in METHODS)
    assert (telea != navier_stokes).any()
