"""One set of rules decides on a photo, whichever door it comes through: journal or cluster."""

import hashlib
import json
import os
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import pytest

from cleanplate.batch import Job
from cleanplate.batch.planning.photo_list import PlannedPhoto
from cleanplate.batch.records.decide import (
    InputState,
    LastRecord,
    OutputState,
    decide_photo,
    is_same,
    state_of,
)
from cleanplate.batch.records.journal import Journal
from cleanplate.batch.records.results import FileState, PhotoResult, ProcessedPhoto

BOOLS = (False, True)
PROCESSED = ("new", "changed")


def grid():
    """Yield every combination of states, with the options, and what is decided."""
    for same, same_path, exists, elsewhere, folder, unchanged in product(BOOLS, repeat=6):
        for interrupted, record in product((None, False, True), (None, *product(BOOLS, repeat=2))):
            for overwrite, untouched in product(BOOLS, ("copy", "link", "skip")):
                photo = InputState(is_unchanged=lambda same=same: same, is_same_path=same_path)
                output = OutputState(
                    exists=exists,
                    exists_elsewhere=elsewhere,
                    is_folder=folder,
                    is_interrupted=interrupted,
                    is_unchanged=lambda unchanged=unchanged: unchanged,
                )
                last = None
                if record is not None:
                    last = LastRecord(wrote_output=record[0], is_same_settings=record[1])
                options = SimpleNamespace(overwrite=overwrite, untouched=untouched)
                decision = decide_photo(photo, output, last, **vars(options))
                yield photo, output, last, options, decision


def test_nothing_is_replaced_but_what_a_run_wrote_and_nobody_edited():
    for photo, output, record, options, decision in grid():
        if options.overwrite or output.is_folder:
            assert decision == "new"
        elif (output.exists or output.exists_elsewhere) and decision in PROCESSED:
            assert decision == "changed"
            written = record is not None and record.wrote_output and output.exists
            replaced = written and output.is_unchanged() and not photo.is_unchanged()
            assert output.is_interrupted or (replaced and photo.is_same_path)


def test_only_what_is_as_recorded_counts_as_done():
    for photo, output, record, options, decision in grid():
        if decision in ("done", "other settings"):
            assert photo.is_unchanged()
            assert record.is_same_settings == (decision == "done")
            if record.wrote_output:
                assert output.exists
                assert output.is_unchanged()
            else:
                assert options.untouched == "skip"
        if not (output.exists or output.exists_elsewhere) and (
            record is None or record.wrote_output
        ):
            assert decision in PROCESSED  # no photo is lost: without an output it is processed


@pytest.mark.parametrize(
    ("now", "same"),
    [(None, False), ((3, 5), True), ((4, 5), False), ((3, 6), True), ((3, 7), False)],
)
def test_files_are_read_only_if_their_size_is_equal_and_their_time_is_not(now, same):
    hashed = []

    def hash_now():
        hashed.append(now)
        return "ab" if now == (3, 6) else None

    assert is_same(now, FileState(3, 5, "ab"), hash_now) == same
    assert not is_same(now, None, hash_now)
    assert bool(hashed) == (now in ((3, 6), (3, 7)))


PHOTOS = {"same": b"photo", "touched": b"photo", "changed": b"other"}
OUTPUTS = {"missing": None, "same": b"plate", "edited": b"paint"}
RECORDS = (None, "removed", "untouched", "failed")


@pytest.mark.parametrize("settings", [{}, {"--remove": "car"}])
@pytest.mark.parametrize("wrote", BOOLS)
def test_journal_and_cluster_decide_alike(tmp_path, settings, wrote):
    pytest.importorskip("pyarrow")
    from cleanplate.distributed.config import ClusterJob
    from cleanplate.distributed.history import (
        ListedPhoto,
        ReportedPhoto,
        decide_listed,
        stamp_of,
        targets_of,
    )
    from cleanplate.distributed.location import Location

    cases = {}  # name -> states, and what a run recorded
    for states in product(PHOTOS, OUTPUTS, RECORDS, ("in", "else")):
        name = "-".join(map(str, states)) + ".jpg"
        source, target = tmp_path / "in" / name, tmp_path / "out" / name
        for path, content in ((source, b"photo"), (target, b"plate")):
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        former = ReportedPhoto(
            photo=str(tmp_path / states[3] / name),
            status=states[2] or "",
            made_with="{}",
            source=state_of(source),
            output=state_of(target) if wrote else None,
        )
        cases[name] = states, former
    with Journal(tmp_path / "out", {}) as journal:
        for name, (states, former) in cases.items():
            before, target, status = Path(former.photo), tmp_path / "out" / name, states[2]
            if status is not None:
                outcome = PhotoResult(status=status, source=before, target=target)
                done = ProcessedPhoto(outcome, former.source, None, former.output)
                journal.finish(PlannedPhoto(before, target, Path(name)), done)
    decisions = set()
    source, output = Location(str(tmp_path / "in")), Location(str(tmp_path / "out"))
    with Journal(tmp_path / "out", settings) as journal:
        for name, ((photo, made, status, _), former) in cases.items():
            path, target = tmp_path / "in" / name, tmp_path / "out" / name
            if photo != "same":
                path.write_bytes(PHOTOS[photo])
                os.utime(path, (1, 1))
            if made == "missing":
                target.unlink()
            elif made == "edited":
                target.write_bytes(OUTPUTS[made])
                os.utime(target, (1, 1))
            for untouched in ("copy", "skip"):
                job = Job(untouched=untouched)
                mine = journal.decide(PlannedPhoto(path, target, Path(name)), job)
                cluster_job = ClusterJob(
                    source=source,
                    output=output,
                    job=job,
                    settings={},
                    made_with=json.dumps(settings),
                    run="now",
                    models={},
                    known=(),
                )
                key = ListedPhoto(file=source.stat(name), reported=former if status else None)
                found = {it: stamp_of(output.stat(it)) for it in targets_of(name, job)}
                assert mine == decide_listed(key, cluster_job, found), (name, untouched)
                decisions.add(mine)
    finished = "other settings" if settings else "done"
    assert decisions == {"new", "exists", finished} | ({"edited", "changed"} if wrote else set())


def test_a_state_is_that_of_files_one_after_another(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    both = state_of(tmp_path / "a", tmp_path / "b")
    assert (both.size, both.sha256) == (2, hashlib.sha256(b"ab").hexdigest())
    assert state_of() is None
    assert state_of(tmp_path / "a", tmp_path / "c") is None
