"""Drafts written to files, changed by a person, and read back."""

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from batch_running import run_plan
from PIL import Image

from cleanplate.batch import Job
from cleanplate.batch.planning.example_files import Provenance
from cleanplate.batch.planning.mask_folder import MaskFiles
from cleanplate.batch.planning.photo_list import plan_photos
from cleanplate.batch.planning.plan_files import plan_of_masks, provenance_of_plans
from cleanplate.errors import InputError
from cleanplate.options import RemovalOptions, Rules
from cleanplate.remover import Remover

RED, GREEN, SKY = (250, 0, 0), (0, 250, 0), (120, 150, 190)


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def own_remover(fake_segmenter, fake_inpainter_class):
    return Remover(segmenter=fake_segmenter, inpainter=fake_inpainter_class(64))


@pytest.fixture
def photo(rng):
    """Write a noisy photo with a large and a small person and a dog; return its path."""
    pixels = (np.array(SKY) + rng.integers(-9, 9, (120, 200, 1))).astype(np.uint8)
    pixels[20:100, 20:70] = RED
    pixels[60:100, 120:140] = RED
    pixels[70:100, 73:95] = GREEN
    pixels[98:108, 140:170] = np.array(SKY) // 2
    Path("in/sub").mkdir(parents=True)
    path = Path("in/sub/a.png")
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def write_plans(remover, job, **options):
    plan = plan_of_masks(plan_photos([Path("in")], Path("masks"), recursive=True), Path("masks"))
    return list(run_plan(plan, remover, Job(plan_only=True, **{**vars_of(job), **options})))


def vars_of(job):
    return {name: getattr(job, name) for name in job.__slots__ if name != "plan_only"}


def fill(remover, out="filled"):
    plan = plan_photos([Path("in")], Path(out), recursive=True)
    return list(run_plan(plan, remover, Job(own_plans=MaskFiles(Path("masks")), overwrite=True)))


def pixels_of(path):
    with Image.open(path) as picture:
        return np.asarray(picture).copy()


def change(edit, path="masks/sub/a.json"):
    content = json.loads(Path(path).read_text())
    edit(content)
    Path(path).write_text(json.dumps(content))


JOBS = {
    "plain": Job(options=RemovalOptions(classes=("person",))),
    "rules": Job(
        options=RemovalOptions(
            classes=("person",),
            rules=Rules(keep=1, protect=("dog",)),
            dilation=6,
            effects="off",
            min_area="1%",
            min_score=0.1,
            verify=False,
        )
    ),
    "nothing": Job(options=RemovalOptions(classes=("car",))),
}


@pytest.mark.parametrize("name", JOBS)
def test_both_stages_give_exactly_what_a_run_gives(own_remover, photo, name):
    plan = plan_photos([Path("in")], Path("out"), recursive=True)
    (whole,) = run_plan(plan, own_remover, JOBS[name])
    (first,) = write_plans(own_remover, JOBS[name])
    (second,) = fill(own_remover)

    assert Path("filled/sub/a.png").read_bytes() == Path("out/sub/a.png").read_bytes()
    assert (second.status, second.found) == (whole.status, whole.found)
    assert (second.remaining, second.refills) == (whole.remaining, whole.refills)
    assert first.status == ("would-remove" if whole.status == "removed" else "would-copy")
    assert first.found == whole.found


