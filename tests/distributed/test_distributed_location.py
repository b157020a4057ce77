"""Location: what URLs mean, what lies inside what, and writing that is whole or not at all."""

import pickle

import pytest

from cleanplate.distributed.location import Location, is_valid_key
from cleanplate.errors import InputError, PhotoError


def test_a_place_keeps_its_url_without_options_and_its_bucket():
    place = Location("s3://photos/in/2024/?endpoint_override=127.0.0.1:1&scheme=http")
    assert (place.scheme, place.root, place.is_local) == ("s3", "photos/in/2024", False)
    assert place.shown == "s3://photos/in/2024"
    assert place.url_of("a/b.jpg") == "s3://photos/in/2024/a/b.jpg"


def test_a_relative_path_means_the_same_on_every_machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sent = pickle.dumps(Location("in"))
    monkeypatch.chdir("/")
    place = pickle.loads(sent)
    assert (place.root, place.shown) == (str(tmp_path / "in"), "in")


def test_keys_in_urls_and_urls_without_bucket_are_refused():
    with pytest.raises(InputError, match=r"a key in a URL.*AWS_ACCESS_KEY_ID") as refused:
        Location("s3://id:secret@bucket/in")
    assert "secret" not in str(refused.value)
    with pytest.raises(InputError, match="lacks a bucket"):
        Location("s3:///in")


@pytest.mark.parametrize(
    ("inner", "outer", "expected"),
    [
        ("s3://b/in", "s3://b/in", ""),
        ("s3://b/in/", "s3://b/in?region=x", ""),
        ("s3://b/in/out", "s3://b/in", "out"),
        ("s3://b/input", "s3://b/in", None),
        ("s3://b/in", "gs://b/in", None),
        ("s3://other/in", "s3://b/in", None),
    ],
)
def test_what_lies_inside_what(inner, outer, expected):
    assert Location(inner).below(Location(outer)) == expected


def test_links_do_not_hide_that_a_folder_lies_inside(tmp_path):
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "in")
    assert Location(f"{tmp_path}/link/sub").below(Location(f"{tmp_path}/in")) == "sub"


def test_a_disk_is_listed_with_sub_folders_and_links_to_folders_are_not_followed(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c.jpg").write_bytes(b"123")
    (tmp_path / "d.jpg").write_bytes(b"1")
    (tmp_path / "loop").symlink_to(tmp_path)
    found = {it.relative: it.size for it in Location(str(tmp_path)).list()}
    assert found == {"a/b/c.jpg": 3, "d.jpg": 1}
    assert list(Location(str(tmp_path / "none")).list()) == []


def test_a_link_cannot_lead_an_output_out_of_its_folder(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(b"the only copy")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sub").symlink_to(tmp_path / "in")
    with pytest.raises(PhotoError, match="a link leads out of"):
        Location(str(tmp_path / "out")).write("sub/a.jpg", b"")
    assert (tmp_path / "in" / "a.jpg").read_bytes() == b"the only copy"


def test_leftovers_of_one_file_go_and_those_of_others_stay(tmp_path):
    place = Location(str(tmp_path))
    mine, others = ".a.jpg.0123abcd.cleanplate-tmp", ".b.jpg.0123abcd.cleanplate-tmp"
    for name in (mine, others, "a.jpg"):
        (tmp_path / name).write_bytes(b"")
    place.remove_leftovers("a.jpg")
    assert {path.name for path in tmp_path.iterdir()} == {others, "a.jpg"}


def test_other_stores_are_opened_by_fsspec():
    pytest.importorskip("pyarrow")
    pytest.importorskip("fsspec")
    place = Location("memory://shelf/out")
    place.write("a/b.bin", b"content")
    assert place.read("a/b.bin") == b"content"
    assert [it.relative for it in place.list()] == ["a/b.bin"]
    assert place.stat("a/b.bin").size == 7
    assert place.stat("a/c.bin") is None
    with pytest.raises(InputError, match="fsspec cannot open it"):
        Location("nosuch://bucket/x").stat("a")


@pytest.mark.parametrize(
    "relative", ["../a.jpg", "a/../../b.jpg", "a//b.jpg", "./a.jpg", "a\0.jpg"]
)
def test_keys_that_are_no_paths_are_told_from_those_that_are(relative):
    assert not is_valid_key(relative)
    assert is_valid_key("a/b..c/.d e.jpg")


def test_a_place_that_is_not_there_is_reported(tmp_path):
    with pytest.raises(InputError, match="no such folder, or it is empty"):
        Location(str(tmp_path / "none")).check_exists()
