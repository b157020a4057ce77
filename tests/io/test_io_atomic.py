"""Files appear whole or not at all."""

import errno
import os
import stat
from pathlib import Path

import pytest

from cleanplate.errors import PhotoError
from cleanplate.io.storage import copy_photo, write_bytes_atomic


@pytest.fixture
def umask_027():
    before = os.umask(0o027)
    yield
    os.umask(before)


def test_writes_into_new_folders_and_replaces_what_was_there(tmp_path):
    target = tmp_path / "a" / "b" / "photo.jpg"
    write_bytes_atomic(target, b"first")
    write_bytes_atomic(target, b"second")
    assert target.read_bytes() == b"second"
    assert [path.name for path in target.parent.iterdir()] == ["photo.jpg"]


@pytest.mark.usefixtures("umask_027")
def test_new_files_honour_the_umask(tmp_path):
    write_bytes_atomic(tmp_path / "x.png", b"x")
    assert stat.S_IMODE((tmp_path / "x.png").stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "x.png: the disk is full; free some"),
        (OSError(errno.EDQUOT, "Quota"), "quota is exceeded; free some space"),
        (OSError(errno.EROFS, "Read-only"), "read-only; write to another folder"),
        (OSError(errno.EIO, "I/O error"), r"it cannot be written \(I/O error\); check the disk"),
    ],
)
def test_a_failed_write_keeps_the_old_file_and_leaves_no_temporary(
    tmp_path, monkeypatch, error, message
):
    target = tmp_path / "x.png"
    target.write_bytes(b"old")

    def fail(_descriptor):
        raise error

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(PhotoError, match=message):
        write_bytes_atomic(target, b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("x.png", b"old")]


def test_a_full_disk_while_writing(tmp_path, monkeypatch):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    real_open = Path.open

    def open_full(path, mode="r", *args):
        if mode == "xb":
            real_open(path, mode).close()  # the temporary file is made, then nothing fits in it
            return real_open(Path("/dev/full"), "wb", *args)
        return real_open(path, mode, *args)

    monkeypatch.setattr(Path, "open", open_full)
    with pytest.raises(PhotoError, match="the disk is full; free some space"):
        write_bytes_atomic(tmp_path / "x.png", bytes(1 << 20))
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_no_temporary(tmp_path, monkeypatch):
    def interrupt(_descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_bytes_atomic(tmp_path / "x.png", b"new")
    assert list(tmp_path.iterdir()) == []


def test_the_temporary_file_is_recognisable_and_hidden(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(os, "fsync", lambda _: seen.extend(p.name for p in tmp_path.iterdir()))
    write_bytes_atomic(tmp_path / "holiday.jpg", b"x")
    assert len(seen) == 1
    assert seen[0].startswith(".holiday.jpg.")
    assert seen[0].endswith(".cleanplate-tmp")


def test_long_but_legal_names_work_and_too_long_ones_say_so(tmp_path):
    write_bytes_atomic(tmp_path / ("ü" * 120 + ".jpg"), b"x")  # 244 bytes of 255
    with pytest.raises(PhotoError, match="too long; choose a shorter name"):
        write_bytes_atomic(tmp_path / ("n" * 300), b"x")


def test_a_folder_as_target_says_so(tmp_path):
    with pytest.raises(PhotoError, match=r"is a folder; .*path of a file"):
        write_bytes_atomic(tmp_path, b"x")


def test_a_file_in_the_place_of_a_folder_says_so(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(PhotoError, match="is a file, not a folder"):
        write_bytes_atomic(tmp_path / "file" / "x.png", b"x")


def test_no_permission_says_so(tmp_path, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # root may write everywhere
    with pytest.raises(PhotoError, match="permission denied; write to another folder"):
        write_bytes_atomic(tmp_path / "x.png", b"x")


def test_copies_bytes_and_time(tmp_path):
    source, target = tmp_path / "in.jpg", tmp_path / "out" / "in.jpg"
    source.write_bytes(os.urandom(3000))
    os.utime(source, ns=(10**18, 10**18 + 123_000))
    copy_photo(source, target)
    assert target.read_bytes() == source.read_bytes()
    assert target.stat().st_mtime_ns == source.stat().st_mtime_ns


def test_copying_a_file_onto_itself_does_nothing(tmp_path):
    source = tmp_path / "in.jpg"
    source.write_bytes(b"photo")
    link = tmp_path / "link.jpg"
    link.symlink_to(source)
    copy_photo(source, link)
    assert link.is_symlink()
    assert source.read_bytes() == b"photo"


def test_copying_a_missing_file_names_the_source(tmp_path):
    with pytest.raises(PhotoError, match=r"gone\.jpg: no such file; check the name"):
        copy_photo(tmp_path / "gone.jpg", tmp_path / "out.jpg")
    assert list(tmp_path.iterdir()) == []