def test_the_files_tell_what_was_found_and_chosen(own_remover, photo):
    rules = Rules(keep=1, protect=("dog",))
    job = Job(
        options=RemovalOptions(
            classes=("person",), rules=rules, min_score=0.25, min_area="1%", dilation=3
        )
    )
    write_plans(own_remover, job)
    content = json.loads(Path("masks/sub/a.json").read_text())
    assert content["photo"] == "in/sub/a.png"
    assert content["photo_sha256"] == hashlib.sha256(photo.read_bytes()).hexdigest()
    assert content["size_wh"] == [200, 120]
    assert content["models"] == {"segmenter": "fake"}
    assert RemovalOptions.from_json(content["settings"]) == job.options
    message = [(x["id"], x["remove"], x["label"], x["reason"]) for x in content["objects"]]
    assert message == [
        (1, False, "person", "kept: largest"),
        (2, True, "person", None),
        (3, False, "dog", "protected"),
    ]
    assert content["outlines"].keys() == {"1", "2", "3"}
    mask = pixels_of("masks/sub/a.png")
    assert (mask.dtype, set(np.unique(mask))) == (np.uint8, {0, 255})
    assert Path("masks/sub/a.json").read_text().count("\n") < 50  # short enough to be read


def test_what_exists_is_left_alone(own_remover, photo):
    write_plans(own_remover, JOBS["plain"])
    (again,) = write_plans(own_remover, JOBS["plain"])
    assert (again.status, again.target) == ("skipped", Path("masks/sub/a.png"))
    assert write_plans(own_remover, JOBS["plain"], overwrite=True)[0].status == "would-remove"


def test_a_person_paints_on_the_mask(own_remover, photo):
    write_plans(
        own_remover, Job(options=RemovalOptions(classes=("person",), dilation=0, verify=False))
    )
    mask = pixels_of("masks/sub/a.png")
    mask[:50], mask[105:115, 5:15] = 0, 255
    Image.fromarray(mask).save("masks/sub/a.png")
    (outcome,) = fill(own_remover)
    changed = (pixels_of("filled/sub/a.png") != pixels_of(photo)).any(axis=2)
    assert outcome.mask_area_px == np.count_nonzero(mask)
    assert not changed[mask == 0].any()
    assert changed[60:90, 30:60].mean() > 0.9  # a smooth region may meet the old colour by chance


def test_a_person_switches_objects(own_remover, photo):
    write_plans(
        own_remover,
        Job(options=RemovalOptions(classes=("person",), rules=Rules(protect=("dog",)), dilation=4)),
    )

    def switch(content):
        for entry in content["objects"]:
            entry["remove"] = entry["label"] == "dog"

    change(switch)
    (outcome,) = fill(own_remover)
    before, after = pixels_of(photo), pixels_of("filled/sub/a.png")
    assert [(x.label, x.chosen, x.reason) for x in outcome.found] == [
        ("dog", True, ""),
        ("person", False, "kept by hand"),
        ("person", False, "kept by hand"),
    ]
    assert (after[70:100, 73:95] != GREEN).any(axis=2).all()
    np.testing.assert_array_equal(after[20:100, 20:70], before[20:100, 20:70])


def test_what_an_inpainter_found_beside_an_object_goes_with_its_switch(
    fake_segmenter, fake_inpainter_class, photo
):
    class Seeing(fake_inpainter_class):
        def alpha(self, image, mask):
            return (mask | (image.max(axis=2) < 110)).astype(np.float32)

    remover = Remover(segmenter=fake_segmenter, inpainter=Seeing(64))
    job = Job(options=RemovalOptions(classes=("person",), dilation=2, verify=False))
    (first,) = write_plans(remover, job)
    assert pixels_of("masks/sub/a.png")[103, 160] == 240
    (outcome,) = fill(remover)
    assert outcome.mask_area_px == first.mask_area_px
    assert (pixels_of("filled/sub/a.png") != pixels_of(photo))[99:108, 142:168].any(axis=2).all()

    change(lambda content: content["objects"][1].update(remove=False))
    fill(remover)
    before, after = pixels_of(photo), pixels_of("filled/sub/a.png")
    np.testing.assert_array_equal(after[60:, 100:], before[60:, 100:])
    assert (after[20:100, 20:70] != RED).any(axis=2).all()


