"""The journal together with camera RAW, plans and reports."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from cleanplate.batch import Job
from cleanplate.batch.execution.engine import Engine, Resources
from cleanplate.batch.planning.example_files import Example
from cleanplate.batch.planning.photo_list import plan_photos
from cleanplate.batch.records.journal import Journal
from cleanplate.batch.records.results import describe_result
from cleanplate.batch.records.settings import settings_in_words
from cleanplate.io import read_size
from cleanplate.options import RemovalOptions
from tiff_builders import dng

MODELS = {"models": {"segmenter": "colours", "inpainter": "telea"}, "provider": {}}
PERSON = Job(options=RemovalOptions(classes=("person",), min_score=0.5))
ALONE = Resources(workers=1, threads=1, max_memory=None)
RED = (220, 20, 20)


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()


def run(remover, job=PERSON):
    plan = plan_photos([Path("in")], Path("out"), raw_output=job.raw_output)
    with (
        Journal(Path("out"), settings_in_words(job, remover)) as journal,
        Engine(remover, job, ALONE, journal=journal) as engine,
    ):
        return list(engine.run(plan))


def test_a_report_of_a_run_that_goes_on_tells_what_was_done_before(remover, make_photo):
    make_photo(Path("in/a.png"), "person", "car")
    make_photo(Path("in/b.png"))
    before = run(remover)
    again = run(remover)
    assert [outcome.skipped for outcome in again] == ["done", "done"]
    for first, second in zip(before, again, strict=True):
        line = describe_result(second, MODELS)
        assert line.pop("skipped") == "done"
        former = describe_result(first, MODELS)
        assert former.pop("skipped") is None
        assert json.dumps(line) == json.dumps(former)


class TestRaw:
    @pytest.fixture(autouse=True)
    def needs_rawpy(self):
        pytest.importorskip("rawpy", reason="the extra `raw` is not installed")

    def make(self, name, *, person):
        scene = np.full((60, 80, 3), 235, np.uint8)
        if person:
            scene[16:36, 8:28] = RED
        Path("in", name).write_bytes(dng(scene))

    def test_both_kinds_of_result_are_known_to_the_next_run(self, remover):
        self.make("a.dng", person=True)
        self.make("b.dng", person=False)
        assert [outcome.target.name for outcome in run(remover)] == ["a.tif", "b.dng"]
        seen = len(remover.seen)
        again = run(remover)
        assert [(o.status, o.skipped, o.target.name) for o in again] == [
            ("removed", "done", "a.tif"), ("untouched", "done", "b.dng"),
        ]  # fmt: skip
        assert len(remover.seen) == seen

    def test_one_that_changed_is_done_again(self, remover):
        self.make("a.dng", person=True)
        run(remover)
        self.make("a.dng", person=False)
        [outcome] = run(remover)
        assert (outcome.status, outcome.target.name) == ("untouched", "a.dng")
        assert outcome.notes[-1].endswith("out/a.tif, of a former run, was kept")

    def test_somebody_elses_file_in_the_other_place_is_left_alone(self, remover):
        self.make("a.dng", person=True)
        Path("out").mkdir()
        Path("out/a.dng").write_text("mine")
        [outcome] = run(remover)
        assert (outcome.skipped, outcome.target.name) == ("exists", "a.dng")

    def test_what_a_killed_run_wrote_is_known_to_the_next(self, remover):
        self.make("a.dng", person=True)
        self.make("b.dng", person=False)
        plan = plan_photos([Path("in")], Path("out"))
        with Journal(Path("out"), settings_in_words(PERSON, remover)) as journal:
            for photo in plan.photos:
                journal.begin(photo, PERSON)
            Engine(remover, PERSON, ALONE)
            with Engine(remover, PERSON, ALONE) as engine:
                list(engine.run(plan))  # and no word of it to the journal
        again = run(remover)
        assert [(o.skipped, o.target.name) for o in again] == [("done", "a.tif"), ("done", "b.dng")]

    def test_links_bear_the_photos_own_name(self, remover):
        self.make("b.dng", person=False)
        job = Job(options=RemovalOptions(classes=("person",), min_score=0.5), untouched="link")
        [outcome] = run(remover, job)
        assert outcome.target.name == "b.dng"
        assert Path("out/b.dng").read_bytes() == Path("in/b.dng").read_bytes()
        assert [o.skipped for o in run(remover, job)] == ["done"]

    def test_its_size_is_that_of_the_sensor(self):
        self.make("a.dng", person=False)
        assert read_size(Path("in/a.dng")) == (60, 80)


def test_the_size_of_heic_is_read_from_its_boxes():
    pillow_heif = pytest.importorskip("pillow_heif", reason="the extra `heif` is not installed")
    pillow_heif.from_bytes("RGB", (96, 64), bytes(96 * 64 * 3)).save("a.heic")
    assert read_size(Path("a.heic")) == (64, 96)
    Path("b.heic").write_bytes(Path("a.heic").read_bytes()[:40])
    assert read_size(Path("b.heic")) is None


def test_names_that_are_no_text_are_adopted(remover, make_photo):
    make_photo(Path(os.fsdecode(b"in/\xff\xe4.png")), "person")
    plan = plan_photos([Path("in")], Path("out"))
    with Journal(Path("out"), settings_in_words(PERSON, remover)) as journal:
        journal.begin(plan.photos[0], PERSON)
        with Engine(remover, PERSON, ALONE) as engine:
            list(engine.run(plan))
    assert [outcome.skipped for outcome in run(remover)] == ["done"]


def test_examples_count_by_their_contents(remover):
    def words(name, photo_sha256):
        example = Example(
            photo=Path(name), mask=Path("m.png"), photo_sha256=photo_sha256, mask_sha256="b" * 64
        )
        return settings_in_words(
            Job(options=RemovalOptions(classes=("example",)), examples=(example,)), remover
        )

    assert words("a.jpg", "a" * 64) == words("moved/a.jpg", "a" * 64)
    assert words("a.jpg", "a" * 64) != words("a.jpg", "c" * 64)
    assert words("a.jpg", "a" * 64)["--like"] == "aaaaaaaaaaaa bbbbbbbbbbbb"
