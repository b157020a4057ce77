"""Which photos of a former run are done again, and how."""

import json
import os
from pathlib import Path

import pytest

from cleanplate.batch import Job
from cleanplate.batch.planning.discovery import read_list
from cleanplate.batch.planning.mask_folder import MaskFiles
from cleanplate.batch.planning.redo import plan_redo, read_report
from cleanplate.batch.records.settings import describe_settings, job_of
from cleanplate.errors import InputError, PhotoError
from cleanplate.options import RemovalOptions, Rules


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def line(name="a.jpg", **changes):
    entry = {
        "photo": f"in/{name}",
        "output": f"out/{name}",
        "status": "removed",
        "models": {"segmenter": "x", "inpainter": "y"},
        "settings": describe_settings(Job(options=RemovalOptions(classes=("person",)))),
        **changes,
    }
    return json.loads(json.dumps(entry))


def lines(*entries):
    return {entry["photo"]: entry for entry in entries}


@pytest.mark.parametrize(
    "job",
    [
        Job(),
        Job(
            options=RemovalOptions(
                classes=("car", "dog"), min_score=0.25, min_area="2%", dilation=3, effects="strong"
            )
        ),
        Job(
            options=RemovalOptions(
                rules=Rules(keep=2, only=(1, 3), protect=("dog",), region=(0, "5%", 9, 9))
            )
        ),
        Job(
            options=RemovalOptions(rules=Rules(background_people=True, max_area="9%"), verify=False)
        ),
    ],
)
def test_settings_come_back_from_the_report(job):
    settings = json.loads(json.dumps(describe_settings(job)))
    assert describe_settings(job_of(settings)) == describe_settings(job)
    again = job_of(settings)
    assert (again.options, again.overwrite) == (job.options, True)


def test_masks_come_back_too():
    masks = job_of(describe_settings(Job(own_masks=MaskFiles(Path("m")))))
    assert masks.own_masks.path == Path("m")
    filled = job_of(describe_settings(Job(own_plans=MaskFiles(Path("d")))))
    assert (filled.own_plans.path, filled.own_masks) == (Path("d"), None)
    with pytest.raises(InputError, match="the report's settings are not understood"):
        job_of({"labels": ["person"]})


def test_a_list_holds_a_name_per_line():
    Path("list.txt").write_bytes(
        b'# rejected\r\nin/a b.jpg\r\n\r\nin/a b.jpg\nin/\xc3\xa4.jpg\n"in/c\\n.jpg"\nin/\xff.jpg\n'
    )
    assert read_list(Path("list.txt")) == [
        "in/a b.jpg", "in/\u00e4.jpg", "in/c\n.jpg", os.fsdecode(b"in/\xff.jpg"),
    ]  # fmt: skip


def test_a_list_may_begin_with_a_byte_order_mark():
    Path("list.txt").write_bytes(b"\xef\xbb\xbfin/a.jpg\r\nin/b.jpg\r\n")
    assert read_list(Path("list.txt")) == ["in/a.jpg", "in/b.jpg"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "list.txt: lists no photo; write one path a line"),
        ("# only this\n\n", "list.txt: lists no photo"),
        ('a.jpg\n"b', r"list.txt, line 2: is not a JSON string \("),
    ],
)
def test_lists_that_cannot_be_understood_are_refused(text, message):
    Path("list.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        read_list(Path("list.txt"))


def test_a_report_is_read_by_photo_and_the_last_line_counts():
    first, second = line(status="failed"), line()
    other = line("b.jpg")
    text = "\n".join(map(json.dumps, (first, other, second)))
    Path("r.jsonl").write_text(text + '\n{"photo": "in/c')  # cut off by a kill
    assert read_report(Path("r.jsonl")) == lines(second, other)


@pytest.mark.parametrize("content", [b"<html>\n<p>\n", b"[1]\n[2]\n", b"\x89PNG\xff\n"])
def test_other_files_are_no_reports(content):
    Path("r").write_bytes(content)
    with pytest.raises(PhotoError, match=r"r: .*; name the .jsonl file of a run"):
        read_report(Path("r"))
    with pytest.raises(PhotoError, match=r"no\.jsonl: no such file"):
        read_report(Path("no.jsonl"))


def test_the_plan_leads_from_the_inputs_to_the_same_outputs():
    known = lines(line("sub/a.jpg"), line("b.jpg"))
    plan, first = plan_redo(["in/b.jpg", "in/sub/a.jpg"], known, Path("out"))
    assert [(p.source, p.target, p.relative) for p in plan.photos] == [
        (Path("in/b.jpg"), Path("out/b.jpg"), Path("b.jpg")),
        (Path("in/sub/a.jpg"), Path("out/sub/a.jpg"), Path("sub/a.jpg")),
    ]
    assert first == line("b.jpg")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (line("b.jpg"), "in/a.jpg: not in the report; name the report of its run"),
        (line(output=None), "in/a.jpg: not in the report"),
        (line(settings=None), "in/a.jpg: not in the report"),
        (line(status="would-remove"), r"in/a.jpg: was a dry run \(would-remove\); use 'run'"),
        (line(output="other/a.jpg"), "in/a.jpg: was written to other/a.jpg, which is not in out"),
        (line(output="in/a.jpg"), "in/a.jpg: was written to in/a.jpg, which is not in out"),
        (line(photo="out/a.jpg"), "out/a.jpg: would be overwritten by its own output"),
    ],
)
def test_what_does_not_fit_is_refused(entry, message):
    name = "out/a.jpg" if entry["photo"].startswith("out") else "in/a.jpg"
    with pytest.raises(InputError, match=message):
        plan_redo([name], lines(entry), Path("out"))


def test_photos_of_different_settings_do_not_go_together():
    other = line("b.jpg", settings=describe_settings(Job(options=RemovalOptions(classes=("dog",)))))
    with pytest.raises(InputError, match="was processed with other settings than in/a"):
        plan_redo(["in/a.jpg", "in/b.jpg"], lines(line(), other), Path("out"))
