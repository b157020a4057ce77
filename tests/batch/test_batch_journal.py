"""What the journal lets be, does again and never touches."""

import errno
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from cleanplate.batch import Job, Published
from cleanplate.batch.execution import steps
from cleanplate.batch.execution.engine import Engine, Resources
from cleanplate.batch.planning.mask_folder import MaskFiles
from cleanplate.batch.planning.photo_list import plan_photos
from cleanplate.batch.records.journal import Journal
from cleanplate.batch.records.settings import difference_in_words, settings_in_words
from cleanplate.errors import InputError, PhotoError
from cleanplate.hub import MODELS
from cleanplate.io import storage
from cleanplate.io.storage import COPIED_NOTE
from cleanplate.options import RemovalOptions
from cleanplate.remover import Remover
from cleanplate.segmentation import DEFAULT_EFFECTS_MODEL, OUTLINING_MODEL
from cleanplate.segmentation.components import DIVIDING_MODEL, RECOGNIZING_MODEL

PERSON = Job(options=RemovalOptions(classes=("person",), min_score=0.5))
ALONE = Resources(workers=1, threads=1, max_memory=1 << 40)


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(remover, job=PERSON, *inputs, fails_after=None, settings=None):
    plan = plan_photos([Path(name) for name in inputs or ("in",)], Path("out"), recursive=True)
    outcomes = {}
    with (
        Journal(Path("out"), settings or settings_in_words(job, remover)) as journal,
        Engine(remover, job, ALONE, journal=journal) as engine,
    ):
        journal.remove_leftovers(plan, job.masks)
        for outcome in engine.run(plan):
            outcomes[outcome.source.as_posix().removeprefix("in/")] = outcome
            if len(outcomes) == fails_after:
                break
    return {name: outcome.skipped or outcome.status for name, outcome in outcomes.items()}


def rows():
    with closing(sqlite3.connect("out/.cleanplate/journal.sqlite")) as database:
        database.row_factory = sqlite3.Row
        return {
            os.fsdecode(row["relative"]): row for row in database.execute("SELECT * FROM photos")
        }


def test_what_was_done_is_not_done_again(remover, make_photo):
    make_photo(Path("in/a.png"), "person")
    make_photo(Path("in/sub/b.jpg"))
    assert run(remover) == {"a.png": "removed", "sub/b.jpg": "untouched"}
    seen = len(remover.seen)
    assert run(remover) == {"a.png": "done", "sub/b.jpg": "done"}
    assert len(remover.seen) == seen
    row = rows()["a.png"]
    assert (row["status"], row["source_size"]) == ("removed", Path("in/a.png").stat().st_size)
    assert len(row["source_sha256"]) == len(row["output_sha256"]) == 64
    assert row["started"] <= row["finished"]


def test_a_photo_that_changed_is_done_again_and_one_that_was_touched_is_not(remover, make_photo):
    make_photo(Path("in/a.png"), "person")
    make_photo(Path("in/b.png"), "person")
    run(remover)
    make_photo(Path("in/a.png"), "person", "car")
    os.utime("in/b.png", (1, 1))
    before = Path("out/a.png").read_bytes()
    assert run(remover) == {"a.png": "removed", "b.png": "done"}
    assert Path("out/a.png").read_bytes() != before


def make_mask(rows):
    mask = np.zeros((30, 40), np.uint8)
    mask[:rows, 5:20] = 255
    Path("masks").mkdir(exist_ok=True)
    Image.fromarray(mask).save("masks/a.png")


def test_a_mask_that_changed_counts_as_a_change_of_its_photo(remover, make_photo):
    make_photo(Path("in/a.png"), "person")
    make_mask(20)
    job = Job(own_masks=MaskFiles(Path("masks")))
    assert run(remover, job) == {"a.png": "removed"}
    assert run(remover, job) == {"a.png": "done"}
    make_mask(10)
    assert run(remover, job) == {"a.png": "removed"}


