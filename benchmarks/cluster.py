"""What a further worker of a cluster adds: photos per second with one and with several.

python benchmarks/cluster.py --photos DIR [--workers 1,2] [--repeats 3] [--address ADDRESS]

The numbers of workers take turns. The time runs from the first finished group to the last photo, so
that neither starting the actors nor loading the models counts.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from cleanplate.batch import Job
from cleanplate.distributed.cluster import connect_to_cluster
from cleanplate.distributed.config import Workers
from cleanplate.distributed.driver import run_cluster
from cleanplate.options import RemovalOptions
from cleanplate.remover import Remover

GROUP = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--most", type=int, default=40, help="photos of the folder to do")
    parser.add_argument("--address")
    given = parser.parse_args()
    counts = [int(word) for word in given.workers.split(",")]
    rates: dict[int, list[float]] = {count: [] for count in counts}
    with tempfile.TemporaryDirectory() as made, connect_to_cluster(given.address):
        folder = Path(made) / "in"
        folder.mkdir()
        for photo in sorted(given.photos.iterdir())[: given.most]:
            if photo.is_file():
                shutil.copy(photo, folder)
        for repeat in range(given.repeats):
            for count in counts:
                rate = measure(folder, Path(made) / f"out{repeat}-{count}", count)
                rates[count].append(rate)
                print(f"{count} workers: {rate:.3f} photos/s", flush=True)
    base = statistics.median(rates[counts[0]])
    for count in counts:
        rate = statistics.median(rates[count])
        print(f"{count} workers: median {rate:.3f} photos/s, {rate / base:.2f} x")


def measure(photos: Path, output: Path, workers: int) -> float:
    job = Job(options=RemovalOptions(classes=("person",), min_score=0.5))
    run = run_cluster(
        str(photos), str(output), Remover(), job, workers=Workers(count=workers), group_size=GROUP
    )
    times = [time.perf_counter() for reported in run if reported["status"] != "failed"]
    warm = [moment for moment in times if moment > times[0] + 0.05]
    return len(warm) / (times[-1] - times[0])


if __name__ == "__main__":
    main()
