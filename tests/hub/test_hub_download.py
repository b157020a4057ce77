"""Fetching from a real HTTP server on this machine: failures are reported and leave nothing."""

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cleanplate.errors import ChecksumError, WeightsError
from cleanplate.hub import download
from cleanplate.hub.download import check_file, fetch_file
from cleanplate.hub.install import pull_model
from cleanplate.hub.registry.entry import ModelFile
from cleanplate.hub.store import read_file

CONTENT = bytes(range(256)) * 4096  # 1 MiB: several pieces
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Answers by the first part of the path; as a proxy, to any address."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        match self.path.removeprefix("http://publisher.invalid").split("/")[1]:
            case "good" | "flat" | "wrong" | "short" as way:
                end = {"wrong": b"?", "short": b""}.get(way, CONTENT[-1:])
                self.answer(CONTENT[:-1] + end)
            case "cut":
                self.answer(CONTENT[: len(CONTENT) // 2], records=len(CONTENT))
            case "cut-once":
                first = self.server.asked.count(self.path) == 1
                self.answer(CONTENT[:1000] if first else CONTENT, records=len(CONTENT))
            case "cut-at-the-end":
                self.answer_all(self.headers.get("Range"))
            case "cut-and-resumed":
                self.answer_range(self.headers.get("Range"))
            case "slow":
                self.answer(CONTENT[: len(CONTENT) // 2], records=len(CONTENT))
                self.wfile.flush()
                time.sleep(0.2)
                self.wfile.write(CONTENT[len(CONTENT) // 2 :])
            case "moved":
                self.send_response(302)
                self.send_header("Location", "/good/abc.onnx")
                self.end_headers()
            case "silent":
                self.send_response(200)  # no length stated
                self.end_headers()
                self.wfile.write(CONTENT)
            case "broken":
                self.send_error(503, "Service Unavailable")
            case _:
                self.send_error(404, "Not Found")

    def answer_range(self, asked: str | None) -> None:
        """Go on where asked to, and cut the connection after a quarter."""
        begin = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        piece = CONTENT[begin : begin + len(CONTENT) // 4]
        self.answer(piece, records=len(CONTENT) - begin, status=206 if asked else 200)

    def answer_all(self, asked: str | None) -> None:
        """Cut the connection after all of it, and refuse what lies beyond."""
        if asked:
            self.send_error(416, "Range Not Satisfiable")
        else:
            self.answer(CONTENT, records=len(CONTENT) + 1)

    def answer(self, content: bytes, *, records: int | None = None, status: int = 200) -> None:
        self.server.sent += len(content)
        self.send_response(status)
        self.send_header("Content-Length", str(records or len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.asked, running.sent = [], 0
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def address(server, home) -> str:
    server.asked.clear()
    server.sent = 0
    return f"http://127.0.0.1:{server.server_port}"


@pytest.fixture
def folder(tmp_path) -> Path:
    path = tmp_path / "incoming"
    path.mkdir()
    return path


def file_at(url: str) -> ModelFile:
    return ModelFile(
        role="fill", filename="abc.onnx", url=url, sha256=SHA256, size_bytes=len(CONTENT)
    )


@pytest.mark.parametrize("way", ["good", "moved", "silent", "slow", "cut-once", "cut-at-the-end"])
def test_what_comes_is_the_file(address, folder, way):
    path = fetch_file(file_at(f"{address}/{way}/abc.onnx"), folder)
    assert path == folder / "abc.onnx"
    assert path.read_bytes() == CONTENT


def test_what_was_cut_is_resumed_where_it_ended(server, address, folder):
    records: list[int] = []
    file = file_at(f"{address}/cut-and-resumed/abc.onnx")
    fetch_file(file, folder, progress=lambda _, size, total: records.append((size, total)))
    assert (folder / "abc.onnx").read_bytes() == CONTENT
    assert server.asked == ["/cut-and-resumed/abc.onnx"] * 4
    assert server.sent == len(CONTENT), "a byte was sent twice"
    assert records == sorted(records)
    assert records[-1] == (len(CONTENT), len(CONTENT))


def test_two_that_pull_at_once_both_get_it(address, make_model, registered):
    file = file_at(f"{address}/slow/abc.onnx")
    model = registered(make_model(files=(file,)))
    with ThreadPoolExecutor(2) as pool:
        for manifest in pool.map(pull_model, ["abc.test"] * 2):
            assert manifest.files["fill"].sha256 == SHA256
    assert read_file(model, "fill") == CONTENT


def test_progress_is_reported_up_to_the_end(address, folder):
    records: list[tuple[str, int, int]] = []
    fetch_file(
        file_at(f"{address}/good/abc.onnx"), folder, progress=lambda *now: records.append(now)
    )
    assert {name for name, _, _ in records} == {"abc.onnx"}
    assert {total for _, _, total in records} == {len(CONTENT)}
    come = [size for _, size, _ in records]
    assert come == sorted(come)
    assert len(set(come)) > 2
    assert come[-1] == len(CONTENT)


@pytest.mark.parametrize(
    ("way", "error", "match"),
    [
        ("wrong", ChecksumError, r"/wrong/abc\.onnx: SHA-256 \w{64}, expected \w{64}; .*--from"),
        ("short", ChecksumError, r"1,048,575 bytes, expected 1,048,576; it is truncated"),
        ("cut", WeightsError, "/cut/abc.onnx: the connection was cut; check the network"),
        ("gone", WeightsError, "the server returned 404 Not Found; .*--from or CLEANPLATE_MIRROR"),
        ("broken", WeightsError, "the server returned 503 Service Unavailable"),
    ],
)
def test_anything_else_is_an_error_and_leaves_nothing(address, folder, way, error, match):
    with pytest.raises(error, match=match):
        fetch_file(file_at(f"{address}/{way}/abc.onnx"), folder)
    assert list(folder.iterdir()) == []


def test_an_answer_is_not_asked_for_again_a_cut_is(server, address, folder):
    for way in ("gone", "cut"):
        with pytest.raises(WeightsError):
            fetch_file(file_at(f"{address}/{way}/abc.onnx"), folder)
    assert server.asked.count("/gone/abc.onnx") == 1
    assert server.asked.count("/cut/abc.onnx") == 3


def test_a_server_that_is_not_there_is_an_error(address, folder):
    with pytest.raises(WeightsError, match=r"127\.0\.0\.1:9/abc.*check the network"):
        fetch_file(file_at("http://127.0.0.1:9/abc.onnx"), folder)
    assert list(folder.iterdir()) == []


# --- elsewhere than from the publisher


def test_a_mirror_is_asked_instead_of_the_publisher(server, address, folder, monkeypatch):
    file = file_at("https://publisher.invalid/1.0/abc.onnx")
    fetch_file(file, folder, mirror=f"{address}/flat/").unlink()
    monkeypatch.setenv("CLEANPLATE_MIRROR", f"{address}/flat")
    fetch_file(file, folder)
    assert server.asked == ["/flat/abc.onnx"] * 2


def test_a_folder_serves_as_mirror_also_offline(address, folder, tmp_path, monkeypatch):
    file = file_at("https://publisher.invalid/1.0/abc.onnx")
    (tmp_path / "abc.onnx").write_bytes(CONTENT)
    monkeypatch.setenv("CLEANPLATE_OFFLINE", "1")
    monkeypatch.setenv("CLEANPLATE_MIRROR", str(tmp_path))
    assert fetch_file(file, folder).read_bytes() == CONTENT
    (tmp_path / "abc.onnx").write_bytes(CONTENT[1:])
    with pytest.raises(ChecksumError, match=f"^{tmp_path}/abc.onnx: 1,048,575 bytes"):
        fetch_file(file, folder)
    assert list(folder.iterdir()) == []
    assert (tmp_path / "abc.onnx").read_bytes() == CONTENT[1:]


def test_a_folder_without_the_file_is_an_error(home, folder, tmp_path):
    match = r"nowhere/abc\.onnx: no such file"
    with pytest.raises(WeightsError, match=match):
        fetch_file(file_at("https://publisher.invalid/x"), folder, mirror=str(tmp_path / "nowhere"))


def test_offline_nothing_is_asked(server, address, folder, monkeypatch):
    monkeypatch.setenv("CLEANPLATE_OFFLINE", "1")
    with pytest.raises(WeightsError, match=r"abc\.onnx .*CLEANPLATE_OFFLINE"):
        fetch_file(file_at(f"{address}/good/abc.onnx"), folder)
    assert server.asked == []
    monkeypatch.setenv("CLEANPLATE_OFFLINE", "0")
    fetch_file(file_at(f"{address}/good/abc.onnx"), folder)


def test_a_proxy_is_used(server, address, folder, monkeypatch):
    monkeypatch.setenv("http_proxy", address)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    fetch_file(file_at("http://publisher.invalid/good/abc.onnx"), folder)
    assert server.asked == ["http://publisher.invalid/good/abc.onnx"]


def test_a_proxy_that_is_not_there_is_an_error(address, folder, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(WeightsError, match="the proxy cannot be used"):
        fetch_file(file_at("http://publisher.invalid/good/abc.onnx"), folder)


# --- checksums


@pytest.mark.parametrize(
    "stated",
    [
        None,
        f"sha256:{SHA256}",
        f"md5:{hashlib.md5(CONTENT).hexdigest()}",
    ],
)
def test_every_kind_of_checksum_is_checked(tmp_path, checkpoint, stated):
    file = replace(checkpoint, checksum=stated, size_bytes=None)
    path = tmp_path / "x.pth"
    path.write_bytes(CONTENT)
    check_file(path, file)
    path.write_bytes(CONTENT[1:])
    if stated is None:
        check_file(path, file)
        return
    with pytest.raises(ChecksumError, match="it is another file or was changed"):
        check_file(path, file)


def test_a_file_that_is_not_there_cannot_be_checked(tmp_path, checkpoint):
    with pytest.raises(WeightsError, match=r"x\.pth: cannot be read \(No such file"):
        check_file(tmp_path / "x.pth", checkpoint)


# --- full disk


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """Mount a disk of 256 KiB; where that is not allowed, skip."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    allowed = sys.platform == "linux" and os.geteuid() == 0
    if not allowed or subprocess.run(command, check=False).returncode:
        pytest.skip("only root may mount a disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_reported_and_left_as_it_was(address, small_disk):
    with pytest.raises(WeightsError, match=r"disk is full; .*CLEANPLATE_HOME"):
        fetch_file(file_at(f"{address}/good/abc.onnx"), small_disk)
    assert list(small_disk.iterdir()) == []


def test_a_disk_that_refuses_is_reported(address, folder, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(WeightsError, match=r"cannot be written \(Permission denied\)"):
        fetch_file(file_at(f"{address}/good/abc.onnx"), folder)


def test_nothing_is_tried_longer_than_a_minute_without_a_byte():
    assert max(download._TIMEOUT_S) <= 60


def test_a_copy_for_which_the_disk_has_no_room_says_what_to_do(tmp_path, folder, monkeypatch):
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror/abc.onnx").write_bytes(CONTENT)

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", refuse)
    with pytest.raises(WeightsError, match=r"abc\.onnx: the disk is full; free some space"):
        fetch_file(file_at("http://publisher.invalid"), folder, mirror=str(tmp_path / "mirror"))
    assert list(folder.iterdir()) == []
