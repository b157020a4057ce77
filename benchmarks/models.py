"""Times every registered model on this machine, for the column in docs/models.md.

    python benchmarks/models.py                     all; writes docs/model_speeds.json
    python benchmarks/models.py NAME...             these; the others stay as they are there

The photo is generated and shows nothing that has a name; the hole is at a fixed place. Models that
are not on this machine are made with random weights, of their exact architecture, by the
package's own converters (which needs the extra `convert`); --home DIR keeps them for the next time.
Those that are published as ONNX only cannot be made, and are skipped.

A segmenter's time is that of finding people, or what a phrase describes; an inpainter's that of
`Remover.fill`; a prompter's that of preparing the photo and one outline. Before each run of a model
comes one of the reference, the built-in model of its kind (of prompters: the built-in segmenter),
and their ratio is the result: what else a machine does meets both. Run `python
docs/generate_models.py` afterwards.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from cleanplate import Remover
from cleanplate.errors import WeightsError
from cleanplate.hub.install import import_model
from cleanplate.hub.registry import MODELS
from cleanplate.hub.store import HOME_VARIABLE, find_file, is_available
from cleanplate.inpainting import DEFAULT_INPAINTER, METHODS
from cleanplate.segmentation import DEFAULT_SEGMENTER, create_segmenter
from cleanplate.segmentation.interactive import create_prompter
from cleanplate.types import Mask, RGBImage

TARGET = Path(__file__).parents[1] / "docs" / "model_speeds.json"
PHOTO_WH = (1600, 1200)
HOLE_WH = (300, 400)  # an oval of a person's size
THREADS = 2
REPEATS = 7
SEEDS = 4  # of weights that are tried
POINT = (800.0, 600.0, True)

Run = Callable[[], object]
Measured = Mapping[str, object]
"""Seconds, the reference, and the ratio of both times."""


def make_photo() -> RGBImage:
    """Return a ground of blots and grain, the same each time."""
    rng = np.random.default_rng(0)
    photo = np.full((PHOTO_WH[1], PHOTO_WH[0], 3), 120, np.float32)
    for cell_px, levels in ((400, 25), (50, 15), (6, 15), (1, 6)):
        small = rng.standard_normal((PHOTO_WH[1] // cell_px + 1, PHOTO_WH[0] // cell_px + 1, 3))
        photo += levels * cv2.resize(
            small.astype(np.float32), PHOTO_WH, interpolation=cv2.INTER_CUBIC
        )
    return np.clip(photo, 0, 255).astype(np.uint8)


def make_hole() -> Mask:
    """Return the mask of an oval in the middle."""
    mask = np.zeros(PHOTO_WH[::-1], np.uint8)
    middle, axes = [side // 2 for side in PHOTO_WH], [side // 2 for side in HOLE_WH]
    cv2.ellipse(mask, middle, axes, 0, 0, 360, 1, -1)
    return mask > 0


OWN = {"deeplabv3plus.own": DEFAULT_SEGMENTER, "edgeconnect.own": DEFAULT_INPAINTER}
"""Users' own training -> the built-in model of that architecture."""


def install(name: str) -> None:
    """Install a model with weights that mean nothing, or a built-in one's."""
    if name in OWN:
        like = MODELS[OWN[name]]
        import_model(name, [find_file(like, file.role) for file in like.files], own_weights=True)
        return
    from random_checkpoints import write_checkpoints

    for seed in range(SEEDS):
        with tempfile.TemporaryDirectory() as folder:
            paths = write_checkpoints(MODELS[name], Path(folder), seed=seed)
            try:
                import_model(name, paths, own_weights=True)
            except WeightsError:
                if seed == SEEDS - 1:
                    raise
            else:
                return


def make_available(name: str, home: Path) -> bool:
    """Let a model be found: on this machine, or in `home`, where it is made if it can be."""
    if is_available(MODELS[name]):
        return True
    os.environ[HOME_VARIABLE] = str(home)
    if not is_available(MODELS[name]) and (MODELS[name].checkpoints or name in OWN):
        install(name)
    return is_available(MODELS[name])


