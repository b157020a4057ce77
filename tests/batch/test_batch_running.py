"""A run over real files, with a remover that knows colours instead of networks."""

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from batch_running import run_plan
from PIL import Image

from cleanplate.batch import Job, ReportWriter, describe_models
from cleanplate.batch.execution import steps as running
from cleanplate.batch.planning.mask_folder import MaskFiles
from cleanplate.batch.planning.photo_list import plan_photos
from cleanplate.errors import PhotoError, WeightsError
from cleanplate.options import RemovalOptions
from cleanplate.remover import Remover

PERSON = Job(options=RemovalOptions(classes=("person",), min_score=0.5))
ON_NOTHING = {
    "models": {"segmenter": "colours", "inpainter": "grey"},
    "provider": {"segmenter": "NumPy", "inpainter": None},
}


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(remover, job=PERSON, *inputs, **options):
    plan = plan_photos([Path(name) for name in inputs or ("in",)], Path("out"), **options)
    return list(run_plan(plan, remover, job))


def statuses(outcomes):
    return {outcome.source.name: outcome.status for outcome in outcomes}


def files_below(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


def test_removes_copies_and_never_touches_the_inputs(remover, make_photo):
    make_photo(Path("in/beach.jpg"), "person")
    make_photo(Path("in/sub/empty.png"))
    before = files_below("in")

    outcomes = run(remover, recursive=True)

    assert statuses(outcomes) == {"beach.jpg": "removed", "empty.png": "untouched"}
    assert files_below("in") == before
    after = files_below("out")
    assert list(after) == ["beach.jpg", "sub/empty.png"]
    assert after["sub/empty.png"] == before["sub/empty.png"]
    with Image.open("out/beach.jpg") as result:
        assert result.format == "JPEG"
        assert np.asarray(result, int)[12, 8] == pytest.approx([128, 128, 128], abs=12)


def test_tells_what_was_found_and_what_stays(remover, make_photo):
    make_photo(Path("in/a.png"), "person", "car", size_wh=(50, 30))
    [outcome] = run(remover, Job(options=RemovalOptions(classes=("person", "car"), min_score=0.8)))
    assert [(x.id, x.label, x.score, x.box_xyxy, x.area_px, x.chosen) for x in outcome.found] == [
        (1, "person", 0.9, (4, 8, 14, 18), 100, True),
        (2, "car", 0.6, (20, 8, 30, 18), 100, False),
    ]
    assert outcome.size_hw == (30, 50)
    assert outcome.mask_area_px == 100
    assert outcome.mask_share == pytest.approx(100 / 1500)
    assert list(outcome.timings_s) == ["read", "fill", "write", "total"]
    assert outcome.timings_s["total"] < 1.0  # ours, not the 1.0 s that the remover claims


def test_an_existing_output_is_left_alone_and_its_photo_not_read(remover, make_photo):
    make_photo(Path("in/a.png"), "person")
    Path("out").mkdir()
    Path("out/a.png").write_text("mine")
    assert statuses(run(remover)) == {"a.png": "skipped"}
    assert Path("out/a.png").read_text() == "mine"
    assert remover.seen == []

    again = Job(options=RemovalOptions(classes=("person",), min_score=0.5), overwrite=True)
    assert statuses(run(remover, again)) == {"a.png": "removed"}
    assert Path("out/a.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_in_the_place_of_an_output_is_a_failure(remover, make_photo):
    make_photo(Path("in/a.png"), "person")
    Path("out/a.png").mkdir(parents=True)
    [outcome] = run(remover)
    assert outcome.status == "failed"
    assert outcome.error.startswith("out/a.png: a folder has the output's name; ")


def test_one_bad_photo_does_not_stop_the_others(remover, make_photo):
    make_photo(Path("in/a.jpg"), "person")
    Path("in/b.jpg").write_text("no photo")
    Path("in/c.jpg").write_bytes(b"")
    make_photo(Path("in/d.jpg"), "person")
    outcomes = run(remover)
    assert [x.status for x in outcomes] == ["removed", "failed", "failed", "removed"]
    assert outcomes[1].error.startswith("in/b.jpg: ")
    assert list(files_below("out")) == ["a.jpg", "d.jpg"]


def test_fail_fast_stops_at_the_first_failure(remover, make_photo):
    Path("in").mkdir()
    Path("in/a.jpg").write_text("no photo")
    make_photo(Path("in/b.jpg"), "person")
    job = Job(options=RemovalOptions(classes=("person",)), fail_fast=True)
    assert statuses(run(remover, job)) == {"a.jpg": "failed"}


def test_a_photo_that_vanishes_is_a_failure_of_that_photo(remover, make_photo):
    make_photo(Path("in/a.jpg"), "person")
    make_photo(Path("in/b.jpg"), "person")
    plan = plan_photos([Path("in")], Path("out"))
    Path("in/a.jpg").unlink()
    gone, there = run_plan(plan, remover, PERSON)
    assert (gone.status, there.status) == ("failed", "removed")
    assert gone.error.startswith("in/a.jpg: no such file")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), r"in/a\.png: out of memory; "),
        (OSError(5, "Input/output error"), r"in/a\.png: Input/output error"),
        (OSError(5, "Input/output error", "x"), r"x: Input/output error"),
        (PhotoError("b", "broken", "mend it"), r"b: "),
        (WeightsError("model gone"), r"in/a\.png: "),
        (KeyError("two\nlines"), r"in/a\.png: internal error \(KeyError: 'two\\nlines'\); please"),
        (ValueError("two\nlines"), r"in/a\.png: internal error \(ValueError: two lines\); please"),
    ],
)
def test_whatever_goes_wrong_with_a_photo_is_reported_in_one_line(
    remover, make_photo, monkeypatch, error, message
):
    make_photo(Path("in/a.png"), "person")
    monkeypatch.setattr(type(remover), "plan", lambda *_, **__: (_ for _ in ()).throw(error))
    [outcome] = run(remover)
    assert outcome.status == "failed"
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(outcome.error)
    assert (outcome.trace is not None) == isinstance(error, KeyError | ValueError)
    assert not Path("out/a.png").exists()


