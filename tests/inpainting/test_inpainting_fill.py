"""Holes filled window by window: several at a time give what one by one gives."""

import threading

import cv2
import numpy as np
import pytest

from cleanplate.inpainting import create_inpainter
from cleanplate.inpainting import fill as filling
from cleanplate.inpainting.fill import inpaint_holes


class Counting:
    """Fills with the mean colour of the window, and counts how many do so at a time."""

    name, provider = "counting", "NumPy"

    def __init__(self, max_concurrency: int, working_size: int | None = None) -> None:
        self.max_concurrency, self.working_size = max_concurrency, working_size
        self.inside = self.most = 0
        self.lock = threading.Lock()

    def inpaint(self, image, mask):
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        threading.Event().wait(0.02)
        filled = image[~mask].mean(axis=0).astype(np.uint8)
        with self.lock:
            self.inside -= 1
        return np.where(mask[..., None], filled, image)


@pytest.fixture
def plain(monkeypatch):
    """Leave texture out: it is not what is tested, and takes seconds."""
    monkeypatch.setattr(filling, "transfer_texture", lambda known, filled, *more, **options: filled)


@pytest.fixture
def scene(rng):
    """Return a photo and a mask with far holes, and near ones whose windows overlap."""
    smooth = cv2.GaussianBlur(rng.integers(0, 255, (500, 900, 3)).astype(np.float32), (0, 0), 4)
    photo = np.clip((smooth - 127) * 6 + 127, 0, 255).astype(np.uint8)
    mask = np.zeros((500, 900), np.bool_)
    for left, top, side in (
        (30, 40, 50),
        (150, 60, 40),
        (700, 60, 60),
        (60, 380, 30),
        (800, 400, 45),
    ):
        mask[top : top + side, left : left + side] = True
    return photo, mask


@pytest.mark.slow
@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("working_size", [None, 64])
def test_several_windows_at_a_time_give_what_one_by_one_gives(scene, working_size):
    photo, mask = scene
    before = photo.copy()
    alone, several = Counting(1, working_size), Counting(4, working_size)
    expected, found = (inpaint_holes(photo, mask, inpainter) for inpainter in (alone, several))
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(found[~mask], photo[~mask])
    np.testing.assert_array_equal(photo, before)
    assert (alone.most, several.most > 1) == (1, True)


