"""What goes with the objects: shadows and reflections, in photos, plans and masks."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import cleanplate
from cleanplate.errors import InputError
from cleanplate.io import read_mask, write_mask
from cleanplate.options import RemovalOptions, Rules
from cleanplate.remover import Remover

RED, GREEN, GREY, DARK = (250, 0, 0), (0, 250, 0), (128, 128, 128), (40, 40, 40)
PERSON, SHADOW = (slice(40, 100), slice(60, 90)), (slice(90, 100), slice(90, 112))
MARGIN_PX, BESIDE_PX = 3, 8  # from the latter on no margin of the person reaches


class Sun:
    """Finds the dark pixels of a photo as the shadow of every object within 25 px beside them."""

    def __init__(self):
        self.asked = 0

    def find(self, image, mask, *, strong=False):
        self.asked += 1
        dark = (image == DARK).all(axis=2)
        near = np.zeros_like(mask)
        columns = np.flatnonzero(mask.any(axis=0))
        near[:, max(0, columns[0] - 25) : columns[-1] + 25] = True
        return dark & near & ~mask


@pytest.fixture
def sun(monkeypatch):
    sun = Sun()
    monkeypatch.setattr("cleanplate.remover.EffectsDetector", lambda *_, **__: sun)
    return sun


@pytest.fixture
def remover(sun, fake_segmenter, fake_inpainter):
    return Remover(segmenter=fake_segmenter, inpainter=fake_inpainter)


@pytest.fixture
def image():
    image = np.full((140, 220, 3), GREY, np.uint8)
    image[PERSON], image[SHADOW] = RED, DARK
    return image


def options(**more):
    return RemovalOptions(dilation=MARGIN_PX, verify=False, **more)


def test_a_shadow_goes_with_its_object_and_is_a_layer(remover, image):
    removal = remover(image, "person", options())
    assert removal.mask[SHADOW].all()
    assert not (removal.image == DARK).all(axis=2).any()
    assert removal.effects[SHADOW][:, BESIDE_PX:].all()
    assert not removal.effects[PERSON].any()
    assert (removal.image[~removal.mask] == image[~removal.mask]).all()


def test_a_shadow_that_stays_gives_no_colour(remover, image, fake_inpainter):
    removal = remover(image, "person", options(effects="off"))
    beside = removal.mask[SHADOW]
    assert not beside[:, BESIDE_PX:].any()
    assert (removal.image[SHADOW][~beside] == DARK).all()
    assert (removal.image[PERSON] == GREY).all()
    assert removal.effects is None or not removal.effects.any()


def test_a_shadow_of_two_goes_only_with_both(remover, image):
    image[60:100, 120:140] = GREEN
    one = remover(image, "person", options(rules=Rules(protect=["dog"])))
    assert not one.mask[SHADOW][:, BESIDE_PX:].any()
    both = remover(image, ["person", "dog"], options())
    assert both.mask[SHADOW].all()


def test_effects_never_reach_into_what_is_kept(remover, image):
    image[92:98, 100:108] = GREEN
    removal = remover(image, "person", options(rules=Rules(protect=["dog"])))
    assert not removal.mask[92:98, 100:108].any()


def test_large_ones_go_only_if_asked_for(remover, image):
    image[101:] = image[:38] = DARK
    assert not remover(image, "person", options()).mask[110:].any()
    assert remover(image, "person", options(effects="strong")).mask[110:, 40:100].all()


def test_what_a_mask_shows_goes_with_its_shadow(remover, image):
    mask = np.zeros(image.shape[:2], bool)
    mask[PERSON] = True
    assert remover(image, mask=mask).mask[SHADOW].all()
    left = remover(image, mask=mask, options=RemovalOptions(effects="off"))
    assert (left.mask == mask).all()
    assert (remover.fill(image, mask).mask == mask).all()
    with pytest.raises(InputError, match="effects"):
        remover(image, mask=mask, options=options())


def test_the_public_calls_do_the_same(remover, image):
    mask = np.zeros(image.shape[:2], bool)
    mask[PERSON] = True
    assert not (cleanplate.remove(image, mask=mask, remover=remover) == DARK).all(axis=2).any()
    assert (cleanplate.fill(image, mask, remover=remover)[SHADOW] == DARK).all()


class TestPlans:
    """Plans on disk."""

    @pytest.fixture
    def files(self, tmp_path, monkeypatch, image):
        monkeypatch.chdir(tmp_path)
        image[60:100, 170:190] = GREEN
        image[92:100, 192:212] = DARK
        Image.fromarray(image).save("a.png")
        return SimpleNamespace(mask=tmp_path / "plans/a.png", json=tmp_path / "plans/a.json")

    @pytest.fixture
    def cli(self, remover, monkeypatch):
        from typer.testing import CliRunner

        from cleanplate.cli import app

        monkeypatch.setattr("cleanplate.remover.Remover", lambda **_: remover)

        def run(*arguments):
            ran = CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)
            assert ran.exit_code == 0, ran.output
            return ran

        return run

    def fill(self, cli):
        cli("fill", "a.png", "--masks", "plans", "-o", "out", "--overwrite")
        return np.asarray(Image.open("out/a.png"))

    def plan(self, cli, *more):
        how = ("--remove", "person", "--dilate", MARGIN_PX, "--no-verify")
        cli("plan", "a.png", "-o", "plans", *how, "--protect", "dog", *more)

    def test_they_hold_the_shadow_and_are_filled_without_looking_again(self, cli, files, sun):
        self.plan(cli)
        grey = np.asarray(Image.open(files.mask))
        assert set(np.unique(grey)) == {0, 240, 255}
        assert (grey[SHADOW][:, BESIDE_PX:] == 240).all()
        assert list(json.loads(files.json.read_text())["effects"]) == ["1"]
        asked = sun.asked
        filled = self.fill(cli)
        assert sun.asked == asked
        assert not (filled[SHADOW] == DARK).any()
        assert (filled[92:100, 192:212] == DARK).all()

    def test_an_emptied_entry_leaves_the_shadow(self, cli, files):
        self.plan(cli)
        content = json.loads(files.json.read_text())
        content["effects"]["1"] = []
        files.json.write_text(json.dumps(content))
        mask = np.asarray(Image.open(files.mask)).copy()
        mask[mask == 240] = 0
        Image.fromarray(mask).save(files.mask)
        assert (self.fill(cli)[SHADOW][:, BESIDE_PX:] == DARK).all()

    def test_switched_objects_take_their_shadows_along(self, cli, files):
        self.plan(cli)
        content = json.loads(files.json.read_text())
        for found in content["objects"]:
            found["remove"] = not found["remove"]
        files.json.write_text(json.dumps(content))
        filled = self.fill(cli)
        assert (filled[SHADOW] == DARK).all()
        assert (filled[PERSON] == RED).all()
        assert not (filled[92:100, 192:212] == DARK).any()

    def test_the_old_option_warns(self, cli, files):
        how = ("--remove", "person", "--no-verify")
        ran = cli("run", "a.png", "-o", "out", *how, "--no-shadows", "--masks", "saved")
        assert "--effects off" in ran.stderr
        assert set(np.unique(np.asarray(Image.open("saved/a.png")))) == {0, 255}


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_saved_masks_are_read_back_whole(tmp_path, share):
    mask = np.ones((20, 30), bool)
    mask[:, : round(30 * share) // 2] = False
    effects = mask.copy()
    effects[:10] = False
    write_mask(tmp_path / "mask.png", mask, effects)
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png", mask.shape), mask)