def test_an_interrupt_is_not_taken_for_a_failure(remover, make_photo, monkeypatch):
    make_photo(Path("in/a.png"), "person")
    monkeypatch.setattr(running, "write_photo", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run(remover)


def test_a_folder_that_cannot_be_read_comes_first_as_a_failure(remover, make_photo, monkeypatch):
    make_photo(Path("in/a.png"), "person")
    make_photo(Path("in/locked/b.png"), "person")
    scandir = os.scandir

    def locked(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", locked)
    folder, photo = run(remover, recursive=True)
    assert (folder.status, folder.target, photo.status) == ("failed", None, "removed")
    assert folder.error.startswith("in/locked: folder cannot be read (Permission denied)")


def test_a_dry_run_finds_and_writes_nothing(remover, make_photo, monkeypatch):
    make_photo(Path("in/a.png"), "person")
    make_photo(Path("in/b.png"))
    monkeypatch.delattr(type(remover), "fill")
    before = files_below(".")
    job = Job(options=RemovalOptions(classes=("person",)), masks=Path("masks"), dry_run=True)
    outcomes = run(remover, job, masks=Path("masks"))
    assert statuses(outcomes) == {"a.png": "would-remove", "b.png": "would-copy"}
    assert outcomes[0].found[0].label == "person"
    assert outcomes[0].mask_area_px is None
    assert files_below(".") == before
    assert not Path("out").exists()


def test_a_dry_run_finds_what_a_run_does_across_a_panoramas_border(fake_segmenter):
    pixels = np.full((64, 128, 3), 90, np.uint8)
    pixels[20:40, :10] = pixels[20:40, -10:] = (255, 0, 0)
    packet = b'<x:xmpmeta><rdf:Description GPano:ProjectionType="equirectangular"/></x:xmpmeta>'
    Path("in").mkdir()
    Image.fromarray(pixels).save("in/a.webp", lossless=True, xmp=packet)
    remover = Remover(segmenter=fake_segmenter, inpainter="telea", device="cpu")
    ((dry,), (wet,)) = (run(remover, replace(PERSON, dry_run=dry)) for dry in (True, False))
    assert (dry.status, wet.status) == ("would-remove", "removed")
    assert [it.area_px for it in dry.found] == [it.area_px for it in wet.found] == [400]


class TestMasks:
    def test_saved_masks_give_the_same_results_as_own_masks(self, remover, make_photo):
        make_photo(Path("in/a.png"), "person")
        make_photo(Path("in/a.bmp"), "person", "car")
        make_photo(Path("in/sub/b.png"))
        run(
            remover,
            Job(options=RemovalOptions(classes=("person",)), masks=Path("masks")),
            recursive=True,
        )
        first = files_below("out")
        assert list(files_below("masks")) == ["a.bmp.png", "a.png.png", "sub/b.png"]
        with Image.open("masks/a.png.png") as saved:
            assert np.count_nonzero(np.asarray(saved) == 255) == 100

        Path("out").rename("first")
        outcomes = run(remover, Job(own_masks=MaskFiles(Path("masks"))), recursive=True)
        assert statuses(outcomes) == {"a.png": "removed", "a.bmp": "removed", "b.png": "untouched"}
        assert files_below("out") == first
        assert remover.seen == [(30, 40, 3)] * 3  # the segmenter was not asked again

    def test_an_empty_mask_copies_and_says_so(self, remover, make_photo):
        make_photo(Path("in/a.jpg"), "person")
        Image.new("L", (40, 30)).save("mask.png")
        [outcome] = run(remover, Job(own_masks=MaskFiles(Path("mask.png"))))
        assert outcome.status == "untouched"
        assert "the mask is empty" in outcome.notes
        assert files_below("out") == files_below("in")

    def test_a_photo_without_a_mask_is_copied(self, remover, make_photo):
        make_photo(Path("in/a.jpg"), "person")
        make_photo(Path("in/b.jpg"), "person")
        Path("masks").mkdir()
        Image.new("L", (40, 30), 255).save("masks/b.png")
        first, second = run(remover, Job(own_masks=MaskFiles(Path("masks"))))
        assert (first.status, second.status) == ("untouched", "removed")
        assert "it has no mask" in first.notes
        assert Path("out/a.jpg").read_bytes() == Path("in/a.jpg").read_bytes()

    def test_a_mask_of_another_size_is_a_failure_of_its_photo(self, remover, make_photo):
        make_photo(Path("in/a.jpg"))
        Image.new("L", (30, 40), 255).save("mask.png")
        [outcome] = run(remover, Job(own_masks=MaskFiles(Path("mask.png"))))
        assert outcome.status == "failed"
        assert outcome.error.startswith("mask.png: ")

    def test_a_dry_run_with_own_masks_needs_no_model(self, make_photo):
        make_photo(Path("in/a.jpg"))
        Image.new("L", (40, 30), 255).save("mask.png")
        [outcome] = run(None, Job(own_masks=MaskFiles(Path("mask.png")), dry_run=True))
        assert (outcome.status, outcome.mask_share) == ("would-remove", 1.0)

    def test_an_existing_mask_is_left_alone_and_said(self, remover, make_photo):
        make_photo(Path("in/a.jpg"), "person")
        Path("masks").mkdir()
        Path("masks/a.png").write_text("mine")
        [outcome] = run(
            remover, Job(options=RemovalOptions(classes=("person",)), masks=Path("masks"))
        )
        assert outcome.status == "removed"
        assert outcome.notes == ("mask masks/a.png exists and was not replaced",)
        assert Path("masks/a.png").read_text() == "mine"


class TestReport:
    def test_has_a_line_for_every_photo_with_every_field(self, remover, make_photo):
        make_photo(Path("in/a.png"), "person", "car")
        Path("in/b.png").write_text("no photo")
        settings = {"labels": ["person", "car"]}
        with ReportWriter(Path("logs/report.jsonl"), ON_NOTHING, settings=settings) as report:
            for outcome in run(
                remover, Job(options=RemovalOptions(classes=("person", "car"), min_score=0.8))
            ):
                report.write(outcome)
        first, second = map(json.loads, Path("logs/report.jsonl").read_text().splitlines())
        assert set(first.pop("timings_s")) == {"read", "fill", "write", "total"}
        assert first == {
            "photo": "in/a.png",
            "output": "out/a.png",
            "status": "removed",
            "skipped": None,
            "size_wh": [40, 30],
            "found": [
                {
                    "id": 1,
                    "label": "person",
                    "label_id": 15,
                    "score": 0.9,
                    "box_xyxy": [4, 8, 14, 18],
                    "area_px": 100,
                    "removed": True,
                    "reason": None,
                },
                {
                    "id": 2,
                    "label": "car",
                    "label_id": 7,
                    "score": 0.6,
                    "box_xyxy": [20, 8, 30, 18],
                    "area_px": 100,
                    "removed": False,
                    "reason": "score below 0.8",
                },
            ],
            "remaining": [],
            "refills": 0,
            "mask_area_px": 100,
            "effects_area_px": 0,
            "mask_share": 0.083333,
            **ON_NOTHING,
            "settings": {"labels": ["person", "car"]},
            "notes": [],
            "error": None,
        }
        assert set(second) == {*first, "timings_s"}
        assert (second["status"], second["size_wh"], second["found"]) == ("failed", None, [])
        assert second["error"].startswith("in/b.png: ")

    def test_each_line_is_on_the_disk_before_the_next_photo(self, remover, make_photo):
        for name in "abc":
            make_photo(Path(f"in/{name}.png"), "person")
        plan = plan_photos([Path("in")], Path("out"))
        Path("report.jsonl").write_text("an older report\n" * 9)
        with ReportWriter(Path("report.jsonl"), ON_NOTHING) as report:
            for number, outcome in enumerate(run_plan(plan, remover, PERSON), start=1):
                report.write(outcome)
                lines = Path("report.jsonl").read_text().splitlines()
                assert [json.loads(line)["status"] for line in lines] == ["removed"] * number

    def test_keeps_names_that_are_no_text(self, remover, make_photo):
        make_photo(Path("in/a.png"))
        os.rename(b"in/a.png", b"in/\xff.png")  # noqa: PTH104 - bytes are the point
        with ReportWriter(Path("report.jsonl"), ON_NOTHING) as report:
            report.write(run(remover)[0])
        name = json.loads(Path("report.jsonl").read_text())["photo"]
        assert os.fsencode(name) == b"in/\xff.png"

    def test_says_when_it_cannot_be_written(self):
        Path("file").touch()
        with (
            pytest.raises(PhotoError, match=r"file/r\.jsonl: .*check the folder"),
            ReportWriter(Path("file/r.jsonl"), ON_NOTHING),
        ):
            pass

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is full")
    def test_says_when_the_disk_is_full(self, remover, make_photo):
        make_photo(Path("in/a.png"))
        [outcome] = run(remover)
        with (
            ReportWriter(Path("/dev/full"), ON_NOTHING) as report,
            pytest.raises(PhotoError, match="the report cannot be written"),
        ):
            report.write(outcome)

    def test_asks_only_for_the_models_that_the_run_needs(self):
        class Model:
            name, provider = "telea", "OpenCV"

        class OnlyFills:
            inpainter = Model()

        class OnlyFinds:
            segmenter = Model()

        mask = Job(own_masks=MaskFiles(Path("mask.png")))
        assert describe_models(OnlyFills(), mask) == {
            "models": {"segmenter": None, "inpainter": "telea"},
            "provider": {"segmenter": None, "inpainter": "OpenCV"},
        }
        found = describe_models(
            OnlyFinds(), Job(options=RemovalOptions(classes=("person",)), dry_run=True)
        )
        assert found["models"] == {"segmenter": "telea", "inpainter": None}


@pytest.mark.parametrize(("cores", "prepared"), [(1, []), (2, ["in/a.jpg"])])
def test_on_several_cores_a_photo_with_a_hole_is_prepared_while_it_is_filled(
    remover, make_photo, monkeypatch, cores, prepared
):
    make_photo(Path("in/a.jpg"), "person")
    make_photo(Path("in/b.jpg"))
    seen = []
    monkeypatch.setattr("cv2.getNumThreads", lambda: cores)
    monkeypatch.setattr("cleanplate.io.Photo.prepare_to_write", lambda it: seen.append(it.path))
    assert statuses(run(remover)) == {"a.jpg": "removed", "b.jpg": "untouched"}
    assert seen == prepared
