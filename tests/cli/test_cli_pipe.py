"""One photo through pipes, and photos that arrive while the command runs."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cleanplate.cli import main

COMMAND = (sys.executable, "-m", "cleanplate", "run")
needs_sh = pytest.mark.skipif(not Path("/bin/sh").exists(), reason="closes streams by the shell")
TELEA = ("--mask", "mask.png", "--inpainter", "telea")


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch, make_photo):
    monkeypatch.chdir(tmp_path)
    make_photo("in/a.png", "person")
    mask = np.zeros((64, 96), np.uint8)
    mask[18:42, 8:32] = 255
    Image.fromarray(mask).save("mask.png")
    Image.new("L", (96, 64)).save("empty.png")


def call(*words, given=b"", **options):
    done = subprocess.run(
        [*COMMAND, *words], input=given, capture_output=True, timeout=60, check=False, **options
    )
    return done.returncode, done.stdout, done.stderr.decode()


@pytest.fixture
def piped(monkeypatch, capsysbinary):
    """Return what pipes a photo through the command in this process."""

    def run(content, *words):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
        code = main(["run", "-", *words])
        said = capsysbinary.readouterr()
        return code, said.out, said.err.decode()

    return run


@pytest.mark.slow
def test_the_photo_comes_back_as_a_run_would_write_it():
    assert call("in", "-o", "out", *TELEA)[0] == 0
    code, out, err = call("-", *TELEA, given=Path("in/a.png").read_bytes())
    assert (code, out) == (0, Path("out/a.png").read_bytes())
    assert err.startswith("standard input: filled the mask, ")


def test_quiet_says_nothing(piped):
    code, out, err = piped(Path("in/a.png").read_bytes(), "-o", "-", "-q", *TELEA)
    assert (code, err) == (0, "")
    assert out.startswith(b"\x89PNG")


def test_notes_of_encoding_go_to_standard_error(piped, monkeypatch):
    from cleanplate.io.formats.jpeg import JpegContainer

    monkeypatch.setattr(JpegContainer, "_is_unchanged", lambda *_: False)  # as if damaged
    stream = io.BytesIO()
    Image.open("in/a.png").save(stream, "JPEG")
    code, out, err = piped(stream.getvalue(), *TELEA)
    assert (code, out[:2]) == (0, b"\xff\xd8")
    assert "\n  note: its image data are damaged" in err


def test_the_very_same_bytes_come_back_if_there_is_nothing_to_do(piped):
    photo = Path("in/a.png").read_bytes()
    code, out, err = piped(photo, "--mask", "empty.png", "--inpainter", "telea")
    assert (code, out) == (0, photo)
    assert err == "standard input: the mask is empty, copied\n"


def test_a_dry_run_and_a_report_write_no_photo_to_the_pipe(piped):
    photo = Path("in/a.png").read_bytes()
    code, out, err = piped(photo, *TELEA, "--dry-run", "--report", "r.jsonl")
    assert (code, out, err) == (0, b"", "standard input: would fill the mask\n")
    assert '"status": "would-remove"' in Path("r.jsonl").read_text()


@pytest.mark.parametrize("content", [b"no photo", b"", b"\x89PNG\r\n\x1a\n cut off"])
def test_a_failure_writes_nothing_and_is_exit_1(piped, content):
    code, out, err = piped(content, *TELEA)
    assert (code, out) == (1, b"")
    assert err.startswith("cleanplate: error: standard input: ")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-", "in"], "- takes one photo from standard input; omit the other inputs"),
        (["-", "-o", "out"], "--output out: with - the result goes to standard output; omit"),
        (["-", "--watch"], "--watch and - exclude each other; name files or folders"),
        (["-", "--masks", "m", "-r"], "--masks, -r and - exclude each other"),
        (["-", "--mask", "in"], "in: is a folder; with - --mask takes one file"),
        (["-", "--untouched", "skip"], "--untouched skip and - exclude each other"),
        (["-", "--report", "mask.png"], "mask.png: the report would replace a photo or mask"),
    ],
)
def test_what_makes_no_sense_with_one_photo_is_refused(cli, words, message):
    ran = cli("run", *words, *(() if "--mask" in words else TELEA))
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err


@pytest.mark.slow
@pytest.mark.parametrize("end", ["stdin", "stdout"])
def test_a_terminal_is_no_place_for_a_photo(end):
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, end: theirs}
    done = subprocess.run(
        [*COMMAND, "-", *TELEA], stderr=subprocess.PIPE, timeout=60, check=False, **options
    )
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 2
    assert b" is a terminal; write " in done.stderr


def call_closing(streams, *words):
    script = f'"$@" {streams}'
    done = subprocess.run(
        ["/bin/sh", "-c", script, "sh", *COMMAND, *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr.decode()


@needs_sh
@pytest.mark.parametrize(("closed", "name"), [("<&-", "input"), (">&-", "output")])
@pytest.mark.slow
def test_a_closed_pipe_is_named(closed, name):
    code, err = call_closing(closed, "-", *TELEA)
    assert (code, err) == (
        2,
        f"cleanplate: error: standard {name} is closed; open it, or name files\n",
    )


@needs_sh
@pytest.mark.slow
def test_a_run_and_its_workers_need_no_stream(make_photo):
    make_photo("in/b.png", "person")
    code, _ = call_closing("<&- >&- 2>&-", "in", "-o", "out", *TELEA, "--workers", "2")
    assert code == 0
    assert sorted(path.name for path in Path("out").glob("*.png")) == ["a.png", "b.png"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it")
@pytest.mark.parametrize("given", ["-", pytest.param("in", marks=pytest.mark.slow)])
@pytest.mark.slow
def test_an_output_that_takes_nothing_is_named(given, monkeypatch):
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # without it, Python writes again at exit
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*COMMAND, given, *TELEA, *(() if given == "-" else ("-o", "out"))],
            input=Path("in/a.png").read_bytes(),
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.endswith(b"cleanplate: error: standard output: No space left on device\n")


def read_until(stream, word):
    for line in iter(stream.readline, b""):
        if word in line:
            return
    raise AssertionError(f"the process never said {word!r}")


@pytest.mark.slow
def test_photos_that_arrive_are_done_until_ctrl_c(make_photo, hearing):
    process = subprocess.Popen(
        [*hearing, "run", "in", "-o", "out", "-r", *TELEA, "--watch"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        read_until(process.stdout, b"in/a.png: filled")
        whole = make_photo("b.png", "person").read_bytes()
        Path("in/sub").mkdir()
        with Path("in/sub/b.png").open("wb") as slow:
            for start in range(0, len(whole), 1 + len(whole) // 5):
                slow.write(whole[start : start + 1 + len(whole) // 5])
                slow.flush()
                time.sleep(0.7)
        read_until(process.stdout, b"in/sub/b.png: filled")
        make_photo("in/a.png")
        read_until(process.stdout, b"in/a.png: filled")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130
    assert b"stopped watching, nothing half-written" in err
    assert b"error" not in err
