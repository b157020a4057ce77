"""Prompters by name, and what their outlines are good for."""

import numpy as np
import pytest

from cleanplate.errors import InputError, UnknownNameError, WeightsError
from cleanplate.hub.registry import get_model, model_names
from cleanplate.ops.masks import default_dilation_px, dilate_instance
from cleanplate.remover import Remover
from cleanplate.segmentation.interactive import DEFAULT_PROMPTER, create_prompter
from cleanplate.segmentation.interactive.prompts import Outline, instance_of


def test_the_default_is_a_prompter():
    assert DEFAULT_PROMPTER in model_names("prompter")
    assert get_model(DEFAULT_PROMPTER, "prompter").licence.commercial == "yes"


@pytest.mark.parametrize("name", model_names("prompter"))
def test_one_that_is_not_here_tells_how_to_get_it(name, tmp_path, monkeypatch):
    monkeypatch.setenv("CLEANPLATE_HOME", str(tmp_path))
    match = f"{name} is not installed; run 'cleanplate models pull {name}'"
    with pytest.raises(WeightsError, match=match):
        create_prompter(name)


def test_an_unknown_name_lists_those_there_are():
    match = rf"unknown prompter 'sam2'; known: .*{DEFAULT_PROMPTER}"
    with pytest.raises(UnknownNameError, match=match):
        create_prompter("sam2")
    with pytest.raises(UnknownNameError, match="unknown prompter 'edgeconnect"):
        create_prompter("edgeconnect.photos")


def test_an_outline_becomes_an_instance():
    mask = np.zeros((30, 40), np.bool_)
    mask[5:9, 11:20] = True
    mask[6, 15] = False

    thing = instance_of(Outline(mask, 0.75), label="lamp", id=3)

    assert (thing.id, thing.label, thing.score) == (3, "lamp", 0.75)
    assert thing.box_xyxy == (11, 5, 20, 9)
    assert thing.area_px == 35
    canvas = np.zeros_like(mask)
    thing.paint_on(canvas)
    np.testing.assert_array_equal(canvas, mask)
    assert not np.shares_memory(thing.mask, mask)
    assert instance_of(Outline(mask, 0.75)).label == "object"


def test_an_empty_outline_is_no_instance():
    with pytest.raises(InputError, match=r"empty.*add points"):
        instance_of(Outline(np.zeros((3, 4), np.bool_), 0.1))


def test_what_was_pointed_at_is_filled(stand_in, coffee):
    prompter = stand_in(DEFAULT_PROMPTER)
    image = coffee[:200, :300]
    outline = prompter.predict(prompter.set_image(image), points=[(150, 100, True)])
    thing = instance_of(outline)
    (left, top, right, bottom), hole = dilate_instance(
        thing, image.shape[:2], default_dilation_px(thing)
    )
    mask = np.zeros(image.shape[:2], np.bool_)
    mask[top:bottom, left:right] = hole

    removal = Remover(inpainter="telea").fill(image, mask)

    assert (outline.mask <= removal.mask).all()
    assert (removal.image != image)[outline.mask].any()
    np.testing.assert_array_equal(removal.image[~mask], image[~mask])