def test_all_switched_off_is_a_copy(own_remover, photo):
    write_plans(own_remover, JOBS["plain"])
    change(lambda content: [entry.update(remove=False) for entry in content["objects"]])
    assert fill(own_remover)[0].status == "untouched"
    assert Path("filled/sub/a.png").read_bytes() == photo.read_bytes()


def test_a_photo_that_changed_is_an_error_that_names_both(own_remover, photo):
    write_plans(own_remover, JOBS["plain"])
    Image.fromarray(pixels_of(photo)[::-1].copy()).save(photo)
    (outcome,) = fill(own_remover)
    assert outcome.status == "failed"
    assert outcome.error.startswith("in/sub/a.png: masks/sub/a.json was made from another photo, ")
    assert not Path("filled").exists()


def test_a_mask_of_another_size_is_an_error(own_remover, photo):
    write_plans(own_remover, JOBS["plain"])
    Image.new("L", (20, 12), 255).save("masks/sub/a.png")
    (outcome,) = fill(own_remover)
    assert outcome.error.startswith(
        "masks/sub/a.png: the mask is 20 x 12 px but its photo is 200 x 120 px; "
    )
    assert outcome.source == photo


def test_json_that_cannot_be_understood_is_an_error(own_remover, photo):
    write_plans(own_remover, JOBS["plain"])
    plan = Path("masks/sub/a.json")
    right = plan.read_text()
    for edit, message in (
        (lambda c: c.update(format=1), "its format is 1, not 3; make it again"),
        (lambda c: c["objects"][0].update(remove="no"), 'remove must be true or false, got "no"'),
        (lambda c: c["objects"][0].update(id="1"), 'id must be an integer, got "1"'),
        (lambda c: c["objects"].pop(), "object 2 is missing; to keep it, set its remove to false"),
        (lambda c: c["outlines"].update({"1": [1, 2]}), "the run lengths do not add up to 200 x 1"),
        (lambda c: c["objects"][0].update(box_xyxy=[0, 0, 9, 9]), "does not contain the outline"),
        (lambda c: c["settings"].update(grow=3), "grow.*dilation.*correct it"),
        (lambda c: c.pop("settings"), r"not a file of 'cleanplate plan' \(KeyError"),
        (
            lambda c: c["outlines"].update({"1": [2**70]}),
            r"not a file of 'cleanplate plan' \(OverflowError",
        ),
    ):
        plan.write_text(right)
        change(edit)
        (outcome,) = fill(own_remover)
        assert outcome.status == "failed", message
        assert outcome.error.startswith("masks/sub/a.json: ")
        assert re.search(message, outcome.error), outcome.error


def test_broken_or_absent_files_are_errors(own_remover, photo):
    Path("masks").mkdir()
    (outcome,) = fill(own_remover)
    assert "it has no plan; make it with" in outcome.error
    write_plans(own_remover, JOBS["plain"])
    Path("masks/sub/a.json").write_text("{")
    assert "masks/sub/a.json: it is not valid JSON (" in fill(own_remover)[0].error
    Path("masks/sub/a.json").unlink()
    assert "masks/sub/a.json: no such file; make it with 'cleanplate plan'" in (
        fill(own_remover)[0].error
    )


def test_another_segmenter_cannot_look_again(own_remover, photo, fake_segmenter):
    write_plans(own_remover, JOBS["plain"])
    fake_segmenter.name = "other"
    (outcome,) = fill(own_remover)
    assert "was made with the segmenter fake, and this run rechecks with other" in outcome.error
    plan = plan_photos([Path("in")], Path("out"), recursive=True)
    assert provenance_of_plans(plan, MaskFiles(Path("masks"))) == Provenance("fake")
    assert provenance_of_plans(plan, MaskFiles(Path("none"))) is None


def test_masks_are_never_written_over_photos(photo):
    plan = plan_photos([Path("in")], Path("out"), recursive=True)
    with pytest.raises(InputError, match=r"in/sub/a\.png: .*its own output"):
        plan_of_masks(plan, Path("in"))
