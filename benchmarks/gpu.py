"""Measures a GPU: the networks alone, their differences, and whole runs.

    python benchmarks/gpu.py --photos DIR [--devices cuda,cuda-fp16] [--json FILE]

For each device:

- the networks alone on photos of 256x256 px, in batches of several sizes, and as calls of single
  photos from threads, which are batched on the way; photos per second are those of all networks one
  after the other, as a photo with one hole needs them;
- the same without IO binding, with all of cuDNN's algorithms tried, without TF32, and with channels
  last, where the device is CUDA;
- how far each network's outputs are from the CPU's on the photos, and the masks;
- `cleanplate run` on the photos shrunk to 256x256 px and as they are, with one worker and with as
  many as there are cores.

The seed of this project reaches 13.0 photos per second at 256x256 px on an H100. `--segmenter` and
`--inpainter` take its own models, where they are installed. `--quick` measures less; with
`--devices cpu` that tries the script where there is no GPU.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: as the command line does

import numpy as np
from PIL import Image

from cleanplate import Remover
from cleanplate.hub.registry import get_model
from cleanplate.hub.store import network_roles, read_file
from cleanplate.inpainting import DEFAULT_INPAINTER
from cleanplate.io import is_photo_name
from cleanplate.io.files import read_photo
from cleanplate.ops.masks import rasterize
from cleanplate.options import RemovalOptions
from cleanplate.runtime import devices
from cleanplate.runtime import session as runtime
from cleanplate.runtime.devices import usable_cores
from cleanplate.runtime.network import Network
from cleanplate.runtime.session import load_network
from cleanplate.segmentation import DEFAULT_SEGMENTER
from overlap import intersection_over_union

SEED_PHOTOS_PER_S = 13.0
"""Of the project this one grew out of, DeepLabV3-ResNet-101 and EdgeConnect on an H100."""

SIDE = 256  # px
_VARIANTS = {
    "as it is": {},
    "without IO binding": {"binding": False},
    "all algorithms tried": {"cudnn_conv_algo_search": "EXHAUSTIVE"},
    "without TF32": {"use_tf32": "0"},
    "channels last": {"prefer_nhwc": "1"},
    "channels last, all tried": {"prefer_nhwc": "1", "cudnn_conv_algo_search": "EXHAUSTIVE"},
}


def networks_of(models: list[str], device: str, variant: dict[str, Any]) -> dict[str, Network]:
    """Load all networks of some models.

    Args:
        models: names in the registry.
        device: one of `cleanplate.hub.DEVICES`.
        variant: one of `_VARIANTS`.
    """
    reported = {key: value for key, value in variant.items() if key != "binding"}
    with ExitStack() as stack:
        options = {**devices._CUDA_OPTIONS, **reported}
        stack.enter_context(mock.patch.object(devices, "_CUDA_OPTIONS", options))
        if not variant.get("binding", True):
            plain = lambda _, session, names, where: runtime._plain(session, names)  # noqa: E731
            stack.enter_context(mock.patch.object(runtime, "_Binding", plain))
        return {
            f"{name} {role}": load_network(read_file(get_model(name), role), name, device, None)
            for name in models
            for role in network_roles(get_model(name), on_cpu=False)
        }


def inputs_for(network: Network, batch: int) -> list[np.ndarray]:
    """Return random inputs of 256x256 px for a network with images as inputs."""
    rng = np.random.default_rng(0)
    return [
        rng.random(
            (batch, *(side if isinstance(side, int) else SIDE for side in shape[1:]))
        ).astype(np.float32)
        for shape in network.input_shapes
    ]


def seconds_per_call(call: Callable[[], object], seconds: float) -> float:
    """Return the median time of a call, tried for so long, after two to warm up."""
    for _ in range(2):
        call()
    spent: list[float] = []
    end = time.perf_counter() + seconds
    while len(spent) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        spent.append(time.perf_counter() - start)
    return float(np.median(spent))


def time_networks(
    networks: dict[str, Network], batches: list[int], seconds: float
) -> Iterator[dict[str, Any]]:
    """Yield milliseconds per photo of each network, and photos per second of all, per batch."""
    for batch in batches:
        per_photo_ms = {}
        for role, network in networks.items():
            tensors = inputs_for(network, batch)
            call_s = seconds_per_call(lambda: network.run(tensors), seconds)  # noqa: B023
            per_photo_ms[role] = call_s / batch * 1000
        yield {
            "batch": batch,
            "ms": per_photo_ms,
            "photos_per_s": 1000 / sum(per_photo_ms.values()),
        }


def time_threads(networks: dict[str, Network], lanes: int, seconds: float) -> float:
    """Return the photos per second of threads that each run all networks on one photo at a time."""
    tensors = {role: inputs_for(network, 1) for role, network in networks.items()}
    end = time.perf_counter() + seconds

    def photos(_: int) -> int:
        for number in itertools.count():
            if time.perf_counter() > end:
                return number
            for role, network in networks.items():
                network.run(tensors[role])
        raise AssertionError

    with ThreadPoolExecutor(lanes) as pool:
        start = time.perf_counter()
        done = sum(pool.map(photos, range(lanes)))
        return done / (time.perf_counter() - start)


def difference_of_outputs(
    photos: list[np.ndarray], models: list[str], device: str
) -> dict[str, dict[str, float]]:
    """Return how far each network's first output is from the CPU's, on photos at 256x256 px.

    A network that takes more planes than a photo has, or more inputs, gets noise for the others.
    """
    here, there = (networks_of(models, place, {}) for place in ("cpu", device))
    found = {}
    for role, network in here.items():
        tensors = inputs_for(network, 1)
        off = []
        for photo in photos:
            small = np.asarray(Image.fromarray(photo).resize((SIDE, SIDE)), np.float32) / 255
            planes = small.transpose(2, 0, 1)[: tensors[0].shape[1]]
            tensors[0][0, : len(planes)] = planes
            off.append(np.abs(network.run(tensors)[0] - there[role].run(tensors)[0]).ravel())
        joined = np.concatenate(off)
        found[role] = {"largest": float(joined.max()), "mean": float(joined.mean())}
    return found


def difference_of_results(
    photos: list[np.ndarray], models: list[str], device: str
) -> dict[str, float]:
    """Return how far the masks and fills of photos are from those of the CPU."""
    removals = {}
    for place in ("cpu", device):
        remover = Remover(segmenter=models[0], inpainter=models[1], device=place)
        everything = remover.segmenter.labels
        removals[place] = [
            remover(photo, everything, RemovalOptions(verify=False)) for photo in photos
        ]
    overlaps, off = [], []
    for one, other in zip(removals["cpu"], removals[device], strict=True):
        masks = [rasterize(removal.instances, removal.mask.shape) for removal in (one, other)]
        overlaps.append(intersection_over_union(*masks))
        both = one.mask & other.mask
        off.append(np.abs(one.image[both].astype(int) - other.image[both]).ravel())
    levels = np.concatenate(off)
    return {
        "mask IoU, mean": float(np.mean(overlaps)),
        "mask IoU, least": float(np.min(overlaps)),
        "levels off in fills, mean": float(levels.mean()) if levels.size else 0.0,
        "share of fills off by more than 3 levels": float(np.mean(levels > 3))
        if levels.size
        else 0.0,
    }


def time_runs(
    folder: Path, models: list[str], device: str, workers: list[int]
) -> Iterator[dict[str, float]]:
    """Yield the photos per second of `cleanplate run` with its start, per number of workers."""
    count = sum(1 for path in folder.iterdir() if is_photo_name(path))
    for number in workers:
        with tempfile.TemporaryDirectory() as output:
            command = [
                sys.executable, "-m", "cleanplate", "run", str(folder), "-o", output,
                "--remove", "all", "--device", device, "--workers", str(number), "--quiet",
                "--segmenter", models[0], "--inpainter", models[1],
            ]  # fmt: skip
            start = time.perf_counter()
            subprocess.run(command, check=True)
            spent_s = time.perf_counter() - start
        yield {"workers": number, "photos": count, "photos_per_s": count / spent_s}


def shrunk_copies(photos: list[np.ndarray], folder: Path, count: int) -> None:
    """Write so many photos of 256x256 px, squashed as the seed did."""
    for number in range(count):
        photo = Image.fromarray(photos[number % len(photos)])
        photo.resize((SIDE, SIDE)).save(folder / f"{number:05}.jpg", quality=92)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--devices", default="cuda,cuda-fp16")
    parser.add_argument("--segmenter", default=DEFAULT_SEGMENTER)
    parser.add_argument("--inpainter", default=DEFAULT_INPAINTER)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    models = [arguments.segmenter, arguments.inpainter]
    quick = arguments.quick
    paths = sorted(path for path in arguments.photos.iterdir() if is_photo_name(path))
    paths = paths[: 3 if quick else len(paths)]
    photos = [read_photo(path).pixels for path in paths]
    cores = usable_cores()
    results: dict[str, Any] = {"gpu": _gpu_name(), "cores": cores, "models": models}
    print(f"{results['gpu'] or 'no GPU'}, {cores} cores, {len(photos)} photos")
    for device in arguments.devices.split(","):
        found = results[device] = {}
        print(f"\n{device}")
        variants = _VARIANTS if device.startswith("cuda") else {"as it is": {}}
        for variant, reported in variants.items():
            rows = found[variant] = []
            batches = [1, 2] if quick else [1, 2, 4, 8, 16, 32]
            try:
                networks = networks_of(models, device, reported)
                for row in time_networks(networks, batches, 0 if quick else 1):
                    rows.append(row)
                    _print_rate(f"{variant}, batch {row['batch']}", row["photos_per_s"], row["ms"])
            except Exception as error:  # an option that this version lacks, or too little memory
                if variant == "as it is" and not rows:
                    raise
                print(f"  {variant}: {error}", flush=True)
        lanes = [2] if quick else [4, 16, 32]
        networks = networks_of(models, device, {})
        for count in lanes:
            rate = found[f"{count} threads"] = time_threads(networks, count, 1 if quick else 4)
            _print_rate(f"{count} threads with a photo each", rate)
        found["outputs"] = difference_of_outputs(photos, models, device)
        for role, off in found["outputs"].items():
            print(f"  {role}: off by {off['largest']:.2g} at most, {off['mean']:.2g} on average")
        found["results"] = difference_of_results(photos, models, device)
        print("  " + ", ".join(f"{name} {value:.4f}" for name, value in found["results"].items()))
        with tempfile.TemporaryDirectory() as folder:
            shrunk_copies(photos, Path(folder), 4 if quick else 600)
            for name, place in (("256x256 px", Path(folder)), ("as they are", arguments.photos)):
                runs = found[f"runs, {name}"] = []
                for row in time_runs(place, models, device, [1, cores]):
                    runs.append(row)
                    _print_rate(
                        f"{row['photos']} photos {name}, workers {row['workers']}",
                        row["photos_per_s"],
                    )
                if quick:
                    break
        if arguments.json:
            arguments.json.write_text(json.dumps(results, indent=2))


def _print_rate(what: str, rate: float, parts_ms: dict[str, float] | None = None) -> None:
    parts = ", ".join(f"{role.split()[-1]} {ms:.2f} ms" for role, ms in (parts_ms or {}).items())
    times = rate / SEED_PHOTOS_PER_S
    print(
        f"  {what}: {rate:.1f} photos/s, {times:.1f} times the seed's{'; ' * bool(parts)}{parts}",
        flush=True,
    )


def _gpu_name() -> str | None:
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


if __name__ == "__main__":
    main()
