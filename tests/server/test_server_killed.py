"""A server that is killed in the middle of a folder, and started again."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow

PHOTOS = 4


@contextmanager
def started(root: Path, home: Path) -> Iterator[httpx.Client]:
    """Start `cleanplate serve` as a user does; at the end it is killed."""
    command = [sys.executable, "-m", "cleanplate", "serve", "--no-browser", "--port", "0"]
    server = subprocess.Popen(
        [*command, "--root", str(root), "--inpainter", "telea"],
        env={**os.environ, "CLEANPLATE_HOME": str(home)},
        stdout=subprocess.PIPE,
    )
    try:
        assert b"http://" in server.stdout.readline()
        known = json.loads((home / "server.json").read_text())
        assert known["pid"] == server.pid
        with httpx.Client(
            base_url=f"http://127.0.0.1:{known['port']}",
            headers={"Authorization": f"Bearer {known['token']}"},
            timeout=60,
            trust_env=False,
        ) as client:
            yield client
    finally:
        server.kill()  # SIGKILL: it cannot do anything about it
        server.wait(20)
        server.stdout.close()


def run(client: httpx.Client, until: int) -> dict:
    """Start the folder's job, or go on with it, until some photos are done."""
    job = client.post("/v1/jobs", json={"folder": "in", "labels": ["person"]}).json()
    deadline = time.monotonic() + 300
    while job["counts"]["done"] < until and time.monotonic() < deadline:
        time.sleep(0.02)
        job = client.get(f"/v1/jobs/{job['id']}").json()
    return job


def check_listed(client: httpx.Client, done: dict[Path, int]) -> None:
    """Check that the run of the server that was killed is listed, with what was reviewed."""
    deadline = time.monotonic() + 20
    while not (jobs := client.get("/v1/jobs").json()) and time.monotonic() < deadline:
        time.sleep(0.02)
    [job] = jobs
    assert job["state"] == "cancelled"
    assert job["counts"]["total"] == PHOTOS
    assert job["counts"]["rejected"] == 1
    # The photo in work when it was killed may have been written and not recorded.
    assert len(done) - 1 <= job["counts"]["cleaned"] <= len(done)


def test_a_killed_server_loses_nothing(tmp_path, astronaut):
    (tmp_path / "in").mkdir()
    for number in range(PHOTOS):
        person = np.roll(astronaut[::2, ::2], 5 * number, axis=1)
        Image.fromarray(person).save(tmp_path / f"in/{number:02}.png")
    inputs = {path: path.read_bytes() for path in (tmp_path / "in").iterdir()}
    done: dict[Path, int] = {}
    for until in (1, 2):
        with started(tmp_path, tmp_path / "home") as client:
            if done:
                check_listed(client, done)
            job = run(client, until)
            assert job["state"] == "running"
            client.post(f"/v1/jobs/{job['id']}/photos/0/reject").raise_for_status()
            rows = client.get(f"/v1/jobs/{job['id']}/photos").json()["rows"]
            finished = [row["name"] for row in rows if row["status"] == "cleaned"]
        assert len(finished) >= until
        for path, time_ns in done.items():
            assert path.stat().st_mtime_ns == time_ns  # not done again
        done = {it: it.stat().st_mtime_ns for it in (tmp_path / "in-clean").glob("[!.]*.png")}
        assert {path.name for path in done} >= set(finished)
    with started(tmp_path, tmp_path / "home") as client:
        job = run(client, PHOTOS)
        assert job["counts"].items() >= {"cleaned": PHOTOS, "failed": 0, "rejected": 1}.items()
        results = sorted(path for path in (tmp_path / "in-clean").iterdir() if path.is_file())
    assert [path.name for path in results] == sorted(path.name for path in inputs)
    for path, time_ns in done.items():
        assert path.stat().st_mtime_ns == time_ns
    for path in results:
        before, after = (np.array(Image.open(it)) for it in (tmp_path / "in" / path.name, path))
        assert before.shape == after.shape
        assert (before != after).any()
    assert {path: path.read_bytes() for path in inputs} == inputs
