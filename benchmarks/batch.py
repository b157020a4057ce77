"""Runs `cleanplate run` over many photos, and watches its rate and memory.

    python benchmarks/batch.py --count 5000                   small generated photos, EdgeConnect
    python benchmarks/batch.py --count 5000 --inpainter telea the machinery without networks
    python benchmarks/batch.py --compare DIR --times 3        plain loop against workers, in turns

The first form prints photos per second and the memory of all processes together after 10, 50 and
100 % of the photos, then does the same command again, which only skips. The last form takes the
photos below DIR (default: 24 generated ones) in turns with one worker and with `--workers`,
compares every byte of the results, and prints the ratio of the rates. Machines are noisy: compare
ratios within one run, never two runs.
"""

import argparse
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

MARKS = (0.1, 0.5, 1.0)
SAMPLE_S = 0.2
CLEANPLATE = [sys.executable, "-m", "cleanplate", "run"]


def generate(folder: Path, count: int) -> None:
    """Write photos of 160x120 to 400x300 px, and one mask each in `masks`; every fifth is empty."""
    rng = np.random.default_rng(0)
    grounds = [rng.integers(60, 200, (6, 8, 3)).astype(np.uint8) for _ in range(20)]
    for index in range(count):
        scale = 1 + 0.25 * (index % 7)
        size_wh = (round(160 * scale), round(120 * scale))
        photo = Image.fromarray(grounds[index % 20]).resize(size_wh, Image.Resampling.BICUBIC)
        noise = rng.integers(-9, 9, (size_wh[1], size_wh[0], 3))
        pixels = np.clip(np.asarray(photo, int) + noise, 0, 255).astype(np.uint8)
        mask = np.zeros(size_wh[::-1], np.uint8)
        if index % 5:
            left, top = (int(rng.integers(10, side // 2)) for side in size_wh)
            mask[top : top + size_wh[1] // 4, left : left + size_wh[0] // 4] = 255
        place = Path(f"{index // 1000:03}") / f"{index:06}.jpg"
        for kind, image in (("photos", pixels), ("masks", mask)):
            path = (folder / kind / place).with_suffix(".jpg" if kind == "photos" else ".png")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)


def memory_mb(process: psutil.Process) -> float:
    """Return what a process and its children hold now; shared pages count in each."""
    total = 0
    for one in (process, *process.children(recursive=True)):
        try:
            total += one.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / 2**20


def cpu_seconds() -> float:
    """Return the CPU time of all processes that were started and have ended."""
    times = os.times()
    return times.children_user + times.children_system


def watch(command: Sequence[str], count: int, reported: Path) -> None:
    """Run a command that prints a line per photo; print rate and memory at the marks."""
    start, used_s = time.perf_counter(), cpu_seconds()
    with (
        reported.open("w") as lines,
        reported.open() as reader,
        subprocess.Popen(command, stdout=lines) as running,
    ):
        process = psutil.Process(running.pid)
        done, peak, marks = 0, 0.0, list(MARKS)
        while running.poll() is None:
            try:
                now = memory_mb(process)
            except psutil.NoSuchProcess:
                break
            peak = max(peak, now)
            done = min(count, done + sum(1 for _ in reader))  # the last line is a summary
            if marks and done >= marks[0] * count:
                spent = time.perf_counter() - start
                print(
                    f"  {marks.pop(0):4.0%}  {done:6} photos  {spent:8.1f} s  "
                    f"{done / spent:7.2f} photos/s  {now:6.0f} MB now  {peak:6.0f} MB at most",
                    flush=True,
                )
            time.sleep(SAMPLE_S)
    spent = time.perf_counter() - start
    print(
        f"  exit {running.returncode} after {spent:.1f} s, {count / spent:.2f} photos/s, "
        f"{cpu_seconds() - used_s:.1f} s of CPU time, {peak:.0f} MB at most",
        flush=True,
    )
    if running.returncode:
        raise SystemExit(f"{' '.join(command)}: exit {running.returncode}")


def endure(scratch: Path, options: argparse.Namespace) -> None:
    generate(scratch, options.count)
    command = [*CLEANPLATE, str(scratch / "photos"), "-r", "-o", str(scratch / "out")]
    command += ["--mask", str(scratch / "masks")] if not options.remove else []
    command += ["--remove", options.remove] if options.remove else []
    command += ["--inpainter", options.inpainter]
    command += ["--workers", str(options.workers)] if options.workers else []
    command += ["--max-memory", options.max_memory] if options.max_memory else []
    print(f"{options.count} photos")
    watch(command, options.count, scratch / "lines.txt")
    print("the same command again")
    watch(command, options.count, scratch / "lines.txt")
    size = sum(path.stat().st_size for path in (scratch / "out/.cleanplate").iterdir())
    print(f"  journal: {size / 2**20:.1f} MB, {size / options.count:.0f} bytes per photo")


def compare(scratch: Path, options: argparse.Namespace) -> None:
    """Alternate between one worker with all cores and several; the results must be the same."""
    photos = options.compare
    if photos == Path():
        generate(scratch, 24)
        photos = scratch / "photos"
    spent: dict[int, list[float]] = {1: [], options.workers or 2: []}
    for turn in range(options.times):
        hashes = []
        for workers, times in spent.items():
            out = scratch / f"out{turn}_{workers}"
            command = [*CLEANPLATE, str(photos), "-r", "-o", str(out), "-q"]
            command += ["--remove", options.remove or "all", "--inpainter", options.inpainter]
            start = time.perf_counter()
            subprocess.run([*command, "--workers", str(workers)], check=True)
            times.append(time.perf_counter() - start)
            hashes.append(
                {
                    path.relative_to(out): hashlib.sha256(path.read_bytes()).hexdigest()
                    for path in out.rglob("*.*")
                    if path.is_file() and ".cleanplate" not in path.parts
                }
            )
        alone, both = (times[-1] for times in spent.values())
        same = "identical" if hashes[0] == hashes[1] else "DIFFERENT"
        print(
            f"  {len(hashes[0])} photos: plain loop {alone:.1f} s, {options.workers or 2} workers "
            f"{both:.1f} s, {alone / both:.2f} times the rate, results {same}",
            flush=True,
        )
    ratios = [alone / both for alone, both in zip(*spent.values(), strict=True)]
    print(f"median {statistics.median(ratios):.2f} times the plain loop's rate")


def main() -> None:
    """Measure as the options say."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--count", type=int, default=300, help="photos to generate")
    parser.add_argument("--inpainter", default="edgeconnect.photos")
    parser.add_argument("--remove", help="labels for the segmenter (default: generated masks)")
    parser.add_argument("--workers", type=int, help="as of cleanplate run")
    parser.add_argument("--max-memory", help="as of cleanplate run")
    parser.add_argument("--compare", type=Path, nargs="?", const=Path(), metavar="DIR")
    parser.add_argument("--times", type=int, default=3, help="turns of --compare")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        (endure if options.compare is None else compare)(Path(name), options)


if __name__ == "__main__":
    main()
