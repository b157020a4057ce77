"""Links that take no room, and what killed processes leave."""

import os
from pathlib import Path

import pytest

from cleanplate.errors import PhotoError
from cleanplate.io import storage
from cleanplate.io.storage import link_photo, remove_leftovers


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.jpg").write_text("photo")


def refuse(*_):
    raise OSError(95, "not here")


def test_a_link_has_the_content_and_replaces_what_was_there():
    Path("out").mkdir()
    Path("out/a.jpg").write_text("old")
    link_photo(Path("a.jpg"), Path("out/a.jpg"))
    assert Path("out/a.jpg").read_text() == "photo"
    assert os.listdir("out") == ["a.jpg"]  # noqa: PTH208
    assert Path("a.jpg").read_text() == "photo"


def test_a_hard_link_is_said_with_what_it_means(monkeypatch):
    monkeypatch.setattr(storage, "_reflink", refuse)
    [note] = link_photo(Path("a.jpg"), Path("out/a.jpg"))
    assert note.endswith("a.jpg: editing one of them in place edits both")
    assert Path("out/a.jpg").samefile("a.jpg")
    assert link_photo(Path("a.jpg"), Path("out/a.jpg")) == ()  # it is one already


def test_a_link_to_a_link_is_one_to_the_photo(monkeypatch):
    monkeypatch.setattr(storage, "_reflink", refuse)
    Path("b.jpg").symlink_to("a.jpg")
    link_photo(Path("b.jpg"), Path("out/b.jpg"))
    assert not Path("out/b.jpg").is_symlink()
    assert Path("out/b.jpg").samefile("a.jpg")


def test_where_nothing_can_be_linked_it_is_copied_and_said(monkeypatch):
    monkeypatch.setattr(storage, "_reflink", refuse)
    monkeypatch.setattr(storage, "_hard_link", refuse)
    [note] = link_photo(Path("a.jpg"), Path("out/a.jpg"))
    assert "could not be linked" in note
    assert Path("out/a.jpg").read_text() == "photo"
    assert not Path("out/a.jpg").samefile("a.jpg")


def test_a_photo_that_is_gone_is_an_error():
    with pytest.raises(PhotoError, match=r"none\.jpg: no such file"):
        link_photo(Path("none.jpg"), Path("out/a.jpg"))


def test_only_leftovers_are_removed():
    ours = [".a.jpg.0123abcd.cleanplate-tmp", ".\n.89abcdef.cleanplate-tmp"]
    others = ["a.cleanplate-tmp", ".a.jpg.cleanplate-tmp", ".a.0123abcg.cleanplate-tmp"]
    for name in (*ours, *others):
        Path(name).touch()
    assert remove_leftovers(Path(), older_than_s=60) == 0
    assert remove_leftovers(Path()) == 2
    assert sorted(os.listdir()) == sorted([*others, "a.jpg"])  # noqa: PTH208
    assert remove_leftovers(Path("none")) == 0
