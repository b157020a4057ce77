"""Which photos of a tree are done, which names collide, and what arrives while watching."""

import contextlib
import functools
import os
import time
import unicodedata
from pathlib import Path

import pytest
from batch_running import run_plan
from PIL import Image

from cleanplate.batch import Job
from cleanplate.batch.planning import photo_list as twins
from cleanplate.batch.planning.discovery import PhotoFilter
from cleanplate.batch.planning.photo_list import RunPlan, plan_photos
from cleanplate.batch.planning.watching import watch_photos
from cleanplate.errors import InputError
from cleanplate.io import read_size
from cleanplate.options import RemovalOptions


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def names(*inputs, **selection):
    found = plan_photos(
        [Path(name) for name in inputs or ("in",)],
        Path("out"),
        recursive=True,
        photo_filter=PhotoFilter(**selection),
    )
    return [photo.relative.as_posix() for photo in found.photos]


TREE = ("in/a.jpg", "in/b.png", "in/raw/a.jpg", "in/raw/old/c.jpg", "in/web/d.jpg")


@pytest.mark.parametrize(
    ("include", "exclude", "taken"),
    [
        (["*.png"], [], ["b.png"]),
        (["a.*"], [], ["a.jpg", "raw/a.jpg"]),
        (["raw/*"], [], ["raw/a.jpg"]),
        (["raw/**"], [], ["raw/a.jpg", "raw/old/c.jpg"]),
        (["**/old/*", "*.png"], [], ["b.png", "raw/old/c.jpg"]),
        ([], ["raw"], ["a.jpg", "b.png", "web/d.jpg"]),
        ([], ["old", "web/"], ["a.jpg", "b.png", "raw/a.jpg"]),
        ([], ["raw/old", "*.png"], ["a.jpg", "raw/a.jpg", "web/d.jpg"]),
        (["*.jpg"], ["a.*"], ["raw/old/c.jpg", "web/d.jpg"]),
    ],
)
def test_globs_choose_photos(touch, include, exclude, taken):
    touch(*TREE)
    assert names(include=tuple(include), exclude=tuple(exclude)) == taken


def test_sizes_choose_by_the_long_side_and_what_has_none_stays():
    Path("in").mkdir()
    for name, size_wh in {"a": (100, 50), "b": (50, 200), "c": (300, 300)}.items():
        Image.new("RGB", size_wh).save(f"in/{name}.png")
    Path("in/d.png").write_text("no photo")
    assert names(min_size=101) == ["b.png", "c.png", "d.png"]
    assert names(max_size=200) == ["a.png", "b.png", "d.png"]
    assert names(min_size=200, max_size=200) == ["b.png", "d.png"]
    assert read_size(Path("in/b.png")) == (200, 50)


def test_what_is_left_out_is_said_and_leaving_out_all_is_refused(touch):
    touch("in/a.jpg", "in/b.jpg", "in/c.jpg")
    found = plan_photos([Path("in")], Path("out"), photo_filter=PhotoFilter(exclude=("a.*", "b.*")))
    assert found.notes == ("2 photos excluded by the options",)
    with pytest.raises(InputError, match=r"all 3 photos .*--include, --exclude"):
        names(include=("*.png",))
    with pytest.raises(InputError, match=r"--min-size 9 .*--max-size 8"):
        PhotoFilter(min_size=9, max_size=8)


def test_suffixes_side_by_side_are_two_photos(remover, make_photo):
    for name in ("a.jpg", "a.png", "a.webp"):
        make_photo(Path("in") / name, "person")
    list(
        run_plan(
            plan_photos([Path("in")], Path("out")),
            remover,
            Job(options=RemovalOptions(classes=("person",))),
        )
    )
    assert sorted(os.listdir("out")) == ["a.jpg", "a.png", "a.webp"]  # noqa: PTH208


@pytest.fixture
def case_counts(touch):
    touch("probe")
    if Path("PROBE").exists():
        pytest.skip("this disk ignores case")


@pytest.mark.usefixtures("case_counts")
def test_names_that_differ_in_case_are_both_done_and_said(remover, make_photo):
    make_photo(Path("in/a.jpg"), "person")
    make_photo(Path("in/A.JPG"), "person", "car")
    plan = plan_photos([Path("in")], Path("out"))
    assert plan.notes == (
        "out/A.JPG and out/a.jpg will be one file on disks that ignore upper and lower case or the "
        "Unicode form",
    )
    list(run_plan(plan, remover, Job(options=RemovalOptions(classes=("person",)))))
    assert sorted(os.listdir("out")) == ["A.JPG", "a.jpg"]  # noqa: PTH208


