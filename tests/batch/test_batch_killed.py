"""Runs that are killed, again and again, and continue as if nothing had happened."""

import contextlib
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

KILLS = 6
PHOTOS = 10

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL"),
]


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(5)
    for number in range(PHOTOS):
        pixels = rng.integers(0, 255, (48, 64, 3)).astype(np.uint8)
        folder = tmp_path / "in" / f"sub{number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{number:02}.{('png', 'jpg', 'bmp')[number % 3]}")
    mask = np.zeros((48, 64), np.uint8)
    mask[10:30, 20:40] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    return tmp_path


def command(out, workers):
    words = ["run", "in", "-r", "-o", out, "--mask", "mask.png", "--inpainter", "telea"]
    return [sys.executable, "-m", "cleanplate", *words, "--workers", str(workers)]


def finish(folder, out):
    done = subprocess.run(
        command(out, 1), cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def files_below(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in Path(folder).rglob("*")
        if path.is_file() and ".cleanplate" not in path.parts
    }


def test_killed_at_any_moment_no_photo_is_lost_or_half_written(photos):
    finish(photos, "undisturbed")
    expected = files_below(photos / "undisturbed")
    assert len(expected) == PHOTOS
    rounds, caught = 0, 0
    for kill in range(KILLS):
        out = f"out{rounds}"
        process = subprocess.Popen(
            command(out, 1 + kill % 2),
            cwd=photos,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
        if kill % 3:  # the others: at any moment of the start
            process.stdout.readline()
        time.sleep(random.uniform(0, 0.12 if kill % 3 else 0.6))  # by the seed of the run
        caught += process.poll() is None
        process.kill()
        process.communicate()
        written = files_below(photos / out) if (photos / out).exists() else {}
        whole = {name: is_ for name, is_ in written.items() if not name.endswith("cleanplate-tmp")}
        assert whole.items() <= expected.items(), f"kill {kill}: a file is not what it should be"
        if len(whole) > PHOTOS - 5:
            last = finish(photos, out)
            assert "output exists" not in last, "a finished photo is not in the journal"
            assert files_below(photos / out) == expected
            rounds += 1
    last = finish(photos, f"out{rounds}")
    assert "output exists" not in last
    assert files_below(photos / f"out{rounds}") == expected
    assert caught > KILLS // 2


def test_workers_end_with_the_run_that_is_killed(photos):
    process = subprocess.Popen(
        command("out", 2),
        cwd=photos,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    process.stdout.readline()
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not children.exists():
        pytest.skip("needs a system that lists child processes")
    workers = [int(number) for number in children.read_text().split()]
    assert workers
    process.kill()
    process.communicate()
    until = time.monotonic() + 10
    while workers and time.monotonic() < until:
        time.sleep(0.05)
        for worker in tuple(workers):
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, 0)
                continue
            workers.remove(worker)
    assert not workers