def test_a_mask_that_was_added_counts_as_a_change_of_its_photo(remover, make_photo):
    make_photo(Path("in/a.png"), "person")
    make_photo(Path("in/b.png"), "person")
    make_mask(20)
    Path("masks/a.png").rename("masks/b.png")
    job = Job(own_masks=MaskFiles(Path("masks")))
    assert run(remover, job) == {"a.png": "untouched", "b.png": "removed"}
    assert run(remover, job) == {"a.png": "done", "b.png": "done"}
    make_mask(20)
    assert run(remover, job) == {"a.png": "removed", "b.png": "done"}


def test_drawn_edges_that_changed_count_as_a_change_of_their_photo(
    remover, make_photo, monkeypatch
):
    monkeypatch.setattr(
        steps,
        "remove_as_published",
        lambda _photo, image, *_: (remover.fill(image.pixels, np.ones(image.size_hw, bool)), None),
    )
    make_photo(Path("in/a.png"), "person")
    make_mask(20)
    job = replace(PERSON, published=Published(edges=MaskFiles(Path("masks"))))
    assert [*run(remover, job).values(), *run(remover, job).values()] == ["removed", "done"]
    make_mask(10)
    assert run(remover, job) == {"a.png": "removed"}


def test_masks_instead_of_names_are_other_settings_and_so_is_the_reverse(remover, make_photo):
    make_photo(Path("in/a.png"), "person")
    make_mask(20)
    masked = Job(own_masks=MaskFiles(Path("masks")))
    assert run(remover) == {"a.png": "removed"}
    assert run(remover, masked) == {"a.png": "other settings"}
    assert run(remover, replace(masked, overwrite=True)) == {"a.png": "removed"}
    assert run(remover) == {"a.png": "other settings"}


def test_an_output_that_is_gone_is_made_again(remover, make_photo):
    make_photo(Path("in/a.png"), "person")
    run(remover)
    Path("out/a.png").unlink()
    assert run(remover) == {"a.png": "removed"}


def test_other_settings_are_said_and_overwrite_applies_them(remover, make_photo):
    make_photo(Path("in/a.png"), "person")
    run(remover)
    other = Job(options=RemovalOptions(classes=("person",), min_score=0.6, dilation=3))
    plan = plan_photos([Path("in")], Path("out"))
    with (
        Journal(Path("out"), settings_in_words(other, remover)) as journal,
        Engine(remover, other, ALONE, journal=journal) as engine,
    ):
        [outcome] = engine.run(plan)
    assert outcome.skipped == "other settings"
    assert outcome.notes == ("--dilate not given, now 3, --min-score 0.5, now 0.6",)
    assert run(remover, replace(other, overwrite=True)) == {"a.png": "removed"}
    assert run(remover, other) == {"a.png": "done"}


def test_what_does_not_change_a_result_is_no_other_setting(remover, make_photo):
    make_photo(Path("in/a.png"), "person")
    run(remover)
    assert run(remover, replace(PERSON, masks=Path("m"), fail_fast=True)) == {"a.png": "done"}


def test_a_result_that_somebody_edited_stays_even_if_its_photo_changed(remover, make_photo):
    make_photo(Path("in/a.png"), "person")
    run(remover)
    Path("out/a.png").write_text("retouched")
    make_photo(Path("in/a.png"), "person", "car")
    assert run(remover) == {"a.png": "edited"}
    assert Path("out/a.png").read_text() == "retouched"


def test_an_output_that_no_run_made_is_left_alone(remover, make_photo):
    make_photo(Path("in/a.png"), "person")
    Path("out").mkdir()
    Path("out/a.png").write_text("mine")
    assert run(remover) == {"a.png": "exists"}
    assert Path("out/a.png").read_text() == "mine"


def test_the_photo_of_another_folder_does_not_replace_an_output(remover, make_photo):
    make_photo(Path("in/a.png"), "person")
    make_photo(Path("else/a.png"), "car")
    run(remover)
    assert run(remover, PERSON, "else") == {"else/a.png": "exists"}


def test_a_folder_that_was_renamed_is_still_done(remover, make_photo):
    make_photo(Path("in/a.png"), "person")
    run(remover)
    Path("in").rename("album")
    assert run(remover, PERSON, "album") == {"album/a.png": "done"}


