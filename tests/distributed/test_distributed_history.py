"""What is done with a photo that former runs have seen: the rules of the journal, for keys."""

import hashlib
import json
from dataclasses import replace

import pytest

from cleanplate.batch import Job
from cleanplate.batch.records.results import FileState
from cleanplate.distributed.config import ClusterJob
from cleanplate.distributed.history import (
    ListedPhoto,
    ReportedPhoto,
    RunHistory,
    decide_listed,
    stamp_of,
    targets_of,
    write_started,
)
from cleanplate.distributed.location import Location
from cleanplate.distributed.parquet_report import Record, full_row, report_row, write_part
from cleanplate.options import RemovalOptions

pytest.importorskip("pyarrow")
PHOTO, RESULT = b"a photo", b"its result"


@pytest.fixture
def job(tmp_path) -> ClusterJob:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(PHOTO)
    return ClusterJob(
        source=Location(str(tmp_path / "in")),
        output=Location(str(tmp_path / "out")),
        job=Job(options=RemovalOptions(classes=("person",))),
        settings={},
        made_with='{"--remove": "person"}',
        run="now",
        models={"segmenter": "s", "inpainter": "i"},
        known=("person",),
    )


def state(place: Location, relative: str) -> FileState:
    listed, content = place.stat(relative), place.read(relative)
    return FileState(listed.size, listed.mtime_ns, hashlib.sha256(content).hexdigest())


def verdict(job: ClusterJob, *, former=None, begun=None) -> str:
    key = ListedPhoto(file=job.source.stat("a.jpg"), reported=former, started=begun)
    found = {place: stamp_of(job.output.stat(place)) for place in targets_of("a.jpg", job.job)}
    return decide_listed(key, job, found)


@pytest.fixture
def done(job) -> ReportedPhoto:
    """Return what is noted of a photo that was done; its result is there."""
    job.output.write("a.jpg", RESULT)
    return ReportedPhoto(
        photo=job.source.url_of("a.jpg"),
        status="removed",
        made_with=job.made_with,
        source=state(job.source, "a.jpg"),
        output=state(job.output, "a.jpg"),
    )


def test_an_unknown_photo_is_new_unless_something_lies_there(job):
    assert verdict(job) == "new"
    job.output.write("a.jpg", b"mine")
    assert verdict(job) == "exists"
    assert verdict(replace(job, job=replace(job.job, overwrite=True))) == "new"


def test_a_photo_is_done_once(job, done):
    assert verdict(job, former=done) == "done"
    job.source.write("a.jpg", PHOTO)  # a new time alone is no change
    assert verdict(job, former=done) == "done"


def test_other_settings_are_reported_and_change_nothing(job, done):
    assert verdict(replace(job, made_with="{}"), former=done) == "other settings"


def test_a_changed_photo_is_done_again_and_another_folders_is_not(job, done):
    job.source.write("a.jpg", PHOTO[::-1])
    assert verdict(job, former=done) == "changed"
    assert verdict(job, former=replace(done, photo="elsewhere/a.jpg")) == "exists"


def test_an_edited_result_is_left_alone_and_a_lost_one_made_again(job, done):
    job.output.write("a.jpg", RESULT[::-1])
    assert verdict(job, former=done) == "edited"
    job.output.remove("a.jpg")
    assert verdict(job, former=done) == "new"


def test_a_failed_photo_is_tried_again(job):
    failed = ReportedPhoto(photo="", status="failed", made_with="", source=None, output=None)
    assert verdict(job, former=failed) == "new"


def test_nothing_written_on_purpose_counts_as_done(job, done):
    former = replace(done, status="untouched", output=None)
    job.output.remove("a.jpg")
    assert verdict(job, former=former) == "new"
    skipping = replace(job, job=replace(job.job, untouched="skip"))
    assert verdict(skipping, former=former) == "done"


def test_what_a_killed_run_wrote_is_made_again_and_what_lay_there_before_stays(job):
    assert verdict(job, begun={"a.jpg": None}) == "new"
    job.output.write("a.jpg", RESULT)
    there = stamp_of(job.output.stat("a.jpg"))
    assert verdict(job, begun={"a.jpg": None}) == "changed"
    assert verdict(job, begun={"a.jpg": there}) == "exists"


def test_raw_results_have_names_that_no_neighbour_needs():
    assert targets_of("sub/a.nef", Job()) == ("sub/a.nef.tif", "sub/a.nef")
    assert targets_of("sub/a.NEF", Job(raw_output="jpeg")) == ("sub/a.NEF.jpg", "sub/a.NEF")
    assert targets_of("sub/a.jpg", Job()) == ("sub/a.jpg",)


def row(job: ClusterJob, relative: str, status: str, run: str, finished: float) -> dict:
    line = {
        "photo": job.source.url_of(relative),
        "output": job.output.url_of(relative),
        "status": status,
        "skipped": "done" if status == "skipped" else None,
        "timings_s": {"total": 1.5},
        "found": [],
        "remaining": [],
        "notes": ["a note"],
        "models": dict(job.models),
        "provider": dict(job.models),
    }
    known = FileState(7, 5, "ab")
    record = Record(source=known, output=known, made_with=run, run=run, finished=finished)
    return full_row(report_row(line, {"labels": ["person"]}), relative, record)


def keys_of(job: ClusterJob, run: str, *names: str):
    listed = job.source.stat("a.jpg")
    with RunHistory(job.output, run) as history:
        return [history.look_up(replace(listed, relative=name)) for name in names]


def test_the_newest_row_that_did_something_counts(job):
    write_part(job.output, "part-2", [row(job, "a.jpg", "skipped", "third", 30.0)])
    write_part(job.output, "part-1", [row(job, "a.jpg", "removed", "second", 20.0)])
    write_part(job.output, "part-3", [row(job, "a.jpg", "removed", "first", 10.0)])
    [known, unknown] = keys_of(job, "now", "a.jpg", "b.jpg")
    assert known.reported.made_with == "second"
    assert known.reported.output == FileState(7, 5, "ab")
    assert (unknown.reported, unknown.started) == (None, None)
    assert keys_of(job, "third", "a.jpg") == [None]  # this very run has a row of it


def test_notes_on_what_was_begun_count_until_a_part_of_the_same_name_is_there(job):
    write_started(job.output, "part-1", {"a.jpg": {"a.jpg": (7, 5)}}, attempts=1)
    write_started(job.output, "part-2", {"b.jpg": {"b.jpg": None}}, attempts=1)
    write_part(job.output, "part-2", [row(job, "b.jpg", "removed", "first", 10.0)])
    [begun, done] = keys_of(job, "now", "a.jpg", "b.jpg")
    assert begun.started == {"a.jpg": (7, 5)}
    assert done.started is None


def test_names_that_are_no_unicode_can_be_noted(job):
    name = "caf\udce9.jpg"
    write_part(job.output, "part-1", [row(job, name, "removed", "first", 10.0)])
    [key] = keys_of(job, "now", name)
    assert key.reported.status == "removed"
    assert json.loads(report_row({"timings_s": {}}, {"a": 1})["settings"]) == {"a": 1}
