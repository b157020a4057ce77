"""`cleanplate edit`: one photo, in place or to another file."""

import stat
import sys
import threading
import time
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from PIL import Image

from cleanplate.cli import edit_main
from cleanplate.cli.commands import edit
from tiff_builders import dng

pytestmark = pytest.mark.usefixtures("without_networks")
PERSON = ("--remove", "person", "--effects", "off")


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def contents():
    return {path: path.read_bytes() for path in Path().iterdir() if path.is_file()}


def pixels(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_to_another_file(cli, make_photo):
    before = make_photo("a.png", "person").read_bytes()

    called = cli("edit", "a.png", "-o", "new/b.png", *PERSON)

    assert called.code == 0
    assert Path("a.png").read_bytes() == before
    assert (pixels("new/b.png")[25:35, 15:25] == 128).all()
    assert [path.name for path in Path("new").iterdir()] == ["b.png"]  # no journal


def test_in_place_a_16_bit_tiff_keeps_its_other_samples_and_its_mode(cli, make_photo):
    eight = pixels(make_photo("a.png", "person")).astype(np.uint16)
    deep = eight * 257 - (np.arange(96, dtype=np.uint16) % 7)[None, :, None]
    cv2.imwrite("a.tif", deep)
    Path("a.tif").chmod(0o640)
    Path("link.tif").symlink_to("a.tif")

    assert cli("edit", "link.tif", "--in-place", *PERSON).code == 0

    after = pixels("a.tif")
    changed = (after != deep).any(axis=2)
    assert after.dtype == np.uint16
    assert changed[25:35, 15:25].all()
    assert not changed[:, 60:].any()
    assert stat.S_IMODE(Path("a.tif").stat().st_mode) == 0o640
    assert Path("link.tif").is_symlink()


def test_where_nothing_is_found_the_photo_stays_and_the_output_is_a_copy(cli, make_photo):
    photo = make_photo("a.jpg")
    before, written = photo.read_bytes(), photo.stat().st_mtime_ns

    assert cli("edit", "a.jpg", "--in-place", *PERSON).code == 0
    assert cli("edit", "a.jpg", "-o", "b.jpg", *PERSON).code == 0

    assert (photo.read_bytes(), photo.stat().st_mtime_ns) == (before, written)
    assert Path("b.jpg").read_bytes() == before


def test_a_mask_of_ones_own(cli, make_photo):
    make_photo("a.png", "person")
    mask = Image.new("L", (96, 64))
    mask.paste(255, (60, 5, 80, 15))
    mask.save("mask.png")

    assert cli("edit", "a.png", "-o", "b.png", "--mask", "mask.png", "--effects", "off").code == 0

    changed = (pixels("a.png") != pixels("b.png")).any(axis=2)
    assert changed[5:15, 60:80].all()
    assert changed.sum() == 200


def test_beside_the_photo_under_a_free_name(cli, make_photo):
    make_photo("a.b.png", "person")
    for _ in range(3):
        assert cli("edit", "a.b.png", "--beside", *PERSON).code == 0
    names = ["a.b-clean-2.png", "a.b-clean-3.png", "a.b-clean.png", "a.b.png"]
    assert sorted(path.name for path in Path().iterdir()) == names


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_name_that_another_process_takes_meanwhile_stays_its(
    cli, make_photo, monkeypatch, is_whole
):
    whole = make_photo("a.png", "person").read_bytes()
    Path("a.png").write_bytes(whole if is_whole else whole[:-30])
    load = edit.load_remover

    def load_slowly(*arguments):
        Path("a-clean.png").write_bytes(b"theirs")
        return load(*arguments)

    monkeypatch.setattr(edit, "load_remover", load_slowly)
    assert cli("edit", "a.png", "--beside", *PERSON).code == (0 if is_whole else 1)
    assert Path("a-clean.png").read_bytes() == b"theirs"
    assert Path("a-clean-2.png").exists() == is_whole


def test_wrong_use_touches_nothing(cli, make_photo):
    make_photo("a.png", "person")
    make_photo("there.png")
    Path("folder").mkdir()
    raw = dng(np.full((16, 16, 3), 200, np.uint8))
    for name in ("a.dng", "raw.tif"):
        Path(name).write_bytes(raw)
    before = contents()

    for words, advice in (
        (["a.png", *PERSON], "--in-place"),
        (["a.png", "-o", "b.png", "--in-place", *PERSON], "--in-place"),
        (["a.png", "-o", "b.png"], "--remove"),
        (["a.png", "-o", "a.png", *PERSON], "--in-place"),
        (["a.png", "-o", "there.png", *PERSON], "--overwrite"),
        (["a.png", "-o", "b.jpg", *PERSON], ".png"),
        (["a.png", "-o", "folder", *PERSON], "file"),
        (["folder", "-o", "b.png", *PERSON], "run"),
        (["a.png", "-o", "b.png", "--mask", "folder"], "mask"),
        (["a.png", "-o", "there.png", "--overwrite", "--mask", "there.png"], "mask"),
        (["a.dng", "--in-place", *PERSON], "--output"),
        (["raw.tif", "--in-place", *PERSON], "--output"),
    ):
        called = cli("edit", *words)

        assert called.code == 2, words
        assert advice in called.err, words
        assert contents() == before, words


def test_a_failure_leaves_the_photo(cli, make_photo):
    whole = make_photo("a.png", "person").read_bytes()
    Path("a.png").write_bytes(whole[:-30])
    called = cli("edit", "a.png", "--in-place", *PERSON)
    assert called.code == 1
    assert "a.png" in called.err
    assert Path("a.png").read_bytes() == whole[:-30]


def test_an_untouched_raw_is_written_as_its_name_says(cli):
    pytest.importorskip("rawpy", reason="the extra `raw` is not installed")
    Path("a.dng").write_bytes(dng(np.full((64, 96, 3), 200, np.uint8)))
    assert cli("edit", "a.dng", "-o", "a.tif", *PERSON).code == 0
    assert pixels("a.tif").shape == (64, 96, 3)
    assert cli("edit", "a.dng", "-o", "copy.dng", *PERSON).code == 0
    assert cli("edit", "a.dng", "--beside", *PERSON).code == 0
    assert pixels("a-clean.tif").shape == (64, 96, 3)
    assert Path("copy.dng").read_bytes() == Path("a.dng").read_bytes()


class Person:
    """Does on the page what a person would; `announce` calls it."""

    def __init__(self, *steps):
        self.steps, self.thread, self.session = steps, None, None

    def __call__(self, address):
        self.thread = threading.Thread(target=self._edit, args=(address,))
        self.thread.start()

    def _edit(self, address):
        place, _, hash = address.partition("#session=")
        origin = place.partition("/?")[0]
        with httpx.Client(base_url=origin, timeout=20, trust_env=False, verify=False) as page:
            while True:  # until it answers
                try:
                    page.get(place)
                    break
                except httpx.ConnectError:
                    time.sleep(0.02)
            session = f"/v1/sessions/{hash}"
            self.session = page.get(session).json()
            for step in self.steps:
                step(page, session)


def find_and_fill(page, session):
    page.post(f"{session}/find", json={"labels": ["person"]})
    assert page.post(f"{session}/fill", json={}).json()["n"] == 1


def accept(page, session):
    assert page.post(f"{session}/accept", json={"n": 1}).status_code == 200


def accept_while_listening(page, session):
    with page.stream("GET", f"{session}/events") as events:
        accept(page, session)
        start = time.monotonic()
        for _ in events.iter_raw():
            pass
    assert time.monotonic() - start < 2  # uvicorn would cancel what goes on for 3 s


def cancel(page, session):
    assert page.post(f"{session}/cancel").status_code == 204


def close(page, session):
    with page.stream("GET", f"{session}/events"):
        time.sleep(0.3)


@pytest.fixture
def on_page(monkeypatch):
    """Return a function that lets a person do steps on the page instead of opening a browser."""
    server = pytest.importorskip("cleanplate.server")
    real = server.edit_photo

    def make(*steps):
        person = Person(*steps)

        def edit_photo(*args, announce):
            options = {"browser": False, "closed_after_s": 0.4}
            try:
                return real(*args, announce=person, **options)
            finally:
                person.thread.join(20)
                assert not person.thread.is_alive()

        monkeypatch.setattr(server, "edit_photo", edit_photo)
        return person

    return make


@pytest.mark.slow
class TestOnThePage:
    def test_accepted(self, cli, make_photo, on_page):
        person = on_page(find_and_fill, accept_while_listening)
        make_photo("a.jpg", "person").chmod(0o640)
        before = pixels("a.jpg")
        called = cli("edit", "a.jpg", "--in-place", "--gui")
        assert called.code == 0, called.err
        assert person.session["cancels"]
        changed = (pixels("a.jpg") != before).any(axis=2)
        assert changed[25:35, 15:25].all()
        assert not changed[:, 70:].any()
        assert stat.S_IMODE(Path("a.jpg").stat().st_mode) == 0o640

    def test_a_program_for_editors_that_pass_only_files(self, make_photo, on_page, monkeypatch):
        on_page(find_and_fill, accept)
        before = [make_photo(name, "person").read_bytes() for name in ("a.png", "-b.png")]
        monkeypatch.setattr(sys, "argv", ["cleanplate-edit", "a.png", "-b.png"])
        assert edit_main() == 0
        assert Path("a.png").read_bytes() == Path("-b.png").read_bytes() != before[0]
        monkeypatch.setattr(sys, "argv", ["cleanplate-edit"])
        assert edit_main() == 2

    @pytest.mark.parametrize("last", [cancel, close])
    def test_cancelled_or_closed(self, cli, make_photo, on_page, last):
        on_page(find_and_fill, last)
        before = make_photo("a.png", "person").read_bytes()
        called = cli("edit", "a.png", "-o", "b.png", "--gui")
        assert called.code == 130
        assert "cancelled" in called.err
        assert not Path("b.png").exists()
        assert Path("a.png").read_bytes() == before


@pytest.mark.parametrize(
    "more", [PERSON[:2], ["--mask", "a.png"], ["--keep", "largest"], ["--effects", "off"]]
)
def test_the_page_says_what_goes(cli, make_photo, more):
    make_photo("a.png")
    called = cli("edit", "a.png", "--beside", "--gui", *more)
    assert called.code == 2
    assert "--gui" in called.err
    assert more[0] in called.err