def test_a_failure_is_tried_again(remover, make_photo):
    Path("in").mkdir()
    Path("in/a.png").write_text("no photo")
    assert run(remover) == {"a.png": "failed"}
    assert rows()["a.png"]["error"].startswith("in/a.png: ")
    make_photo(Path("in/a.png"), "person")
    assert run(remover) == {"a.png": "removed"}


def test_what_a_killed_run_wrote_is_known_to_the_next(remover, make_photo):
    make_photo(Path("in/a.png"), "person")
    make_photo(Path("in/b.png"))
    make_photo(Path("in/c.png"), "person")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "finish", lambda *_: None)  # it dies before each entry
        run(remover, fails_after=2)
    Path("out/.c.png.0123abcd.cleanplate-tmp").write_text("half")
    assert run(remover) == {"a.png": "done", "b.png": "done", "c.png": "removed"}
    assert {name: row["status"] for name, row in rows().items()} == {
        "a.png": "removed",
        "b.png": "untouched",
        "c.png": "removed",
    }
    assert not list(Path("out").glob("*.cleanplate-tmp"))


def test_names_that_are_no_text_are_entered(remover, make_photo):
    make_photo(Path("in/a.png"), "person")
    os.rename(b"in/a.png", b"in/\xff.png")  # noqa: PTH104 - bytes are the point
    assert run(remover) == {"\udcff.png": "removed"}
    assert run(remover) == {"\udcff.png": "done"}