@pytest.mark.slow
@pytest.mark.usefixtures("plain")
def test_the_windows_of_a_photo_meet_on_the_gpu(rng, pretended_cuda, monkeypatch):
    # Both compute with the files for GPUs.
    monkeypatch.setattr("cleanplate.inpainting.base.runs_on_cpu", lambda _: False)
    photo = rng.integers(0, 255, (260, 1000, 3)).astype(np.uint8)
    mask = np.zeros((260, 1000), np.bool_)
    for left in range(100, 1000, 300):
        mask[100 : 130 + left // 100, left : left + 40] = True
    expected = inpaint_holes(photo, mask, create_inpainter(device="cpu"))
    found = inpaint_holes(photo, mask, create_inpainter(device="cuda"))
    batches = [shapes[0][0] for session in pretended_cuda.sessions for shapes in session.ran]
    assert max(batches) > 1
    assert np.abs(found.astype(int) - expected).max() <= 3  # of equal sizes: 256 px
    np.testing.assert_array_equal(found[~mask], photo[~mask])


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize(("max_concurrency", "step"), [(1, 1), (8, 32)])
@pytest.mark.slow
def test_windows_that_are_filled_together_have_few_sizes(max_concurrency, step):
    asked = []

    class Asked(Counting):
        reach_px = 32.0

        def inpaint(self, image, mask):
            asked.append(max(mask.shape))
            return image

    for depth in (75, 82, 90, 99, 108, 117, 127):
        mask = np.zeros((700, 700), np.bool_)
        mask[300 : 300 + 2 * depth, 200:500] = True
        inpaint_holes(np.full((700, 700, 3), 90, np.uint8), mask, Asked(max_concurrency, 256))
    assert all(size % step == 0 for size in asked)
    assert (len(set(asked)) <= 4) == (step > 1)


@pytest.fixture
def round_scene():
    """Return a panorama that is smooth across its border, and a hole there."""
    y, x = np.mgrid[:80, :160]
    around = np.stack([np.sin((x + shift) * np.pi / 80) for shift in (0, 50, 100)], axis=2)
    mask = np.zeros((80, 160), np.bool_)
    mask[20:50, :12] = mask[20:50, -12:] = True
    return np.rint(127 + 100 * around + y[..., None] / 4).astype(np.uint8), mask


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("all_round", [False, True])
def test_the_borders_of_a_panorama_meet(round_scene, all_round):
    photo, mask = round_scene
    if all_round:
        mask = np.zeros_like(mask)
        mask[60:] = True
    inpainter = create_inpainter("telea")
    spoiled = np.where(mask[..., None], np.uint8(0), photo)
    filled = inpaint_holes(spoiled, mask, inpainter, wraps=True)
    np.testing.assert_array_equal(filled[~mask], spoiled[~mask])
    steps = np.abs(np.diff(filled.astype(int), axis=1, append=filled[:, :1].astype(int)))
    steps = np.where(mask[..., None], steps, 0)
    assert steps[:, -1].max() <= max(20, steps[:, 30:-30].max())
    alone = inpaint_holes(spoiled, mask, inpainter)
    assert np.abs(alone[:, 0].astype(int) - alone[:, -1]).max() > steps[:, -1].max()


@pytest.mark.usefixtures("plain")
def test_a_panorama_may_begin_anywhere(round_scene):
    photo, mask = round_scene
    inpainter = create_inpainter("telea")
    expected = inpaint_holes(photo, mask, inpainter, wraps=True)
    turned = inpaint_holes(
        np.roll(photo, 37, axis=1), np.roll(mask, 37, axis=1), inpainter, wraps=True
    )
    np.testing.assert_array_equal(np.roll(turned, -37, axis=1), expected)


@pytest.mark.parametrize("wraps", [False, True])
def test_without_texture_the_fill_stays_as_it_was_drawn(scene, monkeypatch, wraps):
    photo, mask = scene
    inpainter = Counting(1, working_size=64)
    monkeypatch.setattr(filling, "transfer_texture", None)  # not called
    filled = inpaint_holes(photo, mask, inpainter, wraps=wraps, texture=False)
    np.testing.assert_array_equal(filled[~mask], photo[~mask])
    assert filled[mask].std() < photo[~mask].std() / 2


def test_thousands_of_specks_are_filled_at_once_and_larger_holes_as_ever(rng):
    rows, columns = np.mgrid[:400, :600].astype(np.float32)
    photo = np.dstack([rows / 2, columns / 3, 200 - rows / 4]).astype(np.uint8)
    large = np.zeros((400, 600), np.bool_)
    large[200:260, 300:370] = True
    specks = np.zeros_like(large)
    specks[2::8, 2::8] = True
    specks[150:310, 250:420] = False
    assert np.count_nonzero(specks) > 1000
    damaged = np.where((large | specks)[..., None], np.uint8(255), photo)
    inpainter = Counting(1, 64)
    alone = inpaint_holes(damaged, large, inpainter, texture=False)
    calls = []
    inpainter.inpaint = lambda *given: calls.append(given) or Counting.inpaint(inpainter, *given)
    filled = inpaint_holes(damaged, large | specks, inpainter, texture=False)
    assert len(calls) == 1
    np.testing.assert_array_equal(filled[~specks], alone[~specks])
    assert np.abs(filled[specks].astype(int) - photo[specks]).max() <= 4


def test_holes_of_more_than_a_few_px_are_no_specks():
    mask = np.zeros((300, 300), np.bool_)
    for down in range(4):
        mask[down::8, 2::8] = True
    assert np.count_nonzero(filling._dust_in(mask)) == np.count_nonzero(mask)
    fewer = mask.copy()
    fewer[:150] = False
    assert 0 < cv2.connectedComponents(fewer.view(np.uint8))[0] - 1 <= 1000
    assert not filling._dust_in(fewer).any()
    mask[4::8, 2::8] = True
    assert not filling._dust_in(mask).any()
