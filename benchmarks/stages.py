"""Times real photos stage by stage, and says how far the networks are from the machine's limit.

    python benchmarks/stages.py --photos DIR [--remove person,car,...] [--json FILE]

Each photo is read, its objects removed, and the result encoded, as `cleanplate run` does. A stage's
time is its own: what another stage does inside it counts there. For networks, the multiplications
and additions of their graphs at the sizes that were met are set against the rate that a large
product of matrices reaches on the same threads, just before and just after. On a machine that does
other work besides, compare the CPU seconds. Needs the package onnx.
`--operators` lists where the networks' time goes.
"""

import argparse
import functools
import hashlib
import json
import os
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: as the command line does

import cleanplate.inpainting.fill
import cleanplate.inpainting.texture_transfer
import cleanplate.plan
import cleanplate.remover
from cleanplate import Remover
from cleanplate.hub.registry import MODELS
from cleanplate.io.files import encode_photo, read_photo
from cleanplate.runtime.devices import usable_cores
from cleanplate.runtime.session import Session
from flops import best_rate, flops_of, node_events

PHOTO_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"}
# Where a network's time counts, by its role in the registry.
_STAGE_OF_ROLE = {
    "segment": "find: network",
    "divide": "find: network",
    "recognize": "find: network",
    "outline": "outlines: network",
    "effects": "effects: network",
    "edges": "fill: edges network",
    "fill": "fill: completion network",
}
STAGES = (
    "decode", "find: network", "find: rest", "outlines: network", "outlines: rest",
    "outlines: missed parts", "effects: network", "effects: rest",
    "mask", "windows", "fill: edges network", "fill: completion network", "fill: rest",
    "repetition", "lines and surfaces",
    "texture: matching", "texture: copying", "composite", "recheck: detection", "encode", "rest",
)  # fmt: skip


