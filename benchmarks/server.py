"""Sends many requests at once to `cleanplate serve`, and watches its rate, latency and memory.

    python benchmarks/server.py                           50 clients, 200 photos, EdgeConnect
    python benchmarks/server.py --inpainter telea         the machinery without networks
    python benchmarks/server.py --abort 200               first, 200 clients that go away
    python benchmarks/server.py --clients 1 --photos 3 --size 8660x5773      50 megapixels

Every client sends its share of the photos one after another, and waits as `Retry-After` says where
the server is busy. Every result is compared with its photo: outside the mask, all must be the same.
Latency is what a client waits for one photo, with all its attempts.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import psutil
from PIL import Image

Image.MAX_IMAGE_PIXELS = None


def generate(size_wh: tuple[int, int]) -> tuple[bytes, bytes, np.ndarray, np.ndarray]:
    """Return a PNG and its mask as files and as arrays."""
    rng = np.random.default_rng(0)
    ground = Image.fromarray(rng.integers(60, 200, (6, 8, 3)).astype(np.uint8))
    smooth = np.asarray(ground.resize(size_wh, Image.Resampling.BICUBIC))
    noise = rng.integers(0, 9, smooth.shape, np.uint8)
    pixels = smooth + noise
    width, height = size_wh
    mask = np.zeros((height, width), np.uint8)
    side = min(height, width) // 4
    mask[height // 3 : height // 3 + side, width // 3 : width // 3 + side // 2] = 255
    files = []
    for array in (pixels, mask):
        stream = BytesIO()
        Image.fromarray(array).save(stream, "PNG", compress_level=1)
        files.append(stream.getvalue())
    return files[0], files[1], pixels, mask > 0


class Load:
    """Clients of one server.

    Args:
        address: of the server.
        token: for it.
        size_wh: of the photos.
    """

    def __init__(self, address: str, token: str, size_wh: tuple[int, int]) -> None:
        self.photo, self.mask, self.pixels, self.hole = generate(size_wh)
        self.http = httpx.Client(
            base_url=address,
            headers={"Authorization": f"Bearer {token}"},
            timeout=600,
            trust_env=False,
            limits=httpx.Limits(max_connections=None),
        )
        self.latencies_s: list[float] = []
        self.busy = 0
        self.lock = threading.Lock()

    def fill(self, _: int) -> None:
        """Send one photo until it is filled; check the result."""
        start = time.perf_counter()
        while True:
            answer = self.http.post(
                "/v1/fill", files={"image": ("a.png", self.photo), "mask": ("m.png", self.mask)}
            )
            if answer.status_code != 429:
                break
            with self.lock:
                self.busy += 1
            time.sleep(float(answer.headers["Retry-After"]))
        waited_s = time.perf_counter() - start
        answer.raise_for_status()
        result = np.asarray(Image.open(BytesIO(answer.content)))
        if not np.array_equal(result[~self.hole], self.pixels[~self.hole]):
            raise SystemExit("a pixel outside the mask was changed")
        with self.lock:
            self.latencies_s.append(waited_s)

    def abort(self, number: int) -> None:
        """Send one photo and go away, at once or a little later."""
        with suppress(httpx.TransportError):
            self.http.post(
                "/v1/fill",
                files={"image": ("a.png", self.photo), "mask": ("m.png", self.mask)},
                timeout=httpx.Timeout(5, read=0.01 + 0.2 * (number % 10)),
            )


def memory_mb(process: psutil.Process) -> float:
    """Return what the server holds now."""
    return process.memory_info().rss / 2**20


def cpu_s(process: psutil.Process) -> float:
    """Return how long the server has computed, which other programs change less than the rate."""
    spent = process.cpu_times()
    return spent.user + spent.system


def run(args: argparse.Namespace, home: Path) -> None:
    """Start a server, load it, print what it did."""
    command = [sys.executable, "-m", "cleanplate", "serve", "--port", "0", "--no-browser"]
    command += ["--inpainter", args.inpainter]
    environment = {**os.environ, "CLEANPLATE_HOME": str(home)}
    server = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        server.stdout.readline()
        known = json.loads((home / "server.json").read_text())
        width, height = (int(side) for side in args.size.split("x"))
        load = Load(f"http://127.0.0.1:{known['port']}", known["token"], (width, height))
        process = psutil.Process(server.pid)
        print(f"{width} x {height} px, {args.inpainter}; started: {memory_mb(process):.0f} MB")
        load.fill(0)
        print(f"after the first photo: {memory_mb(process):.0f} MB, {load.latencies_s[0]:.2f} s")
        if args.abort:
            with ThreadPoolExecutor(args.clients) as pool:
                list(pool.map(load.abort, range(args.abort)))
            start = time.perf_counter()
            load.busy = 0
            load.fill(0)
            print(
                f"after {args.abort} that went away: {memory_mb(process):.0f} MB; "
                f"the next photo took {time.perf_counter() - start:.2f} s"
            )
        load.latencies_s.clear()
        for part in (1, 2):
            start, computed_s = time.perf_counter(), cpu_s(process)
            photos = args.photos // 2
            with ThreadPoolExecutor(args.clients) as pool:
                list(pool.map(load.fill, range(photos)))
            spent_s = time.perf_counter() - start
            print(
                f"half {part}: {photos / spent_s:.2f} photos/s, "
                f"{(cpu_s(process) - computed_s) / photos:.2f} CPU s a photo, "
                f"{memory_mb(process):.0f} MB, {load.busy} requests asked to wait"
            )
        ordered = sorted(load.latencies_s)
        p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
        print(
            f"{args.clients} clients: p50 {statistics.median(ordered):.2f} s, p95 {p95:.2f} s; "
            f"all {len(ordered)} results right"
        )
    finally:
        server.terminate()
        server.wait(30)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=50, help="at once")
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--abort", type=int, default=0, metavar="N")
    parser.add_argument("--size", default="640x480", metavar="WxH")
    parser.add_argument("--inpainter", default="edgeconnect.photos")
    with tempfile.TemporaryDirectory() as folder:
        run(parser.parse_args(), Path(folder))


if __name__ == "__main__":
    main()