def test_a_second_run_on_the_same_output_is_refused_until_the_first_is_dead(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from cleanplate.batch import Journal; "
        "journal = Journal(Path('out'), {}); print('open', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        reported = rf"out: another run writes to it \(process {other.pid}\); wait for its end"
        with pytest.raises(InputError, match=reported):
            Journal(Path("out"), {})
        other.kill()
    Journal(Path("out"), {}).close()


def test_a_lock_holds_on_a_full_disk(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", refuse)
    with Journal(Path("out"), {}), pytest.raises(InputError, match="out: another run writes to it"):
        Journal(Path("out"), {})


def test_a_journal_that_is_none_is_said(tmp_path):
    Path("out/.cleanplate").mkdir(parents=True)
    Path("out/.cleanplate/journal.sqlite").write_text("no database" * 99)
    with pytest.raises(PhotoError, match=r"journal\.sqlite: .*check permissions"):
        Journal(Path("out"), {})
    Path("file").touch()
    with pytest.raises(PhotoError, match="the journal cannot be used"):
        Journal(Path("file"), {})


def test_a_journal_of_a_newer_version_is_not_touched(tmp_path):
    Journal(Path("out"), {}).close()
    with sqlite3.connect("out/.cleanplate/journal.sqlite") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(InputError, match="update cleanplate"):
        Journal(Path("out"), {})


class TestUntouched:
    def test_skipped_photos_write_nothing_and_are_done(self, remover, make_photo):
        make_photo(Path("in/a.png"))
        job = replace(PERSON, untouched="skip")
        assert run(remover, job) == {"a.png": "untouched"}
        assert not Path("out/a.png").exists()
        assert run(remover, job) == {"a.png": "done"}
        assert run(remover) == {"a.png": "untouched"}  # now a copy is wanted
        assert Path("out/a.png").read_bytes() == Path("in/a.png").read_bytes()

    def test_a_copy_in_the_place_of_a_link_is_reported_as_one(
        self, remover, make_photo, monkeypatch
    ):
        def refuse(*_):
            raise OSError(errno.EXDEV, "Invalid cross-device link")

        monkeypatch.setattr(storage, "_reflink", refuse)
        monkeypatch.setattr(storage, "_hard_link", refuse)
        make_photo(Path("in/a.png"))
        plan = plan_photos([Path("in")], Path("out"))
        with Engine(remover, replace(PERSON, untouched="link"), ALONE) as engine:
            [outcome] = engine.run(plan)
        assert outcome.kept_by == "copy"
        assert outcome.notes == (COPIED_NOTE,)

    def test_a_linked_photo_that_changes_is_done_again(self, remover, make_photo):
        make_photo(Path("in/a.png"))
        job = replace(PERSON, untouched="link")
        assert run(remover, job) == {"a.png": "untouched"}
        assert run(remover, job) == {"a.png": "done"}
        make_photo(Path("in/a.png"), "person")  # in place: a hard link changes with it
        before = Path("in/a.png").read_bytes()
        assert run(remover, job) == {"a.png": "removed"}
        assert Path("in/a.png").read_bytes() == before
        assert not Path("out/a.png").samefile("in/a.png")


@pytest.fixture
def update(monkeypatch):
    def replaced(name):
        """Let the package contain another version of a built-in network."""
        [file] = MODELS[name].files
        other = replace(MODELS[name], files=(replace(file, sha256="0" * 64),))
        monkeypatch.setattr("cleanplate.hub.registry.MODELS", {**MODELS, name: other})

    return replaced


def test_another_network_for_effects_is_another_setting(remover, make_photo, update):
    make_photo(Path("in/a.png"), "person")
    run(remover)
    update(DEFAULT_EFFECTS_MODEL)
    assert run(remover) == {"a.png": "other settings"}


def test_what_was_done_before_these_networks_were_recorded_is_reported(remover, make_photo):
    make_photo(Path("in/a.png"), "person")
    words = settings_in_words(PERSON, remover)
    former = {name: value for name, value in words.items() if name.startswith("--")}
    run(remover, settings=former)
    assert run(remover) == {"a.png": "other settings"}
    names = re.findall(r"(\S+) not given, now \w{12}", difference_in_words(former, words))
    assert names == [DEFAULT_EFFECTS_MODEL, OUTLINING_MODEL]


@pytest.mark.parametrize("name", [DIVIDING_MODEL, OUTLINING_MODEL, RECOGNIZING_MODEL])
def test_another_network_beside_the_segmenter_is_another_setting(deeplab, update, name):
    remover = Remover(segmenter=deeplab, inpainter="telea")
    before = settings_in_words(PERSON, remover)
    update(name)
    said = difference_in_words(before, settings_in_words(PERSON, remover))
    assert said == f"{name} {MODELS[name].files[0].sha256[:12]}, now 000000000000"


def test_only_networks_that_take_part_are_recorded(deeplab, fake_segmenter):
    def networks(segmenter, job, prompter=None):
        remover = Remover(segmenter=segmenter, inpainter="telea", prompter=prompter)
        return {name for name in settings_in_words(job, remover) if not name.startswith("--")}

    effects = {DEFAULT_EFFECTS_MODEL}
    found = {OUTLINING_MODEL} | effects
    assert networks(deeplab, PERSON) == {DIVIDING_MODEL, RECOGNIZING_MODEL} | found
    assert networks(deeplab, Job(own_masks=MaskFiles(Path("masks")))) == effects
    assert networks(deeplab, replace(PERSON, published=Published())) == set()
    assert networks(fake_segmenter, PERSON) == found
    kept = RemovalOptions(classes=("person",), effects="off")  # what stays is not copied from
    assert networks(fake_segmenter, replace(PERSON, options=kept)) == found
    prompter = SimpleNamespace(name="sam", set_image=print)
    assert networks(fake_segmenter, PERSON, prompter) == found
    point = Job(options=RemovalOptions(points=[(5, 5)]))
    assert networks(fake_segmenter, point, prompter) == {"sam"} | effects


def test_what_another_run_is_writing_to_the_same_folder_stays(make_photo):
    make_photo(Path("in/a.png"))
    plan = plan_photos([Path("in")], Path("out/sub"), recursive=True)
    half = storage.temporary_path(Path("out/sub/b.png"))
    with Journal(Path("out/sub"), {}) as inner:
        half.touch()
        inner.remove_leftovers(plan, None)
        assert not half.exists()
        half.touch()
        with Journal(Path("out"), {}) as outer:
            inner.remove_leftovers(plan, None)
            outer.remove_leftovers(plan, None)
            assert half.exists()
            os.utime(half, (1, 1))
            outer.remove_leftovers(plan, None)
            assert not half.exists()
