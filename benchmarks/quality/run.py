"""Fills holes whose truth is known by cleanplate, step by step, and by its peers, and scores them.

    python benchmarks/quality/run.py --scenes DIR --objects DIR --output DIR

SCENES are photos with nothing to remove; OBJECTS are photos whose objects give the holes' shapes.
OUTPUT gets a table (table.md), all figures (results.json), every fill (fills/) and a sheet of every
case (sheets/). Fills of the very same holes that are there already are not made again: delete the
folder of a method to make them again. Peers that are not installed are named and skipped: see
peers.py.
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
from cases import Case, cut_silhouettes, make_cases, read_folder
from measure import METRICS, Score, Scorer, summarise
from peers import NAMES, PeerError, find_peers

from cleanplate import Remover
from cleanplate.evaluation.features import FeatureExtractor
from cleanplate.evaluation.sheets import sheet_of, tiles_of, with_hole
from cleanplate.types import Mask, RGBImage

Fill = Callable[[RGBImage, Mask], RGBImage]

OURS = "cleanplate"
_CONTINUED = ("repeat_surroundings", "continue_surroundings")
# Step -> what of the pipeline is switched off.
STEPS: Mapping[str, tuple[str, ...]] = {
    "network alone": (*_CONTINUED, "transfer_texture", "paste"),
    "network + seam": (*_CONTINUED, "transfer_texture"),
    "network + texture": (*_CONTINUED, "paste"),
    "without lines": _CONTINUED,
    OURS: (),
}
_SHARES = (0.03, 0.1)  # of the photo: small holes, middling ones, large ones
_TILE_PX = 420  # of a sheet


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=Path, required=True, help="photos that are the truth")
    parser.add_argument("--objects", type=Path, required=True, help="photos with objects")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--per-photo", type=int, default=2, help="holes in each photo")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", choices=("full", "small", "both"), default="both")
    parser.add_argument("--kinds", type=Path, help="JSON: name of a photo, without suffix -> kind")
    parser.add_argument("--peers", nargs="*", choices=NAMES, default=None, help="default: all")
    arguments = parser.parse_args()
    kinds = json.loads(arguments.kinds.read_text()) if arguments.kinds else {}
    remover = Remover()
    shapes = cut_silhouettes(arguments.objects, remover)
    photos = list(read_folder(arguments.scenes))
    if not shapes or not photos:
        raise SystemExit(f"{len(photos)} photos and {len(shapes)} silhouettes: nothing to measure")
    cases = make_cases(photos, shapes, remover, per_photo=arguments.per_photo, seed=arguments.seed)
    print(f"{len(cases)} cases from {len(photos)} photos and {len(shapes)} silhouettes")
    peers, missing = find_peers(arguments.peers)
    for name, why in missing.items():
        print(f"skipped: {name}: {why}")
    methods: dict[str, Fill] = {step: _ours(remover, off) for step, off in STEPS.items()}
    methods |= {peer.name: peer.fill for peer in peers}
    results = {}
    sizes = ("full", "small") if arguments.size == "both" else (arguments.size,)
    for size in sizes:
        sized = cases if size == "full" else [case.at_small_size() for case in cases]
        results[size] = _measure(sized, methods, arguments.output, size)
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "results.json").write_text(json.dumps(results, indent=1))
    tables = [
        f"### {size}\n\n{markdown(result['methods'])}\n{groups(result, kinds)}"
        for size, result in results.items()
    ]
    (arguments.output / "table.md").write_text("\n".join(tables))
    print("\n".join(tables))


def _ours(remover: Remover, off: Sequence[str]) -> Fill:
    """Return the pipeline with some steps doing nothing."""

    def fill(image: RGBImage, mask: Mask) -> RGBImage:
        with ExitStack() as stack:
            for step in off:
                # The others take the photo first and the fill second.
                nothing = (
                    (lambda *_: None)
                    if step in _CONTINUED
                    else (lambda _, filled, *__, **___: filled)
                )
                stack.enter_context(mock.patch(f"cleanplate.inpainting.fill.{step}", nothing))
            return remover.fill(image, mask).image

    return fill


def _measure(
    cases: Sequence[Case], methods: Mapping[str, Fill], output: Path, size: str
) -> dict[str, dict]:  # type: ignore[type-arg]  # JSON
    features = FeatureExtractor()
    truth: dict[str, Score] = {}
    scores: dict[str, dict[str, Score]] = {"untouched": truth, **{name: {} for name in methods}}
    for case in cases:
        scorer = Scorer(case, features)
        truth[case.name] = scorer.score(case.truth)
        fills: dict[str, RGBImage] = {}
        for name, fill in methods.items():
            path = output / "fills" / size / name.replace(" ", "") / f"{case.name}.{case.key}.png"
            try:
                filled = _kept(path, case, fill)
            except PeerError as error:
                print(f"{case.name}: {error}")
                continue
            fills[name] = filled
            scores[name][case.name] = scorer.score(filled)
        _write_sheet(output / "sheets" / size / f"{case.name}.jpg", case, fills)
        said = "  ".join(
            f"{name} {scores[name][case.name].perceptual:.2f}"
            for name in methods
            if case.name in scores[name]
        )
        print(f"{size} {case.name} {case.share:.1%}: {said}", flush=True)
    chosen = {name: by_case for name, by_case in scores.items() if by_case}
    return {
        "methods": summarise(chosen, truth, OURS),
        "cases": {
            name: {case: _figures(score) for case, score in by_case.items()}
            for name, by_case in chosen.items()
        },
        "shares": {case.name: case.share for case in cases},
    }


def _figures(score: Score) -> dict[str, float | None]:
    figures = {name: getattr(score, name) for name in METRICS}
    return {name: None if np.isnan(value) else value for name, value in figures.items()}


def _kept(path: Path, case: Case, fill: Fill) -> RGBImage:
    """Return the fill that is kept in a file, or make it and keep it."""
    if path.exists():
        filled = cv2.imread(str(path))
    else:
        start = time.perf_counter()
        made = fill(case.truth, case.mask)
        path.parent.mkdir(parents=True, exist_ok=True)
        filled = cv2.cvtColor(made, cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(path), filled)
        path.with_suffix(".txt").write_text(f"{time.perf_counter() - start:.2f} s\n")
    return np.where(case.mask[..., None], cv2.cvtColor(filled, cv2.COLOR_BGR2RGB), case.truth)


def _write_sheet(path: Path, case: Case, fills: Mapping[str, RGBImage]) -> None:
    """Write the hole's surroundings side by side: the truth, the hole, and every fill."""
    hole = with_hole(case.truth, case.mask)
    shown = {"untouched": case.truth, "hole": hole, **fills}
    tiles = tiles_of(shown, case.mask, tile_px=_TILE_PX)
    columns = 4
    sheet = sheet_of([tiles[i : i + columns] for i in range(0, len(tiles), columns)])
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])


