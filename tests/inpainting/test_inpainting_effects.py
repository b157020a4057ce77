"""What an inpainter finds beside the mask goes too, within the limits, and nothing else changes."""

import numpy as np
import pytest

from cleanplate.inpainting import effects_beside
from cleanplate.inpainting.base import finds_effects
from cleanplate.options import RemovalOptions
from cleanplate.remover import Remover

OBJECT, SHADOW = np.s_[60:100, 80:120], np.s_[100:120, 80:140]


@pytest.fixture
def seeing(fake_inpainter_class):
    """Return an inpainter that says that the dark pixels go."""

    class Seeing(fake_inpainter_class):
        level = 0.9

        def alpha(self, image, mask):
            dark = (image.mean(axis=2) < 70) | mask
            return np.where(dark, self.level, 0).astype(np.float32)

    return Seeing()


@pytest.fixture
def scene(rng):
    image = rng.integers(150, 160, (200, 260, 3)).astype(np.uint8)
    image[SHADOW] = 50
    image[OBJECT] = 220
    mask = np.zeros(image.shape[:2], np.bool_)
    mask[OBJECT] = True
    return image, mask


def test_the_shadow_is_filled_and_reported_and_the_rest_is_identical(seeing, scene):
    image, mask = scene
    removal = Remover(inpainter=seeing)(image, mask=mask)
    shadow = np.zeros_like(mask)
    shadow[SHADOW] = True
    assert removal.effects[shadow].all()
    assert removal.effects.sum() < 2 * shadow.sum()
    assert not (removal.effects & mask).any()
    np.testing.assert_array_equal(removal.mask, mask | removal.effects)
    np.testing.assert_array_equal(removal.image[~removal.mask], image[~removal.mask])
    assert (removal.image[shadow] != image[shadow]).any()


def test_without_effects_or_with_exact_masks_nothing_is_added(seeing, scene):
    image, mask = scene
    remover = Remover(inpainter=seeing)
    off = remover(image, options=RemovalOptions(effects="off"), mask=mask)
    for removal in (off, remover.fill(image, mask)):
        np.testing.assert_array_equal(removal.mask, mask)
        np.testing.assert_array_equal(removal.image[~mask], image[~mask])


def test_plan_and_fill_do_the_same_as_a_call(seeing, scene):
    image, mask = scene
    remover = Remover(inpainter=seeing)
    plan = remover.plan(image, mask=mask)
    assert plan.effects is not None
    np.testing.assert_array_equal(remover.fill(image, plan).image, remover(image, mask=mask).image)


def test_what_stays_is_never_part_of_it(seeing, scene):
    image, mask = scene
    stays = np.zeros_like(mask)
    stays[105:112, 90:110] = True
    found = effects_beside(image, mask, seeing, stays=stays)
    assert found.any()
    assert not (found & stays).any()


def test_uncertain_and_large_effects_only_if_strong(seeing, scene):
    image, mask = scene
    nothing = np.zeros_like(mask)
    seeing.level = 0.3
    assert not effects_beside(image, mask, seeing, stays=nothing).any()
    assert effects_beside(image, mask, seeing, stays=nothing, strong=True).any()
    seeing.level = 0.9
    image[100:] = 50  # 20 times the object
    assert not effects_beside(image, mask, seeing, stays=nothing).any()
    assert effects_beside(image, mask, seeing, stays=nothing, strong=True).sum() > 4 * mask.sum()


def test_who_finds_effects_is_known_without_loading(seeing, fake_inpainter_class):
    assert finds_effects(seeing)
    assert finds_effects("osor.sdxl")
    for other in (fake_inpainter_class(), "edgeconnect.photos", "telea"):
        assert not finds_effects(other)
