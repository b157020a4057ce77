"""The rules, as `cleanplate run` takes them."""

import json
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("without_networks")


@pytest.fixture(autouse=True)
def photo(tmp_path, monkeypatch, make_photo):
    monkeypatch.chdir(tmp_path)
    return make_photo("in/a.png", "person", "car")


def records(cli, *options):
    """Return what became of the person and the car: None, or why it stays."""
    common = ("-o", "out", "--min-score", 0, "--dry-run", "--report", "r.jsonl")
    ran = cli("run", "in/a.png", *common, *options)
    assert ran.code == 0, ran.err
    found = json.loads(Path("r.jsonl").read_text())["found"]
    assert all(thing["removed"] == (thing["reason"] is None) for thing in found)
    return {thing["label"]: thing["reason"] for thing in found}


BOTH = ("--remove", "person,car")


@pytest.mark.parametrize(
    ("options", "person", "car"),
    [
        ((), None, None),
        (("--keep", "largest"), "kept: largest", None),
        (("--keep", "2"), "kept: one of the 2 largest", "kept: one of the 2 largest"),
        (("--background-people",), "kept: main subject", None),
        (("--max-area", "399"), "area above 399 px", "area above 399 px"),
        (("--max-area", "7%"), None, None),
        (("--min-area", "7%"), "area below 431 px", "area below 431 px"),
        (("--protect", "dog,autos"), None, "protected"),
        (("--only", "2"), "not among the given numbers", None),
        (("--region", "0,0,50%,100%"), None, "outside the region"),
        (("--region", "0,0,50%,100%", "--only", "1, 2"), None, "outside the region"),
    ],
)
def test_rules_are_handed_on_and_the_report_tells_why(cli, options, person, car):
    assert records(cli, *BOTH, *options) == {"person": person, "car": car}


@pytest.mark.parametrize(
    ("options", "car"),
    [
        (("--point", "15,25"), "not among the given numbers"),
        (("--point", "15,25", "--point", "60,30"), None),
        (("--box", "10,20,20,20", "--box", "48,18,24,24"), None),
        (("--point", "15,25", "--remove", "person,car"), "not among the given numbers"),
    ],
)
def test_points_and_boxes_choose_objects(cli, options, car):
    assert records(cli, *options) == {"person": None, "car": car}


def test_a_point_beside_every_object_is_an_error(cli):
    ran = cli("run", "in/a.png", "-o", "out", "--point", "90,60")
    assert ran.code == 1
    assert "(90, 60)" in ran.err
    assert not Path("out/a.png").exists()


def test_background_people_need_no_other_name(cli):
    assert records(cli, "--background-people") == {"person": "kept: main subject"}


def test_verbose_tells_why(cli):
    ran = cli("run", "in", "-o", "out", *BOTH, "--min-score", 0, "--keep", "largest", "-v")
    assert "  kept 1: person 0.91, box 10 20 30 40, 400 px (kept: largest)\n" in ran.out
    assert "removed 1 car (0.30), " in ran.out


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (("--keep", "best"), "--keep takes 'largest' or a number >= 1, got 'best'"),
        (("--keep", "0"), "--keep takes 'largest' or a number >= 1, got '0'"),
        (("--only", "1,x"), "--only takes object numbers >= 1, such as 1,3, got '1,x'"),
        (("--region", "1,2,3"), "--region takes left, top, width and height, .* got '1,2,3'"),
        (("--point", "1"), "--point takes 2 numbers .*, got '1'"),
        (("--box", "1,2,x,4"), "--box takes 4 numbers .*, got '1,2,x,4'"),
        (("--box", "1,2,0,4"), ".*box.*0.*"),
        (("--region", "1,2,x,4"), "region must be at least 0 px, .*, got x"),
        (("--max-area", "5%%"), "max_area must be at least 0 px, .*, got 5%%"),
        (("--min-area", "-1"), "min_area must be at least 0 px, .*, got -1"),
        (("--protect", "unicorn"), "unknown label 'unicorn'; known: .*"),
        (("--protect", "car,person"), "car, person: .*protected; .*"),
    ],
)
def test_wrong_rules_are_refused_before_anything_is_done(cli, options, error):
    ran = cli("run", "in", "-o", "out", *BOTH, *options)
    assert (ran.code, ran.out) == (2, "")
    assert re.fullmatch(rf"cleanplate: error: {error}\n", ran.err)
    assert not Path("out").exists()


def test_numbers_are_for_one_photo(cli, make_photo):
    make_photo("in/b.png")
    ran = cli("run", "in", "-o", "out", *BOTH, "--only", "1")
    assert ran.code == 2
    assert "--only takes " in ran.err


def test_own_masks_know_no_rules(cli):
    ran = cli("run", "in", "-o", "out", "--mask", "in", "--keep", 1, "--region", "0,0,9,9")
    assert ran.code == 2
    assert "--keep, --region and --mask exclude each other" in ran.err
