"""Effects: shadows and reflections in made scenes of known light."""

from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from cleanplate.errors import ShapeMismatchError
from cleanplate.ops import rasterize
from cleanplate.segmentation.effects import (
    EffectsDetector,
    effects_mask,
    find_effects,
    objects_in,
)
from cleanplate.types import Instance


@pytest.fixture(scope="module")
def detector():
    return EffectsDetector(device="cpu", threads=1)


def scene(light, size_hw=(420, 640)):
    """Return a photo of a figure on open ground, its mask, and what it casts."""
    height, width = size_hw
    random = np.random.default_rng(0)
    fine = cv2.resize(random.normal(0, 9, (height // 2, width // 2)), (width, height))
    coarse = cv2.GaussianBlur(random.normal(0, 60, (height, width)), (0, 0), 6)
    image = np.stack([fine + coarse + level for level in (150, 140, 110)], axis=2)
    horizon = height // 3
    image[:horizon] = np.array([170, 195, 230]) + np.linspace(-20, 20, horizon)[:, None, None]

    figure = np.zeros(size_hw, np.uint8)
    middle, foot = width // 2, int(height * 0.75)
    cv2.ellipse(figure, (middle, foot - 110), (22, 26), 0, 0, 360, 1, -1)
    cv2.rectangle(figure, (middle - 28, foot - 88), (middle + 28, foot - 40), 1, -1)
    for leg in (-24, 6):
        cv2.rectangle(figure, (middle + leg, foot - 40), (middle + leg + 18, foot), 1, -1)

    cast = np.zeros_like(figure)
    if light in ("sun", "low sun"):
        slant = 1.1 if light == "sun" else 2.2
        sheared = np.array([[1, -slant, slant * foot], [0, 0.35, 0.65 * foot]])
        cast = cv2.warpAffine(figure, sheared, (width, height))
        image *= 1 - 0.5 * cv2.GaussianBlur(cast.astype(float), (0, 0), 1.5)[..., None]
    elif light == "lamp":  # near and low: the shadow widens
        where = np.float32([middle, foot])
        ends = np.float32([[-30, 0], [30, 0], [-30, -136], [30, -136]]) + where
        far = np.float32([[-30, 0], [30, 0], [-230, 50], [-130, 85]]) + where
        spread = cv2.getPerspectiveTransform(ends, far)
        cast = cv2.warpPerspective(figure, spread, (width, height))
        image *= 1 - 0.5 * cv2.GaussianBlur(cast.astype(float), (0, 0), 3)[..., None]
    elif light == "wall":  # close behind
        image = np.array([200, 190, 170]) + random.normal(0, 3, (height, width, 1))
        cast = np.roll(figure, (14, 46), (0, 1))
        image = image * (1 - 0.45 * cv2.GaussianBlur(cast.astype(float), (0, 0), 2)[..., None])
    elif light == "water":
        mirrored = np.array([[1, 0, 0], [0, -1, 2.0 * foot]])
        cast = cv2.warpAffine(figure, mirrored, (width, height))
        share = 0.6 * cv2.GaussianBlur(cast.astype(float), (0, 0), 2)[..., None]
        image = image * (1 - share) + np.array([120, 40, 50]) * share
    clothes = np.array([160, 40, 50]) + random.normal(0, 6, (height, width, 1))
    image = np.where(figure[..., None] > 0, clothes, image)
    return np.clip(image, 0, 255).astype(np.uint8), figure > 0, (cast > 0) & (figure == 0)


def overlap(one, other):
    return (one & other).sum() / (one | other).sum()


@pytest.mark.parametrize("light", ["sun", "lamp", "wall", "water"])
def test_what_a_figure_casts_is_found(detector, light):
    image, mask, cast = scene(light)
    found = detector.find(image, mask)
    assert overlap(found, cast) > 0.5
    assert not (found & mask).any()


def test_without_light_from_one_side_nothing_is_found(detector):
    image, mask, _ = scene("none")
    assert not detector.find(image, mask).any()


def test_a_scene_scaled_up_casts_the_same(detector):
    image, mask, cast = scene("sun")
    large = cv2.resize(image, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    found = detector.find(large, np.kron(mask, np.ones((3, 3), bool)))
    assert overlap(found, np.kron(cast, np.ones((3, 3), bool))) > 0.5


@pytest.mark.parametrize(
    "box_xyxy", [(0, 0, 1, 1), (60, 44, 61, 45), (0, 0, 61, 45), (0, 20, 61, 21), (58, 0, 61, 45)]
)
def test_objects_at_the_border_and_as_large_as_the_photo(detector, rng, box_xyxy):
    image = rng.integers(0, 256, (45, 61, 3), np.uint8)
    before = image.copy()
    mask = np.zeros((45, 61), bool)
    left, top, right, bottom = box_xyxy
    mask[top:bottom, left:right] = True
    found = detector.find(image, mask)
    assert (found.shape, found.dtype) == (mask.shape, bool)
    assert not (found & mask).any()
    assert (image == before).all()


def test_a_shadow_longer_than_the_window_is_found_to_its_end(detector):
    image, mask, cast = scene("low sun", (420, 1100))
    found = detector.find(image, mask)
    ends = [np.flatnonzero(it.any(axis=0))[-1] for it in (found, cast)]
    assert abs(ends[0] - ends[1]) < 30


def test_an_empty_mask_casts_nothing(detector):
    image, mask, _ = scene("sun")
    assert not detector.find(image, np.zeros_like(mask)).any()


def test_a_mask_of_another_size_is_refused(detector):
    image, mask, _ = scene("sun")
    with pytest.raises(ShapeMismatchError):
        detector.find(image, mask[1:])


def instance_of(mask, number):
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    return Instance(
        id=number,
        label="person",
        score=0.9,
        box_xyxy=box,
        mask=mask[box[1] : box[3], box[0] : box[2]],
    )


def goes(image, removed, kept, detector):
    found, _ = find_effects(image, removed, kept, detector=detector)
    return effects_mask(found, removed, kept, image.shape)


def test_what_a_kept_object_casts_too_stays(detector):
    image, mask, cast = scene("sun")
    person = instance_of(mask, 1)
    alone = goes(image, [person], [], detector)
    assert overlap(alone, cast) > 0.4
    assert not goes(image, [person], [instance_of(mask, 2)], detector).any()
    assert not goes(image, [], [person], detector).any()


def test_of_two_figures_one_shadow_goes_only_with_both(detector):
    image, mask, cast = scene("sun")
    left = mask.copy()
    left[:, mask.shape[1] // 2 :] = False
    halves = [instance_of(left, 1), instance_of(mask & ~left, 2)]
    found, _ = find_effects(image, halves, [], detector=detector)
    assert overlap(effects_mask(found, halves, [], image.shape), cast) > 0.4
    alone = effects_mask(found, halves[:1], halves[1:], image.shape)
    of_other = rasterize((it for it in found if it.id == 2), image.shape)
    assert of_other.any()
    assert not (alone & (of_other | mask)).any()


def test_a_kept_object_far_away_is_not_looked_at(detector):
    image, mask, _ = scene("sun")
    far = np.zeros_like(mask)
    far[400:410, 5:15] = True
    looked = []

    def find(image, mask, *, strong):
        looked.append(mask)
        return detector.find(image, mask, strong=strong)

    watched = SimpleNamespace(find=find)
    find_effects(image, [instance_of(mask, 1)], [instance_of(far, 2)], detector=watched)
    assert len(looked) == 1


@pytest.mark.parametrize("strong", [False, True])
@pytest.mark.parametrize(("share", "label"), [(2.9, "person"), (3.1, "person"), (3.1, "")])
def test_what_is_too_large_stays_and_a_note_tells(share, label, strong):
    mask, cast = np.zeros((200, 200), np.bool_), np.zeros((200, 200), np.bool_)
    mask[:20, :20] = True
    cast[100 : 100 + round(share * 20), :20] = True
    detector = SimpleNamespace(find=lambda *_, strong: cast)
    image = np.zeros((200, 200, 3), np.uint8)
    person = replace(instance_of(mask, 1), label=label)
    found, notes = find_effects(image, [person], [], detector=detector, strong=strong)
    is_left = share > 3 and not strong
    assert rasterize(found, mask.shape).any() == (not is_left)
    assert len(notes) == is_left
    if is_left:
        assert f"the {label or 'object'} may cast stays" in notes[0]
        assert "--effects strong" in notes[0]


def test_parts_of_a_mask_are_objects_by_falling_area():
    mask = np.zeros((200, 300), bool)
    mask[10:30, 10:30] = mask[50:100, 50:150] = mask[150:155, 150:155] = True
    objects = objects_in(mask)
    assert [(it.id, it.area_px) for it in objects] == [(1, 5000), (2, 400)]
    assert rasterize(objects, mask.shape).sum() == 5400