def markdown(methods: Mapping[str, Mapping[str, float | list[float]]]) -> str:
    """Return the table of one size."""
    heads = {
        "perceptual": ("Perceptual distance", "{:.2f}"),
        "psnr_db": ("PSNR, dB", "{:.1f}"),
        "ssim": ("SSIM", "{:.2f}"),
        "kid_e3": ("KID x 1000", "{:.0f}"),
        "similarity": ("Similarity", "{:.2f}"),
        "sharpness_median": ("Sharpness ratio", "{:.2f}"),
        "seam": ("Seam ratio", "{:.2f}"),
        "ours_nearer_share": ("cleanplate nearer in", "{:.0%}"),
    }
    lines = [
        "| | " + " | ".join(head for head, _ in heads.values()) + " |",
        "|---|" + "---|" * len(heads),
    ]
    for method, row in methods.items():
        cells = []
        for key, (_, form) in heads.items():
            value = row.get(key)
            if value is None:
                cells.append("")
            elif isinstance(value, list):
                mean, low, high = (form.format(one) for one in value)
                cells.append(f"{mean} ({low} to {high})")
            else:
                cells.append(form.format(value))
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def groups(result: Mapping[str, Mapping], kinds: Mapping[str, str]) -> str:  # type: ignore[type-arg]  # JSON
    """Return the table of mean perceptual distances by kind of photo and by size of hole.

    Args:
        result: of one size, as `results.json` has it.
        kinds: name of a photo -> e.g. "nature", "buildings", "rooms" or "smooth".
    """
    low, high = _SHARES
    names: dict[str, list[str]] = {}
    for case, share in result["shares"].items():
        size = f"< {low:.0%}" if share < low else f"> {high:.0%}" if share > high else "between"
        kind = kinds.get(case.rpartition(".")[0])
        for group in (size, *([kind] if kind else [])):
            names.setdefault(group, []).append(case)
    order = sorted(names)
    heads = [f"{group} ({len(names[group])})" for group in order]
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "---|" * len(order)]
    for method, by_case in result["cases"].items():
        means = []
        for group in order:
            values = [by_case[case]["perceptual"] for case in names[group] if case in by_case]
            means.append(f"{np.mean(values):.2f}" if values else "")
        lines.append(f"| {method} | " + " | ".join(means) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
