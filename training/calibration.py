"""Fit the numbers of a semantic segmenter's registry entry that turn probabilities into decisions.

    python -m training.calibration --segmenter NAME --labelled VOC --pasted SMALL --empty SCENES

VOC and SMALL hold images/NAME.* and masks/NAME.png with class numbers, 255 = ignore; SMALL is made
by `benchmarks/segmentation/small_objects.py`. SCENES is a folder of photos without any class, among
them those that SMALL was made from. None should be a photo that the segmenter is measured on.
Printed are `calibration` (of scores) and `small_objects` (which of what only closer looks saw
counts), see `cleanplate.hub.Model`.
"""

import argparse
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.hub import get_model
from cleanplate.io import PHOTO_SUFFIXES
from cleanplate.io.files import read_photo
from cleanplate.segmentation import create_segmenter
from cleanplate.segmentation.instances import find_instances
from cleanplate.segmentation.models.semantic import SemanticSegmenter
from cleanplate.segmentation.multiscale import run_passes
from cleanplate.types import RGBImage
from training.pairs import IGNORED, Classes, find_pairs

_RIGHT = 0.5  # share of a detection that is its class
_LABELLED = 0.5  # share of a detection that is labelled, for it to be an example
_RIDGE = 0.01  # penalty on the weights: finite where the examples can be separated
_ROUNDS = 50  # of Newton's method, which takes ten


@dataclass
class Examples:
    """Detections, each as its features and whether it is right."""

    scored: list[tuple[float, bool]] = field(default_factory=list)
    """Logit of the mean probability of an object that is found."""
    small: list[tuple[float, ...]] = field(default_factory=list)
    """`SemanticSegmenter.small_features` of a small object, and whether it is right."""
    weights: list[float] = field(default_factory=list)
    """How much each of `small` counts."""


def add_examples(
    photo: RGBImage,
    classes: Classes,
    segmenter: SemanticSegmenter,
    examples: Examples,
    *,
    beside: float | None = None,
) -> None:
    """Add what a segmenter finds in a photo.

    Args:
        photo: (H, W, 3) uint8, RGB.
        classes: (H, W), the truth.
        segmenter: with the weights of small objects that its registry entry states.
        examples: added to.
        beside: of a scene without any class, in which an object may be pasted: only small objects
            are examples, since empty scenes are not as frequent among photos as here; those beside
            the pasted one count this much, less than 1 where a scene is used more than once.
    """
    model = get_model(segmenter.name, "segmenter")
    predict = functools.partial(segmenter.probabilities, channels=list(model.channels))
    passes = run_passes(photo, predict)
    rows, columns = passes.closest.shape[1:]
    scaled = cv2.resize(classes, (columns, rows), interpolation=cv2.INTER_NEAREST)
    cells = np.asarray(scaled, np.uint8)
    for item, features in segmenter.small_features(photo, passes, model.labels):
        under = cells[item.place][item.inside]
        right = is_right(under, model.channels[item.index])
        if right is not None:
            examples.small.append((*features, right))
            examples.weights.append(1.0 if beside is None or under.any() else beside)
    if beside is not None:
        return
    divide = functools.partial(segmenter.divider.divide, photo)
    for instance in find_instances(passes.merged, model.labels, photo.shape[:2], divide):
        left, top, right_side, bottom = instance.box_xyxy
        under = classes[top:bottom, left:right_side][instance.mask]
        right = is_right(under, model.channels[model.labels.index(instance.label)])
        if right is not None:
            score = min(instance.score, 1 - 1e-6)
            examples.scored.append((math.log(score / (1 - score)), right))


def is_right(under: Classes, number: int) -> bool | None:
    """Return whether half of a detection or more is its class; None if too little is labelled."""
    labelled = under[under != IGNORED]
    if len(labelled) < _LABELLED * len(under):
        return None
    return bool((labelled == number).mean() >= _RIGHT)


def logistic_regression(
    features: npt.NDArray[np.float64],
    right: npt.NDArray[np.bool_],
    counts: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Return the weights of each feature, and the offset, by Newton's method.

    Args:
        features: (N, F).
        right: (N,), not all equal.
        counts: (N,), how much each example counts.

    Raises:
        ValueError: all are right, or none is.
    """
    if right.all() or not right.any():
        raise ValueError(f"of {len(right)} examples {right.sum()} are right; give more photos")
    rows = np.hstack([features, np.ones((len(features), 1))])
    penalty = np.diag([_RIDGE] * features.shape[1] + [0.0])
    weights = np.zeros(rows.shape[1])
    for _ in range(_ROUNDS):
        likely = (1 + np.tanh(rows @ weights / 2)) / 2
        gradient = rows.T @ (counts * (likely - right)) + penalty @ weights
        curvature = (rows.T * (counts * likely * (1 - likely))) @ rows + penalty
        weights -= np.linalg.solve(curvature, gradient)
    return weights


def main() -> None:
    """Parse the command line, collect examples, fit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--segmenter", default="deeplabv3plus_lite2.voc")
    parser.add_argument("--labelled", type=Path, nargs="+", required=True)
    parser.add_argument("--pasted", type=Path, nargs="+", required=True)
    parser.add_argument("--empty", type=Path, nargs="+", required=True)
    arguments = parser.parse_args()
    segmenter = create_segmenter(arguments.segmenter)
    if not isinstance(segmenter, SemanticSegmenter):
        raise SystemExit(f"{segmenter.name} is not a semantic segmenter; its scores are its own")
    examples = Examples()
    labelled = [pair for folder in arguments.labelled for pair in find_pairs(folder)]
    pasted = [pair for folder in arguments.pasted for pair in find_pairs(folder)]
    empty = [
        path
        for folder in arguments.empty
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in PHOTO_SUFFIXES
    ]
    for pair in labelled:
        add_examples(*pair.read(), segmenter, examples)
    for pair in pasted:
        add_examples(*pair.read(), segmenter, examples, beside=min(1, len(empty) / len(pasted)))
    for path in empty:
        photo = read_photo(path).pixels
        nothing = np.zeros(photo.shape[:2], np.uint8)
        add_examples(photo, nothing, segmenter, examples, beside=1)
    once = [1.0] * len(examples.scored)
    print_fit("calibration", examples.scored, once)
    print_fit("small_objects", examples.small, examples.weights)


def print_fit(name: str, rows: Sequence[tuple[float, ...]], counts: Sequence[float]) -> None:
    """Print a line for the registry: rows are features, and whether they are right."""
    table = np.array(rows, np.float64)
    right = table[:, -1] > 0
    weights = logistic_regression(table[:, :-1], right, np.array(counts))
    fitted = ", ".join(f"{weight:.3f}" for weight in weights)
    print(f"{name}=({fitted}),  # {len(table)} examples, {np.count_nonzero(right)} right")


if __name__ == "__main__":
    main()
