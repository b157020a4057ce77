"""Times the installed `cleanplate` as its users meet it: whole commands, from pressing return.

    python benchmarks/speed.py                      generated photos
    python benchmarks/speed.py --photos DIR         your own, scaled to 800x600 and to 12 and 50 MP

Prints one table: median and range of the wall time, peak memory of the process, photos per second.
Machines are noisy: compare ratios within one run, never two runs.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

PHOTO_SUFFIXES = {".jpg", ".jpeg", ".png"}
SIZES_WH = {"12 MP": (4000, 3000), "50 MP": (8160, 6120)}


@dataclass(frozen=True)
class Run:
    """One finished process."""

    wall_s: float
    cpu_s: float
    peak_mb: float


def run(command: Sequence[str]) -> Run:
    """Run a command to its end, and fail if it does."""
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise SystemExit(
                f"{' '.join(command)}: exit {process.returncode}\n{process.stderr.read().decode()}"
            )
    return Run(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def repeated(command: Sequence[str], times: int) -> list[Run]:
    run(command)  # files into the cache
    return [run(command) for _ in range(times)]


def row(name: str, runs: list[Run], extra: str = "") -> None:
    walls = [one.wall_s for one in runs]
    print(
        f"{name:<44} {statistics.median(walls):7.2f} s  ({min(walls):.2f} to {max(walls):.2f})"
        f"  cpu {statistics.median(one.cpu_s for one in runs):6.2f} s"
        f"  peak {max(one.peak_mb for one in runs):6.0f} MB  {extra}",
        flush=True,
    )


def generated_photos() -> list[np.ndarray]:
    """Return photos with one cat each: scikit-image's, pasted on noise of differing scale."""
    import skimage.data

    cat = skimage.data.chelsea()[..., ::-1]
    photos = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        ground = rng.integers(60, 200, (6 + 4 * seed, 8 + 5 * seed, 3)).astype(np.uint8)
        photo = cv2.resize(ground, (800, 600), interpolation=cv2.INTER_CUBIC)
        side = 180 + 20 * seed
        small = cv2.resize(cat, (side, side * 2 // 3), interpolation=cv2.INTER_AREA)
        left, top = int(rng.integers(0, 800 - side)), int(rng.integers(0, 600 - side))
        photo[top : top + small.shape[0], left : left + side] = small
        photos.append(photo)
    return photos


def photos_of(folder: Path | None) -> list[np.ndarray]:
    if folder is None:
        return generated_photos()
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in PHOTO_SUFFIXES)
    return [photo for photo in (cv2.imread(str(path)) for path in paths) if photo is not None]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--photos", type=Path, help="folder of photos with something to remove")
    parser.add_argument("--remove", default="all", help="what to remove (default: all)")
    parser.add_argument("--times", type=int, default=5, help="counted runs of each short command")
    parser.add_argument("--count", type=int, default=24, help="photos in the folder run")
    options = parser.parse_args()

    cleanplate = [sys.executable, "-m", "cleanplate"]
    photos = photos_of(options.photos)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "photos"
        folder.mkdir()
        for index in range(options.count):
            small = cv2.resize(
                photos[index % len(photos)], (800, 600), interpolation=cv2.INTER_AREA
            )
            cv2.imwrite(str(folder / f"{index:03}.jpg"), small, [cv2.IMWRITE_JPEG_QUALITY, 92])
        out = str(Path(scratch) / "out")
        remove = ["--remove", options.remove, "--overwrite", "-o", out]

        row("import numpy", repeated([sys.executable, "-c", "import numpy"], options.times))
        row(
            "import cleanplate",
            repeated([sys.executable, "-c", "import cleanplate"], options.times),
        )
        load = "from cleanplate import Remover; r = Remover(); r.segmenter; r.inpainter"
        row("import and load the models", repeated([sys.executable, "-c", load], options.times))
        row("--help", repeated([*cleanplate, "--help"], options.times))
        first = [*cleanplate, "run", str(folder / "000.jpg"), *remove]
        row("first 800x600 photo, from start to exit", repeated(first, options.times))
        many = repeated([*cleanplate, "run", str(folder), *remove], 2)
        rate = options.count / statistics.median(one.wall_s for one in many)
        row(f"{options.count} photos of 800x600", many, f"{rate:.2f} photos/s")
        for name, size_wh in SIZES_WH.items():
            large = Path(scratch) / f"{size_wh[0]}.jpg"
            scaled = cv2.resize(photos[0], size_wh, interpolation=cv2.INTER_CUBIC)
            cv2.imwrite(str(large), scaled, [cv2.IMWRITE_JPEG_QUALITY, 92])
            row(f"one photo of {name}", repeated([*cleanplate, "run", str(large), *remove], 1))


if __name__ == "__main__":
    main()
