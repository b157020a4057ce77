"""What one actor does, without Ray: groups of photos from folder to folder."""

import pickle
from dataclasses import replace

import pytest
from cluster_standins import ColourSegmenter

from cleanplate.batch import Job
from cleanplate.distributed.actor import MAX_GROUP_ATTEMPTS, PhotoActor
from cleanplate.distributed.config import ClusterJob, RemoverFactory
from cleanplate.distributed.history import write_started
from cleanplate.distributed.listing import END, FAILED, LOST, Listing
from cleanplate.distributed.location import Location
from cleanplate.distributed.parquet_report import read_part
from cleanplate.options import RemovalOptions

pa = pytest.importorskip("pyarrow")


@pytest.fixture
def job(tmp_path) -> ClusterJob:
    (tmp_path / "in" / ".hidden").mkdir(parents=True)
    return ClusterJob(
        source=Location(str(tmp_path / "in")),
        output=Location(str(tmp_path / "out")),
        job=Job(options=RemovalOptions(classes=("person",), verify=False)),
        settings={},
        made_with="{}",
        run="run",
        models={"segmenter": "colours", "inpainter": "telea"},
        known=("person",),
    )


@pytest.fixture
def cleaner(job, nodes_environment, monkeypatch):
    models = (ColourSegmenter(), "telea", "cpu")
    made = PhotoActor(job, RemoverFactory(models=models, job=job.job, threads=1))
    yield made
    made.close()


def groups(job: ClusterJob, group: int = 10):
    listing = Listing(
        source=job.source, output=job.output, run=job.run, pass_number=1, group_size=group
    )
    return list(listing.rows())


def records(table):
    [name], [content] = table["name"].to_pylist(), table["content"].to_pylist()
    return name, pickle.loads(content)


@pytest.mark.slow
def test_a_group_becomes_results_and_a_part_of_the_report(job, cleaner, make_photo):
    job.source.write("sub/a.png", make_photo("person"))
    job.source.write("b.png", make_photo(None))
    job.source.write("broken.jpg", b"no photo")
    job.source.write("killer.png", make_photo("killer"))
    job.source.write("notes.txt", b"")
    job.source.write(".hidden/c.png", make_photo(None))
    group, end = groups(job)
    name, lines = records(cleaner(group))
    assert records(cleaner(end)) == (END, 1)
    assert {line["photo"].removeprefix(job.source.shown): line["status"] for line in lines} == {
        "/sub/a.png": "removed",
        "/b.png": "untouched",
        "/broken.jpg": "failed",
        "/killer.png": "failed",
    }
    errors = {line["photo"]: line["error"] for line in lines if line["error"]}
    assert all(error.startswith(f"{photo}: ") for photo, error in errors.items())
    assert "code 3" in errors[job.source.url_of("killer.png")]
    assert job.output.read("b.png") == job.source.read("b.png")
    assert job.output.read("sub/a.png") != job.source.read("sub/a.png")
    rows = read_part(job.output, name, ("relative", "found", "timings_s", "provider"))
    [row] = [row for row in rows if row["relative"] == "sub/a.png"]
    assert row["found"][0]["box_xyxy"] == [10, 12, 24, 30]
    assert {"find", "total", "fetch", "store"} <= {stage for stage, _ in row["timings_s"]}
    assert row["provider"]["segmenter"] == "NumPy"
    assert not list(job.output.list(".cleanplate/started"))


@pytest.mark.slow
def test_a_group_that_is_tried_again_is_done_once(job, cleaner, make_photo):
    job.source.write("a.png", make_photo("person"))
    job.source.write("b.png", make_photo("person", seed=1))
    [group, _] = groups(job)
    name = group["name"][0].as_py()
    # An actor wrote the first photo and was killed.
    write_started(
        job.output, name, {"a.png": {"a.png": None}, "b.png": {"b.png": None}}, attempts=1
    )
    job.output.write("a.png", b"of the killed one")
    assert {line["status"] for line in records(cleaner(group))[1]} == {"removed"}
    first = job.output.read("a.png")
    assert first != b"of the killed one"
    # Another one wrote all of it and was killed before it could tell.
    stamp = job.output.stat("a.png")
    assert {line["status"] for line in records(cleaner(group))[1]} == {"removed"}
    assert job.output.stat("a.png") == stamp


@pytest.mark.slow
def test_a_group_that_was_begun_too_often_is_given_back(job, cleaner, make_photo):
    job.source.write("a.png", make_photo("person"))
    [group, _] = groups(job)
    write_started(
        job.output,
        group["name"][0].as_py(),
        {"a.png": {"a.png": None}},
        attempts=MAX_GROUP_ATTEMPTS,
    )
    assert records(cleaner(group)) == (LOST, [])
    assert job.output.stat("a.png") is None


def test_a_report_that_cannot_be_written_is_reported(job, cleaner, make_photo, monkeypatch):
    job.source.write("a.png", make_photo(None))
    [group, _] = groups(job)

    def fail(*_):
        raise OSError("the bucket is gone")

    monkeypatch.setattr("cleanplate.distributed.actor.write_part", fail)
    assert records(cleaner(group)) == (LOST, "OSError: the bucket is gone")


def test_the_output_inside_the_input_is_passed_over(job, make_photo):
    inner = replace(job, output=Location(job.source.root + "/clean"))
    job.source.write("a.png", make_photo(None))
    job.source.write("clean/b.png", make_photo(None))
    [group, _] = groups(inner)
    keys = pickle.loads(group["keys"][0].as_py())
    assert [key.file.relative for key in keys] == ["a.png"]


def test_an_actor_that_cannot_load_its_models_says_so_with_its_first_group(job, make_photo):
    job.source.write("a.png", make_photo(None))
    [group, end] = groups(job)
    broken = PhotoActor(
        job, RemoverFactory(models=("nosuch", "telea", "cpu"), job=job.job, threads=1)
    )
    name, why = records(broken(group))
    assert name == FAILED
    assert "unknown segmenter 'nosuch'" in why
    assert records(broken(end)) == (END, 1)
    broken.close()