@dataclass
class Stopwatch:
    """Times of stages, which may be nested; each counts only its own time."""

    spent_s: Counter[str] = field(default_factory=Counter)
    cpu_s: Counter[str] = field(default_factory=Counter)  # of all the process's threads
    _inside_s: list[tuple[float, float]] = field(default_factory=list)

    def clear(self) -> None:
        """Start again from zero."""
        self.spent_s.clear()
        self.cpu_s.clear()

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return `function`, with its time counted."""

        @functools.wraps(function)
        def call(*arguments: Any, **options: Any) -> Any:
            self._inside_s.append((0.0, 0.0))
            start, start_cpu = time.perf_counter(), time.process_time()
            try:
                return function(*arguments, **options)
            finally:
                spent, cpu = time.perf_counter() - start, time.process_time() - start_cpu
                inside, inside_cpu = self._inside_s.pop()
                self.spent_s[stage] += spent - inside
                self.cpu_s[stage] += cpu - inside_cpu
                if self._inside_s:
                    inside, inside_cpu = self._inside_s[-1]
                    self._inside_s[-1] = (inside + spent, inside_cpu + cpu)

        return call


class Networks:
    """Names the networks' runs, and counts them by their inputs' shapes."""

    def __init__(self, watch: Stopwatch) -> None:
        self.runs: dict[str, Counter[tuple[tuple[int, ...], ...]]] = defaultdict(Counter)
        self.contents: dict[str, bytes] = {}  # by role
        self.counts = False
        roles: dict[int, str] = {}  # by the session's id
        load, compute = Session.__init__, Session.run_all

        def init(session: Session, content: bytes, **options: Any) -> None:
            load(session, content, **options)
            sha256 = hashlib.sha256(content).hexdigest()
            files = (it for model in MODELS.values() for it in model.files)
            role = next(it.role for it in files if it.sha256 == sha256)
            roles[id(session)] = role.removesuffix("_cpu")
            self.contents[roles[id(session)]] = content

        def run_all(session: Session, *tensors: Any) -> Any:
            role = roles[id(session)]
            if self.counts:
                self.runs[role][tuple(tensor.shape for tensor in tensors)] += 1
            return watch.timed(_STAGE_OF_ROLE[role], compute)(session, *tensors)

        Session.__init__, Session.run_all = init, run_all


def watch_stages(watch: Stopwatch) -> None:
    """Put the stopwatch around the functions that do one stage each."""
    for module, name, stage in (
        (cleanplate.plan, "refine_each", "outlines: rest"),
        (cleanplate.plan, "add_missed_parts", "outlines: missed parts"),
        (cleanplate.remover, "find_effects", "effects: rest"),
        (cleanplate.remover, "plan_masks", "mask"),
        (cleanplate.inpainting.fill, "plan_windows", "windows"),
        (cleanplate.inpainting.fill, "inpaint_scaled", "fill: rest"),
        (cleanplate.inpainting.fill, "repeat_surroundings", "repetition"),
        (cleanplate.inpainting.fill, "continue_surroundings", "lines and surfaces"),
        (cleanplate.inpainting.texture_transfer, "synthesise", "texture: matching"),
        (cleanplate.inpainting.fill, "transfer_texture", "texture: copying"),
        (cleanplate.inpainting.fill, "paste", "composite"),
        (cleanplate.remover, "detect_remaining", "recheck: detection"),
    ):
        setattr(module, name, watch.timed(stage, getattr(module, name)))


def main() -> None:
    """Time the photos and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--remove", default="person,car,dog,bird,boat,aeroplane")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--times", type=int, default=3, help="of each photo; the median counts")
    parser.add_argument("--most", type=int, help="photos at most, evenly chosen")
    parser.add_argument("--json", type=Path, help="write what was measured there, too")
    parser.add_argument("--operators", action="store_true", help="list the networks' operators")
    options = parser.parse_args()

    paths = sorted(p for p in options.photos.rglob("*") if p.suffix.lower() in PHOTO_SUFFIXES)
    if options.most and len(paths) > options.most:
        paths = [paths[index * len(paths) // options.most] for index in range(options.most)]
    if not paths:
        parser.error(f"{options.photos}: no photos in it")
    labels = options.remove.split(",")
    watch = Stopwatch()
    networks = Networks(watch)
    watch_stages(watch)
    rates = [best_rate(options.threads)]
    remover = Remover(device=options.device, threads=options.threads)
    segmenter: Any = remover.segmenter
    segmenter.segment = watch.timed("find: rest", segmenter.segment)
    spent: Counter[str] = Counter()
    cpu: Counter[str] = Counter()
    megapixels, changed = 0.0, 0
    one_photo(remover, watch, paths[0], labels)  # warms up
    for path in paths:
        repeats = []
        for turn in range(options.times):
            watch.clear()
            networks.counts = turn == 0
            is_changed, size = watch.timed("rest", one_photo)(remover, watch, path, labels)
            repeats.append((watch.spent_s.copy(), watch.cpu_s.copy()))
        for stage in STAGES:
            spent[stage] += statistics.median(repeat[stage] for repeat, _ in repeats)
            cpu[stage] += statistics.median(repeat[stage] for _, repeat in repeats)
        megapixels += size / 1e6
        changed += is_changed
    rates.append(best_rate(options.threads))
    figures = {
        "photos": len(paths),
        "changed": changed,
        "megapixels": round(megapixels, 2),
        "threads": options.threads,
        "segmenter": f"{remover.segmenter.name} on {remover.segmenter.provider}",
        "inpainter": f"{remover.inpainter.name} on {remover.inpainter.provider}",
        "best_gflops_per_s": [round(rate / 1e9, 1) for rate in rates],
        "stages": table(spent, cpu, networks, max(rates)),
    }
    show(figures)
    if options.operators:
        for role, runs in networks.runs.items():
            content, (shapes, _) = networks.contents[role], runs.most_common(1)[0]
            show_operators(role, content, shapes, options.threads)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def one_photo(
    remover: Remover, watch: Stopwatch, path: Path, labels: list[str]
) -> tuple[bool, int]:
    """Do all that `cleanplate run` does with a photo, but the writing."""
    photo = watch.timed("decode", read_photo)(path)
    removal = remover(photo.pixels, labels)
    if removal.changed:
        watch.timed("encode", encode_photo)(photo, removal.image, removal.mask)
    return removal.changed, removal.mask.size


def table(
    spent: Counter[str], cpu: Counter[str], networks: Networks, best_rate_per_s: float
) -> list[dict[str, Any]]:
    """Return a row for each stage."""
    work: dict[str, tuple[int, int]] = {}
    for role, shapes in networks.runs.items():
        flops, runs = work.get(_STAGE_OF_ROLE[role], (0, 0))
        content = networks.contents[role]
        flops += sum(flops_of(content, shape) * count for shape, count in shapes.items())
        work[_STAGE_OF_ROLE[role]] = flops, runs + sum(shapes.values())
    total = sum(spent.values())
    rows = []
    for stage in STAGES:
        row: dict[str, Any] = {
            "stage": stage,
            "seconds": round(spent[stage], 3),
            "share": round(spent[stage] / total, 3),
            "cpu_seconds": round(cpu[stage], 3),
        }
        if stage in work and spent[stage]:
            flops, count = work[stage]
            rate = flops / spent[stage]
            row |= {
                "runs": count,
                "gflop": round(flops / 1e9, 1),
                "gflops_per_s": round(rate / 1e9, 1),
                "share_of_best_rate": round(rate / best_rate_per_s, 2),
            }
        rows.append(row)
    whole = {"stage": "total", "seconds": round(total, 3), "share": 1.0}
    return [*rows, {**whole, "cpu_seconds": round(sum(cpu.values()), 3)}]


def show(figures: dict[str, Any]) -> None:
    first, last = figures["best_gflops_per_s"]
    print(
        f"{figures['photos']} photos, {figures['megapixels']} megapixels in all, "
        f"{figures['changed']} changed; "
        f"{figures['segmenter']}, {figures['inpainter']}, {figures['threads']} threads\n"
        f"best rate of a matrix product: {first:.0f} GFLOP/s before, {last:.0f} after\n"
    )
    print("| Stage | Time, s | Share | CPU, s | GFLOP | GFLOP/s | Of the best rate |")
    print("|---|---|---|---|---|---|---|")
    for row in figures["stages"]:
        cells = [row["stage"], f"{row['seconds']:.2f}", f"{row['share']:.1%}"]
        cells.append(f"{row['cpu_seconds']:.2f}")
        if "gflop" in row:
            cells += [
                f"{row['gflop']:.0f}",
                f"{row['gflops_per_s']:.0f}",
                f"{row['share_of_best_rate']:.0%}",
            ]
        else:
            cells += ["", "", ""]
        print(f"| {' | '.join(cells)} |")


def show_operators(
    role: str, content: bytes, shapes: tuple[tuple[int, ...], ...], threads: int
) -> None:
    """Print where a network's time goes, at the sizes that were met most often."""
    runs = 5
    spent: Counter[str] = Counter()
    for event in node_events(content, shapes, threads=threads, optimised=True, runs=runs):
        spent[event["args"]["op_name"]] += event["dur"] / runs / 1000
    print(f"\n{role} at {shapes}: ms by operator, on the CPU")
    for operator, milliseconds in spent.most_common(8):
        print(f"  {operator:<24}{milliseconds:8.2f}")


if __name__ == "__main__":
    main()
