"""Camera RAW in runs: which file becomes the result."""

import numpy as np
import pytest
from batch_running import run_plan

from cleanplate.batch import Job
from cleanplate.batch.planning.photo_list import plan_photos
from cleanplate.io.files import read_photo
from cleanplate.options import RemovalOptions
from tiff_builders import dng

RED = (220, 20, 20)  # a person to the remover of these tests

pytest.importorskip("rawpy", reason="the extra `raw` is not installed")


@pytest.fixture
def make_raw(tmp_path):
    def make(name, *, person=False):
        path = tmp_path / "in" / name
        path.parent.mkdir(exist_ok=True)
        scene = np.full((60, 80, 3), 235, np.uint8)
        if person:
            scene[16:36, 8:28] = RED
        path.write_bytes(dng(scene))
        return path

    return make


def run(tmp_path, remover, **options):
    job = Job(options=RemovalOptions(classes=("person",)), **options)
    plan = plan_photos(
        [tmp_path / "in"], tmp_path / "out", raw_output=options.get("raw_output", "tiff")
    )
    return list(run_plan(plan, remover, job))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_changed_raw_is_a_tiff_and_an_untouched_one_itself(tmp_path, remover, make_raw):
    make_raw("a.dng", person=True)
    untouched = make_raw("b.dng")
    first, second = run(tmp_path, remover)
    assert (first.status, first.target.name) == ("removed", "a.tif")
    assert (second.status, second.target.name) == ("untouched", "b.dng")
    assert names(tmp_path / "out") == ["a.tif", "b.dng"]
    assert (tmp_path / "out/b.dng").read_bytes() == untouched.read_bytes()
    assert read_photo(tmp_path / "out/a.tif").samples.bits == 16

    again = run(tmp_path, remover)
    assert [(o.status, o.target.name) for o in again] == [
        ("skipped", "a.tif"), ("skipped", "b.dng"),
    ]  # fmt: skip


def test_jpeg_if_asked_for(tmp_path, remover, make_raw):
    make_raw("a.dng", person=True)
    (outcome,) = run(tmp_path, remover, raw_output="jpeg")
    assert outcome.target.name == "a.jpg"
    assert read_photo(outcome.target).format == "JPEG"


def test_a_result_of_another_kind_is_left_and_reported(tmp_path, remover, make_raw):
    make_raw("a.dng")
    run(tmp_path, remover)
    make_raw("a.dng", person=True)
    (outcome,) = run(tmp_path, remover, overwrite=True)
    assert outcome.notes[-1].endswith("out/a.dng, of a former run, was kept")
    assert names(tmp_path / "out") == ["a.dng", "a.tif"]


def test_a_dry_run_tells_the_file_that_would_be_written(tmp_path, remover, make_raw):
    make_raw("a.dng", person=True)
    make_raw("b.dng")
    found = run(tmp_path, remover, dry_run=True)
    assert [(o.status, o.target.name) for o in found] == [
        ("would-remove", "a.tif"), ("would-copy", "b.dng"),
    ]  # fmt: skip
