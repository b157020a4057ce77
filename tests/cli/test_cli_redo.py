"""`cleanplate redo`, and the page of a report."""

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def done(tmp_path, monkeypatch, without_networks, make_photo, cli):
    """Make a run of two photos, with its report in the output folder."""
    monkeypatch.chdir(tmp_path)
    make_photo("in/a.png", "person", "car")
    make_photo("in/sub/b.png", "person")
    report = ("--report", "out/report.html")
    ran = cli("run", "in", "-r", "-o", "out", "--remove", "person,car", "--dilate", 0, *report)
    assert ran.code == 0, ran.err
    Path("rejected.txt").write_text("# rejected\nin/a.png\n")


def pixels_of(path):
    with Image.open(path) as picture:
        return np.asarray(picture).copy()


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


REDO = ("redo", "out", "--list", "rejected.txt")


def test_a_report_with_html_is_a_page_and_its_lines():
    page = Path("out/report.html").read_text()
    assert page.count("<script>row(") == 2
    assert '"segmenter":"colours"' in page
    assert '"classes":"car, person"' in page
    message = [json.loads(text) for text in Path("out/report.jsonl").read_text().splitlines()]
    assert [entry["photo"] for entry in message] == ["in/a.png", "in/sub/b.png"]
    assert message[0]["settings"]["classes"] == ["car", "person"]
    assert (message[0]["settings"]["dilation"], message[0]["settings"]["min_score"]) == (0, 0.5)


def test_the_rejected_are_done_again_with_other_options(cli):
    before = digest("out/sub/b.png")
    blue = pixels_of("in/a.png")[30, 60]
    assert (pixels_of("out/a.png")[30, 60] == blue).all()  # the car was below --min-score

    ran = cli(*REDO, "--min-score", 0, "--report", "again.jsonl")

    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[0].startswith("in/a.png: removed 1 person (0.91) and 1 car (0.30)")
    assert ran.err.splitlines()[1] == "1 photo, removing car, person"
    assert (pixels_of("out/a.png")[30, 60] == 128).all()
    assert digest("out/sub/b.png") == before
    (again,) = map(json.loads, Path("again.jsonl").read_text().splitlines())
    assert (again["settings"]["min_score"], again["settings"]["dilation"]) == (0, 0)
    assert cli(*REDO, "--from", "again.jsonl").out.startswith("in/a.png: removed 1 person (0.91) a")


def test_without_other_options_the_same_comes_out(cli):
    before = digest("out/a.png")
    Path("out/a.png").write_bytes(b"spoilt")
    assert cli(*REDO).code == 0
    assert digest("out/a.png") == before


def test_rules_are_replaced_and_labels_too(cli):
    ran = cli(*REDO, "--remove", "person", "--keep", "largest", "-v")
    assert "  kept 1: person 0.91, box 10 20 30 40, 400 px (kept: largest)\n" in ran.out
    assert digest("out/a.png") == digest("in/a.png")


def test_what_was_filled_from_masks_is_filled_from_them_again(cli):
    cli("plan", "in", "-r", "-o", "masks", "--remove", "person")
    report = ("--report", "filled/report.jsonl")
    cli("fill", "in", "-r", "--masks", "masks", "-o", "filled", *report)
    mask = pixels_of("masks/a.png")
    mask[50:60, 80:90] = 255
    Image.fromarray(mask).save("masks/a.png")
    redo = ("redo", "filled", "--list", "rejected.txt")
    assert cli(*redo).code == 0
    assert (pixels_of("filled/a.png")[50:60, 80:90] == 128).all()
    ran = cli(*redo, "--report", "masks/a.json")
    assert ran.code == 2
    assert "masks/a.json: the report" in ran.err
    ran = cli(*redo, "--min-score", 0.2, "--remove", "car")
    assert ran.code == 2
    assert "--remove, --min-score: " in ran.err


def test_what_was_made_as_published_takes_no_other_rules(cli):
    report = Path("out/report.jsonl")
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    for line in lines:
        line["settings"]["published"] = {
            "preset": "published", "as_published_size": True, "canny_sigma": 2.0, "edges": None,
            "save_intermediate": None,
        }  # fmt: skip
    report.write_text("".join(json.dumps(line) + "\n" for line in lines))
    ran = cli(*REDO, "--dilate", 3)
    assert ran.code == 2
    assert "--dilate" in ran.err
    assert "--preset published" in ran.err


def test_wrong_use_is_one_line_and_does_nothing(cli):
    before = digest("out/a.png"), digest("out/report.jsonl")
    for args, message in (
        (["redo", "out"], "Missing option '--list'"),
        ([*REDO, "--list", "no.txt"], "no.txt: no such file"),
        ([*REDO, "--from", "no.jsonl"], "no.jsonl: no such file"),
        (["redo", "in", "--list", "rejected.txt", "--from", "out/report.jsonl"], "is not in in"),
        ([*REDO, "--inpainter", "x"], "unknown inpainter 'x'; known: "),
        ([*REDO, "--only", "0"], "--only takes object numbers >= 1"),
        ([*REDO, "--report", "out/report.jsonl"], "would replace the report of the former run"),
        ([*REDO, "--report", "out/report.html"], "would replace the report of the former run"),
        ([*REDO, "--report", "rejected.txt"], "would replace the list of photos; name another"),
        ([*REDO, "-q", "-v"], "-q and -v exclude each other"),
    ):
        ran = cli(*args)
        assert ran.code in (1, 2), args
        assert ran.out == "", args
        assert re.fullmatch(rf"cleanplate: error: .*{message}.*\n", ran.err), args
        assert (digest("out/a.png"), digest("out/report.jsonl")) == before, args


def test_the_page_must_not_lie_where_an_input_does(cli, make_photo):
    make_photo("x.png").rename("page.html")  # a photo, whatever its name
    ran = cli("run", "page.html", "-o", "o", "--remove", "person", "--report", "page.html")
    assert ran.code == 2
    assert "page.html: the report" in ran.err


def test_the_summary_counts_objects_and_names_doubtful_photos(cli, make_photo, monkeypatch):
    ran = cli("run", "in", "-r", "-o", "o", "--remove", "person,car")
    assert ran.out.splitlines()[-1] == "objects: removed 2 people; kept 1 car"
    ran = cli("run", "in", "-r", "-o", "o2", "--remove", "car", "--dry-run", "--min-score", 0)
    assert ran.out.splitlines()[-1] == "objects: to remove 1 car"


def test_the_next_run_knows_what_was_done_again(cli):
    cli(*REDO, "--min-score", 0, "--report", "again.jsonl")
    run = ("run", "in", "-r", "-o", "out", "--remove", "person,car", "--dilate", 0)
    ran = cli(*run)
    assert "1 skipped (done before), 1 skipped (made with other settings)" in ran.out
    assert "1 photo skipped, made with other settings: --min-score 0.0, now 0.5" in ran.out


def test_a_report_does_not_make_pickles_trusted():
    from cleanplate.cli.commands.redo import _without_pickles

    assert _without_pickles("diffusers-pickle:a/b") == "diffusers:a/b"
    for name in ("diffusers:a", "telea", "edgeconnect.photos"):
        assert _without_pickles(name) == name
