"""Times the installed `cleanplate` as its users meet it: whole commands, from pressing return.

    python benchmarks/speed.py                      generated photos
    python benchmarks/speed.py --photos DIR         your own, scaled to 800x600 and to 12 and 50 MP

Prints one table: median and range of the wall time, peak memory of the process, photos per second.
Machines are noisy: compare ratios within one run, never two runs.
"""

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


def prepare(scratch: Path, folder: Path | None, wanted: str, count: int) -> None:
    """Write `count` photos of 800x600 with one object each, and one large photo of each size.

    Runs in a process of its own: a child's peak memory counts what its parent held at its birth.
    """
    import cv2

    from cleanplate import Remover

    photos = read_photos(folder) if folder else generated_photos()
    remover = Remover()
    small = [cv2.resize(photo, (800, 600), interpolation=cv2.INTER_AREA) for photo in photos]
    found = [remover.find(photo[..., ::-1].copy(), [wanted])[0] for photo in small]
    chosen = [photo for photo, objects in zip(small, found, strict=True) if len(objects) == 1]
    if not chosen:
        raise SystemExit(f"no photo shows exactly one {wanted} at 800x600; give another --remove")
    print(f"{len(chosen)} of {len(photos)} photos show exactly one object at 800x600: these run")
    quality = [cv2.IMWRITE_JPEG_QUALITY, 92]
    for index in range(count):
        path = scratch / "photos" / f"{index:03}.jpg"
        cv2.imwrite(str(path), chosen[index % len(chosen)], quality)
    for name, size_wh in SIZES_WH.items():
        large = cv2.resize(chosen[0], size_wh, interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(scratch / f"{name}.jpg"), large, quality)


def read_photos(folder: Path) -> list[Any]:
    """Return the photos below a folder, (H, W, 3) uint8 BGR."""
    import cv2

    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PHOTO_SUFFIXES)
    return [photo for photo in (cv2.imread(str(path)) for path in paths) if photo is not None]


def generated_photos() -> list[Any]:
    """Return scikit-image's cat pasted on noise of differing scale, (600, 800, 3) uint8 BGR."""
    import cv2
    import numpy as np
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


def main() -> None:
    """Time everything, in one run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--photos", type=Path, help="folder of photos with something to remove")
    parser.add_argument("--remove", default="cat", help="what to remove (default: cat)")
    parser.add_argument("--times", type=int, default=5, help="counted runs of each short command")
    parser.add_argument("--count", type=int, default=24, help="photos in the folder run")
    options = parser.parse_args()

    cleanplate = [sys.executable, "-m", "cleanplate"]
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        folder = scratch / "photos"
        folder.mkdir()
        preparing = multiprocessing.get_context("spawn").Process(
            target=prepare, args=(scratch, options.photos, options.remove, options.count)
        )
        preparing.start()
        preparing.join()
        if preparing.exitcode:
            raise SystemExit(preparing.exitcode)
        remove = ["--remove", options.remove, "--overwrite", "-o", str(scratch / "out")]

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
        for size in SIZES_WH:
            large = [*cleanplate, "run", str(scratch / f"{size}.jpg"), *remove]
            row(f"one photo of {size}", repeated(large, 1))


if __name__ == "__main__":
    main()