@pytest.mark.usefixtures("case_counts")
def test_names_that_differ_in_case_are_refused_where_the_disk_ignores_it(touch, monkeypatch):
    touch("in/a.jpg", "in/A.JPG")
    monkeypatch.setattr(twins, "_ignores_case", lambda _: True)
    records = (
        "A.JPG and a.jpg would be one file in out, whose disk does not distinguish them; rename"
    )
    with pytest.raises(InputError, match=records):
        plan_photos([Path("in")], Path("out"))


@pytest.mark.usefixtures("case_counts")
def test_many_of_them_are_counted(touch):
    touch(*(f"in/{name}" for n in range(9) for name in (f"p{n}.jpg", f"P{n}.jpg")))
    notes = plan_photos([Path("in")], Path("out")).notes
    assert len(notes) == 4
    assert notes[-1] == "and 6 more such pairs"


def test_both_forms_of_a_letter_are_two_photos(touch, monkeypatch):
    composed, taken_apart = (unicodedata.normalize(form, "in/ä.jpg") for form in ("NFC", "NFD"))
    touch(composed, taken_apart)
    if len(os.listdir("in")) == 1:  # noqa: PTH208
        pytest.skip("this disk takes them for one")
    found = plan_photos([Path("in")], Path("out"))
    assert len(found.photos) == 2
    assert "will be one file on disks that ignore" in found.notes[0]
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(InputError, match="would be one file in out"):
        plan_photos([Path("in")], Path("out"))


def test_the_longest_names_are_done(remover, make_photo):
    long = Path("in") / ("ä" * 125 + ".png")  # 254 bytes of at most 255
    make_photo(long, "person")
    [outcome] = run_plan(
        plan_photos([Path("in")], Path("out")),
        remover,
        Job(options=RemovalOptions(classes=("person",))),
    )
    assert outcome.status == "removed"
    assert os.listdir("out") == [long.name]  # noqa: PTH208


def test_a_mask_whose_name_would_be_too_long_is_a_failure_of_its_photo(remover, make_photo):
    make_photo(Path("in") / ("a" * 250 + ".png"), "person")
    make_photo(Path("in") / ("a" * 250 + ".jpg"), "person")
    plan = plan_photos([Path("in")], Path("out"), masks=Path("masks"))
    job = Job(options=RemovalOptions(classes=("person",)), masks=Path("masks"))
    assert ["too long" in (o.error or "") for o in run_plan(plan, remover, job)] == [True, True]


class TestWatching:
    def look(self, changes, rounds):
        """Return the names handed on by each look; `changes` are made before the n-th."""
        handed_on = []
        looks = iter(range(rounds))

        class Enough(Exception):  # noqa: N818
            pass

        def wait(_):
            handed_on.append([])
            if next(looks, None) is None:
                raise Enough
            changes.get(len(handed_on) - 1, lambda: None)()

        handed_on.append([])
        plan = functools.partial(plan_photos, [Path("in")], Path("out"), may_be_empty=True)
        with contextlib.suppress(Enough):
            for part in watch_photos(plan, wait=wait):
                handed_on[-1] += [photo.source.name for photo in part.photos]
        return handed_on

    def test_a_growing_file_is_taken_when_it_stands_still(self, touch):
        touch("in/notes.txt")

        def write(text):
            return lambda: Path("in/a.jpg").write_text(text)

        changes = {1: write("1"), 2: write("12"), 3: write("123")}
        assert self.look(changes, 6)[:6] == [[], [], [], [], ["a.jpg"], []]

    def test_old_files_are_taken_at_once_and_changed_ones_again(self, touch):
        touch("in/a.jpg", "in/b.jpg")
        long_ago = time.time() - 60
        os.utime("in/a.jpg", (long_ago, long_ago))
        os.utime("in/b.jpg", (long_ago, long_ago))
        changes = {2: lambda: Path("in/b.jpg").write_text("new")}
        assert self.look(changes, 5)[:5] == [["a.jpg", "b.jpg"], [], [], ["b.jpg"], []]

    def test_what_cannot_be_planned_is_left_for_later(self):
        waits = iter(range(3))
        looks = []

        def look():
            looks.append(1)
            return None if len(looks) < 3 else RunPlan(())

        def wait(_):
            if next(waits, None) is None:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            next(watch_photos(look, wait=wait))
        assert len(looks) == 4
