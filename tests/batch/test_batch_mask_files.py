import os
from pathlib import Path

import pytest

from cleanplate.batch.planning.mask_folder import MaskFiles
from cleanplate.batch.planning.photo_list import mask_name, plan_photos
from cleanplate.errors import InputError, PhotoError


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def photo_at(name):
    photos = plan_photos([Path("in")], Path("out"), recursive=True).photos
    return next(photo for photo in photos if photo.relative.as_posix() == name)


@pytest.mark.parametrize(
    ("there", "wanted"),
    [
        (["a.png"], "a.png"),
        (["a.bmp"], "a.bmp"),
        (["a.PNG"], "a.PNG"),
        (["a.bmp", "a.png", "a.jpg"], "a.png"),
        (["a.png", "a.jpg.png"], "a.jpg.png"),
        (["a.png", "a.jpg.tif"], "a.jpg.tif"),
    ],
)
def test_finds_the_mask_at_the_same_relative_path(touch, there, wanted):
    touch("in/sub/a.jpg", *(f"masks/sub/{name}" for name in there))
    assert MaskFiles(Path("masks")).find(photo_at("sub/a.jpg")) == Path("masks/sub") / wanted


def test_photos_may_lack_a_mask_but_not_all(touch):
    touch("in/sub/a.jpg", "in/b.jpg", "masks/a.png")
    masks = MaskFiles(Path("masks"))
    assert masks.find(photo_at("sub/a.jpg")) is None
    planned = plan_photos([Path("in")], Path("out"), recursive=True)
    with pytest.raises(InputError, match=r"masks: no mask of any.*\.png.*--mask-name"):
        masks.check_any(planned)
    touch("masks/b.png")
    MaskFiles(Path("masks")).check_any(planned)
    MaskFiles(Path("masks")).check_any(plan_photos([Path("in/b.jpg")], Path("out")))


@pytest.mark.parametrize(
    ("template", "there"),
    [("{stem}_mask.png", "b_mask.png"), ("mask-{name}.tif", "mask-b.jpg.tif"), ("m.png", "m.png")],
)
def test_masks_may_have_other_names(touch, template, there):
    touch("in/b.jpg", "masks/b.png", f"masks/{there}")
    masks = MaskFiles(Path("masks"), name=template)
    assert masks.find(photo_at("b.jpg")) == Path("masks") / there


@pytest.mark.parametrize("template", ["{other}.png", "{}.png", "{stem.png"])
def test_other_fields_of_a_name_are_refused(template):
    with pytest.raises(InputError, match=r"--mask-name takes \{stem\} and \{name\}"):
        MaskFiles(Path("masks"), name=template)


def test_refuses_a_mask_that_could_belong_to_two_photos(touch):
    touch("in/a.jpg", "in/a.png", "masks/a.png", "masks/a.png.png")
    masks = MaskFiles(Path("masks"))
    with pytest.raises(PhotoError, match=r"masks/a\.png could be .* called a; .*a\.jpg\.png"):
        masks.find(photo_at("a.jpg"))
    assert masks.find(photo_at("a.png")) == Path("masks/a.png.png")


def test_one_file_serves_every_photo(touch):
    touch("in/a.jpg", "in/b.jpg", "mask.png")
    masks = MaskFiles(Path("mask.png"))
    assert masks.find(photo_at("a.jpg")) == masks.find(photo_at("b.jpg")) == Path("mask.png")


def test_finds_the_names_that_a_run_saves(touch):
    touch("in/a.jpg", "in/a.png", "in/b.jpg", "in/sub/c.d.jpg", "in/e")
    photos = plan_photos([Path("in"), Path("in/e")], Path("out"), recursive=True).photos
    assert len(photos) == 5
    for photo in photos:
        touch(f"masks/{mask_name(photo).as_posix()}")
    for photo in photos:
        assert MaskFiles(Path("masks")).find(photo) == Path("masks") / mask_name(photo)


def test_masks_that_are_added_later_are_found(touch):
    touch("in/a.jpg", "in/b.jpg", "masks/a.png")
    masks = MaskFiles(Path("masks"))
    assert masks.find(photo_at("a.jpg")) == Path("masks/a.png")
    os.utime("masks", (1, 1))
    touch("masks/b.png")
    assert masks.find(photo_at("b.jpg")) == Path("masks/b.png")


def test_no_mask_is_written_over(touch):
    touch("in/a.png", "in/b.png", "out/a.png", "out/a.json")
    masks, planned = MaskFiles(Path("out")), plan_photos([Path("in")], Path("out"))
    with pytest.raises(InputError, match=r"out/a\.png: the mask .* by the result of in/a\.png"):
        masks.check_stay(planned)
    elsewhere = plan_photos([Path("in")], Path("elsewhere"))
    masks.check_stay(elsewhere, masks=Path("m"), report=Path("out/a.json"))
    with pytest.raises(InputError, match=r"out/a\.png: the mask would be overwritten"):
        masks.check_stay(elsewhere, masks=Path("out"))
    with pytest.raises(InputError, match=r"out/a\.json: the report would overwrite it"):
        masks.check_stay(elsewhere, report=Path("out/a.json"), are_plans=True)