def runner(name: str, photo: RGBImage, hole: Mask) -> Run:
    """Return what is timed of a model, loaded and run once."""
    kind = "inpainter" if name in METHODS else MODELS[name].kind
    if kind == "segmenter":
        segmenter = create_segmenter(name, device="cpu", threads=THREADS)
        found = segmenter.segment(photo, ["person"])
        if found:
            raise SystemExit(f"{name} finds {found[0].label} in the photo; nothing may be there")
        return lambda: segmenter.segment(photo, ["person"])
    if kind == "inpainter":
        remover = Remover(inpainter=name, device="cpu", threads=THREADS)
        remover.fill(photo, hole)
        return lambda: remover.fill(photo, hole)
    prompter = create_prompter(name, device="cpu", threads=THREADS)
    prompter.predict(prompter.set_image(photo), points=[POINT])
    return lambda: prompter.predict(prompter.set_image(photo), points=[POINT])


def seconds_of(run: Run) -> float:
    """Return how long one run takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def measure(names: Sequence[str], repeats: int, home: Path) -> Iterator[tuple[str, Measured]]:
    """Yield what each model takes, beside the built-in one of its kind.

    Args:
        names: of models and methods.
        repeats: runs of each.
        home: folder for models that are not on this machine.
    """
    cv2.setNumThreads(THREADS)
    photo, hole = make_photo(), make_hole()
    references = {
        name: runner(name, photo, hole) for name in (DEFAULT_SEGMENTER, DEFAULT_INPAINTER)
    }
    users_home = os.environ.get(HOME_VARIABLE, "")  # empty: as if it were not set
    for name in names:
        os.environ[HOME_VARIABLE] = users_home
        fills = name in METHODS or MODELS[name].kind == "inpainter"
        reference = DEFAULT_INPAINTER if fills else DEFAULT_SEGMENTER
        if name not in METHODS and not make_available(name, home):
            print(f"{name:<38} not here, and published as ONNX only: not measured", flush=True)
            continue
        run = references.get(name) or runner(name, photo, hole)
        pairs = [(seconds_of(references[reference]), seconds_of(run)) for _ in range(repeats)]
        theirs, own = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratios = sorted(own_s / their_s for their_s, own_s in pairs)
        ratio = 1.0 if name == reference else statistics.median(ratios)
        print(
            f"{name:<38} {own:7.2f} s  {ratio:6.2f} x {reference} ({theirs:.2f} s)  "
            f"ratios {ratios[0]:.2f} to {ratios[-1]:.2f}",
            flush=True,
        )
        yield name, {"seconds": round(own, 3), "reference": reference, "ratio": round(ratio, 3)}


def write(names: Sequence[str], known: Mapping[str, Measured]) -> None:
    """Write what is known of some models, in this order."""
    content = {
        "photo_wh": PHOTO_WH,
        "hole_wh": HOLE_WH,
        "threads": THREADS,
        "models": {name: known[name] for name in names},
    }
    TARGET.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Read the options, measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--home", type=Path, help="keeps what was made; default: nothing is kept")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    args = parser.parse_args()
    everything = [*MODELS, *METHODS]
    if unknown := set(args.names) - set(everything):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(everything)}")
    os.environ["CLEANPLATE_OFFLINE"] = "1"
    known = (
        json.loads(TARGET.read_text(encoding="utf-8"))["models"]
        if args.names and TARGET.exists()
        else {}
    )
    with tempfile.TemporaryDirectory() as folder:
        home = args.home or Path(folder)
        for name, measured in measure(args.names or everything, args.repeats, home):
            known[name] = measured
            write([name for name in everything if name in known], known)
    print(f"written: {TARGET}", file=sys.stderr)


if __name__ == "__main__":
    main()
