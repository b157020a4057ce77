"""`cleanplate run` with several workers, through the real door."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

COMMAND = (sys.executable, "-m", "cleanplate", "run", "in", "-r", "-o", "out")
TELEA = ("--mask", "mask.png", "--inpainter", "telea")
PHOTOS = 10


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("in/sub").mkdir(parents=True)
    mask = np.zeros((64, 96), np.uint8)
    mask[8:56, 8:88] = 255
    Image.fromarray(mask).save("mask.png")
    make_photos(range(2))


def make_photos(numbers):
    rng = np.random.default_rng(3)
    for number in numbers:
        pixels = rng.integers(0, 255, (64, 96, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(f"in/{'sub/' * (number % 2)}{number:02}.png")


@pytest.fixture
def photos(inside):
    make_photos(range(PHOTOS))


def results():
    return {p.relative_to("out").as_posix() for p in Path("out").rglob("*.png")}


def leftovers():
    return list(Path("out").rglob("*.cleanplate-tmp"))


@pytest.mark.slow
@pytest.mark.usefixtures("photos")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_it_ends_its_workers_and_leaves_whole_files(number, code, hearing):
    process = subprocess.Popen(
        [
            *hearing,
            *COMMAND[3:],
            *TELEA,
            "--workers",
            "2",
            "--threads",
            "2",
            "--report",
            "report.jsonl",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.readline()
    process.send_signal(number)
    _, err = process.communicate(timeout=20)  # the pipes close when the workers have ended too
    assert process.returncode == code
    assert b"nothing half-written" in err
    assert b"Traceback" not in err
    assert leftovers() == []
    done = results()
    assert len(done) < PHOTOS
    for name in done:
        with Image.open(Path("out") / name) as photo:
            photo.load()
    message = [json.loads(line) for line in Path("report.jsonl").read_text().splitlines()]
    assert {Path(line["output"]).relative_to("out").as_posix() for line in message} <= done

    words = (*COMMAND, *TELEA, "--workers", "1")
    again = subprocess.run(words, capture_output=True, check=True, timeout=60)
    assert f"{len(done)} skipped (done before)".encode() in again.stdout
    assert b"output exists" not in again.stdout
    assert len(results()) == PHOTOS


@pytest.mark.slow
@pytest.mark.usefixtures("photos")
def test_fail_fast_stops_all_workers():
    Path("in/00.png").write_text("no photo")
    words = (*COMMAND, *TELEA, "--workers", "2", "--threads", "2", "--fail-fast")
    ran = subprocess.run(words, capture_output=True, check=False, timeout=60)
    assert ran.returncode == 1
    assert b" not processed; " in ran.stdout
    assert b"1 failed:\n  in/00.png: " in ran.stderr
    assert leftovers() == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--workers", "0"), "'--workers'"),
        (
            ("--workers", "3", "--threads", "2"),
            "--workers 3 exceed the 2 available processor cores",
        ),
        (("--max-memory", "lots"), "'lots' is not an amount of memory; write 800M or 4G"),
        (("--max-memory", "1M"), "--max-memory 1 MB is less than the 480 MB that"),
        (("--untouched", "move"), "unknown kind of --untouched 'move'; known: copy, link, skip"),
        (("--min-size", "9", "--max-size", "5"), "--min-size 9 is above --max-size 5"),
    ],
)
def test_wrong_use_does_nothing(cli, words, message):
    ran = cli(*COMMAND[3:], *TELEA, *words)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("kind", "line", "counted"),
    [
        ("copy", "the mask is empty, copied", "2 copied unchanged"),
        ("link", "the mask is empty, linked", "2 linked unchanged"),
        ("skip", "the mask is empty, not written", "2 unchanged and not written"),
    ],
)
def test_what_became_of_untouched_photos_is_reported(cli, kind, line, counted):
    Image.new("L", (96, 64)).save("mask.png")
    ran = cli(*COMMAND[3:], *TELEA, "--untouched", kind)
    assert ran.code == 0
    assert f"in/00.png: {line}\n" in ran.out
    assert f"2 photos: {counted}; " in ran.out
    assert len(results()) == (0 if kind == "skip" else 2)


@pytest.mark.slow
def test_the_networks_give_the_same_bits_whatever_works(astronaut, rocket):
    Path("photos").mkdir()
    for number, photo in enumerate((astronaut[::2, ::2], rocket[::2, ::2])):
        Image.fromarray(photo).save(f"photos/{number}.png")
    results = {}
    for kind, options in {
        "one thread": ("--workers", "1", "--threads", "1"),
        "threads": ("--workers", "1", "--threads", "2"),
        "processes": ("--workers", "2", "--threads", "2"),
    }.items():
        words = ["run", "photos", "-o", kind, "--remove", "person", "--device", "cpu"]
        words += ["--no-verify", "--effects", "off", *options]
        subprocess.run([*COMMAND[:3], *words], capture_output=True, check=True, timeout=300)
        results[kind] = {path.name: path.read_bytes() for path in Path(kind).glob("*.png")}
        assert len(results[kind]) == 2
    assert results["threads"] == results["one thread"]
    assert results["processes"] == results["one thread"]
    assert results["processes"]["0.png"] != Path("photos/0.png").read_bytes()
