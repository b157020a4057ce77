"""Measures whether clean plates free a classifier of a shortcut: "a horse, so a person".

    python benchmarks/augmentation/run.py --photos DIR --masks DIR --cache DIR [--limit N]

PHOTOS are JPEGs, MASKS hold a PNG of the same name for each, with VOC's class numbers (15 person,
13 horse; 3, 8, 10, 12, 17 other animals). The question is "is a person in the photo?". For
training, every photo of a horse shows a person, and no other photo does:

    person      horse and person
    no person   another animal alone

The test has what training lacks, real photos all: horses alone, and other animals with people. Each
arm adds images to the training photos:

    biased      nothing
    plates      the horse photos without their people (no person)
    both        these, and the horse photos without their horses (person)
    control     only the latter: whether "was filled" is taken for "no person"
    telea       as plates, filled by OpenCV's method
    grey        as plates, filled with grey
    oracle      real photos of horses alone (no person), as many as there are plates

Features are those of a frozen EfficientNet-lite2 with ImageNet weights; the classifier is a
logistic regression, classes weighted equally. Ten random divisions into training and test;
intervals are bootstrapped over them. Plates and features are kept in CACHE. Needs the extra train.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from cleanplate import Remover
from cleanplate.datasets import AnnotatedPhoto, Annotation, CroppedMask, DatasetOptions
from cleanplate.inpainting import create_inpainter
from cleanplate.io import read_photo
from cleanplate.options import RemovalOptions
from cleanplate.types import Mask, RGBImage

PERSON, HORSE, ANIMALS = 15, 13, (3, 8, 10, 12, 17)
NAMES = {PERSON: "person", HORSE: "horse"} | dict.fromkeys(ANIMALS, "animal")
LEAST_PX = 500  # of a class in a photo
SIDE = 260  # px, of the network's input
SEEDS = 10
TRAINED = 0.6  # share of each group that is trained on
OTHERS = 900  # photos of other animals alone that are used
PENALTY = 1e-2  # of the logistic regression, times the mean squared weight
Features = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Group:
    """Photos of one kind."""

    name: str
    files: tuple[str, ...]
    is_person: bool


def groups_in(masks: Path, limit: int | None) -> dict[str, Group]:
    """Return the four groups of photos, in an order that does not depend on the folder."""
    found: dict[str, list[str]] = {name: [] for name in ("both", "horse", "animal", "people")}
    for path in sorted(masks.glob("*.png")):
        counts = np.bincount(cv2.imread(str(path), cv2.IMREAD_UNCHANGED).ravel(), minlength=256)
        has = {number for number in NAMES if counts[number] > LEAST_PX}
        person, horse, animal = PERSON in has, HORSE in has, bool(has & set(ANIMALS))
        if horse:
            found["both" if person else "horse"].append(path.stem)
        elif animal:
            found["people" if person else "animal"].append(path.stem)
    rng = np.random.default_rng(0)
    names = {"both": True, "horse": False, "animal": False, "people": True}
    groups = {}
    for name, is_person in names.items():
        most = {"both": limit, "animal": OTHERS}.get(name)
        files = rng.permutation(found[name])[:most]
        groups[name] = Group(name, tuple(map(str, files)), is_person)
    return groups


class Plates:
    """Fills the people or the horses of photos, and keeps the results."""

    def __init__(self, photos: Path, masks: Path, cache: Path) -> None:
        self._photos, self._masks, self._cache = photos, masks, cache
        self._removers = {
            "plates": Remover(),
            "telea": Remover(inpainter=create_inpainter("telea")),
        }

    def read(self, name: str, kind: str) -> RGBImage:
        """Return a photo, or what it becomes: "plates", "no_horse", "telea", "grey" or "photo"."""
        photo = self._photos / f"{name}.jpg"
        if kind == "photo":
            return np.asarray(read_photo(photo).pixels)
        path = self._cache / kind / f"{name}.png"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), cv2.cvtColor(self._make(photo, name, kind), cv2.COLOR_RGB2BGR))
        return np.asarray(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB))

    def _make(self, path: Path, name: str, kind: str) -> RGBImage:
        photo = read_photo(path)
        numbers = cv2.imread(str(self._masks / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        removed = "horse" if kind == "no_horse" else "person"
        remover = self._removers["telea" if kind in ("telea", "grey") else "plates"]
        request = AnnotatedPhoto(
            annotations=tuple(_annotations(numbers)),
            options=DatasetOptions(classes=(removed,)),
            removal=RemovalOptions(),
        )
        plan = request.plan(photo, remover)
        if kind == "grey":
            return np.where(plan.mask[..., None], np.uint8(128), photo.pixels)
        return np.asarray(remover.fill(photo.pixels, plan).image)


def _annotations(numbers: npt.NDArray[np.uint8]) -> list[Annotation]:
    height, width = numbers.shape
    found = []
    for number, label in NAMES.items():
        mask: Mask = numbers == number
        if mask.any():
            placed = CroppedMask((0, 0, width, height), mask)
            box = (0.0, 0.0, float(width), float(height))
            found.append(Annotation(key=str(number), label=label, box=box, outline=placed))
    return found


class Extractor:
    """Means of the last feature map of a frozen network, kept in a folder."""

    def __init__(self, cache: Path) -> None:
        import torch
        from training.losses import make_encoder

        torch.set_num_threads(1)
        self._torch, self._cache = torch, cache / "features"
        self._encoder = make_encoder(
            "tf_efficientnet_lite2", (0, 1, 2, 3, 4), pretrained=True
        ).eval()

    def __call__(self, key: str, read: Callable[[], RGBImage]) -> npt.NDArray[np.float32]:
        """Return (C,) float32 of an image, which is read only if it is not kept."""
        path = self._cache / f"{key}.npy"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            image = cv2.resize(read(), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
            tensor = self._torch.from_numpy(image.transpose(2, 0, 1)[None].astype(np.float32))
            with self._torch.inference_mode():  # [-1, 1], as the network was trained on
                deepest = self._encoder((tensor - 127) / 128)[-1]
            np.save(path, deepest[0].mean(dim=(1, 2)).numpy())
        return np.asarray(np.load(path), np.float32)


def train(features: Features, is_person: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return (C + 1,) weights of a logistic regression, the bias last."""
    signs = np.where(is_person, 1.0, -1.0)
    weights = np.where(is_person, 0.5 / is_person.sum(), 0.5 / (~is_person).sum())
    rows = np.hstack([features, np.ones((len(features), 1))])

    def loss(values: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        margins = signs * (rows @ values)
        slopes = -weights * signs / (1 + np.exp(np.clip(margins, -50, 50)))
        gradient = rows.T @ slopes
        gradient[:-1] += PENALTY * values[:-1]
        total = weights @ np.logaddexp(0, -margins) + PENALTY / 2 * values[:-1] @ values[:-1]
        return float(total), gradient

    found = minimize(loss, np.zeros(rows.shape[1]), jac=True, method="L-BFGS-B")
    return np.asarray(found.x)


def auc(positive: npt.NDArray[np.float64], negative: npt.NDArray[np.float64]) -> float:
    """Return how often a photo with a person scores above one without."""
    return float((positive[:, None] > negative[None]).mean())


ARMS: dict[str, tuple[tuple[str, bool], ...]] = {
    "biased": (),
    "plates": (("plates", False),),
    "both": (("plates", False), ("no_horse", True)),
    "control": (("no_horse", True),),
    "telea": (("telea", False),),
    "grey": (("grey", False),),
    "oracle": (("horse", False),),
}
"""Arm -> what it adds, and whether that shows a person."""

MEASURES = ("false persons", "found persons", "worst group", "AUC")


def measure(sets: dict[str, Features], seed: int) -> dict[str, list[float]]:
    """Return arm -> the measures of one division."""
    rng = np.random.default_rng(seed)
    taken, left = {}, {}
    for name in ("both", "horse", "animal", "people"):
        order = rng.permutation(len(sets[name]))
        cut = round(TRAINED * len(order))
        taken[name], left[name] = order[:cut], order[cut:]
    basis = np.vstack([sets["both"][taken["both"]], sets["animal"][taken["animal"]]])
    mean, spread = basis.mean(axis=0), basis.std(axis=0) + 1e-6
    scaled = {name: (features - mean) / spread for name, features in sets.items()}
    results = {}
    for arm, additions in ARMS.items():
        parts = [scaled["both"][taken["both"]], scaled["animal"][taken["animal"]]]
        labels = [np.ones(len(parts[0]), np.bool_), np.zeros(len(parts[1]), np.bool_)]
        for name, is_person in additions:
            rows = taken["horse"][: len(taken["both"])] if name == "horse" else taken["both"]
            parts.append(scaled[name][rows])
            labels.append(np.full(len(rows), is_person))
        weights = train(np.vstack(parts), np.concatenate(labels))
        score = {name: scaled[name][left[name]] @ weights[:-1] + weights[-1] for name in left}
        right = {name: (score[name] > 0) == (name in ("both", "people")) for name in score}
        shares = {name: float(values.mean()) for name, values in right.items()}
        results[arm] = [
            1 - shares["horse"],
            shares["people"],
            min(shares.values()),
            auc(score["people"], score["horse"]),
        ]
    return results


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the mean over divisions, and its bootstrapped 95 % interval."""
    rng = np.random.default_rng(1)
    array = np.asarray(values)
    means = rng.choice(array, (2000, len(array))).mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(array.mean()), float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--masks", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--limit", type=int, help="photos of a horse and a person")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    groups = groups_in(given.masks, given.limit)
    print(", ".join(f"{len(group.files)} {name}" for name, group in groups.items()), flush=True)
    plates = Plates(given.photos, given.masks, given.cache)
    extract = Extractor(given.cache)
    wanted = [(name, "photo", group.files) for name, group in groups.items()]
    wanted += [
        (kind, kind, groups["both"].files) for kind in ("plates", "no_horse", "telea", "grey")
    ]
    sets: dict[str, Features] = {}
    for name, kind, files in wanted:
        rows = [
            extract(f"{kind}-{it}", lambda it=it, kind=kind: plates.read(it, kind)) for it in files
        ]
        sets[name] = np.asarray(rows, np.float64)
        print(f"{name}: {len(rows)} images", flush=True)
    divisions = [measure(sets, seed) for seed in range(SEEDS)]
    print(f"{'arm':10}" + "".join(f"{name:>26}" for name in MEASURES))
    for arm in ARMS:
        cells = []
        for index in range(len(MEASURES)):
            mean, low, high = interval([division[arm][index] for division in divisions])
            cells.append(f"{mean:.3f} [{low:.3f}, {high:.3f}]".rjust(26))
        print(f"{arm:10}" + "".join(cells), flush=True)
    for index, name in enumerate(MEASURES):
        gained, possible = (
            [division[arm][index] - division["biased"][index] for division in divisions]
            for arm in ("plates", "oracle")
        )
        mean, low, high = interval(gained)
        share = f"{mean / np.mean(possible):.0%} of what the oracle gains"
        print(f"plates - biased, {name}: {mean:+.3f} [{low:+.3f}, {high:+.3f}], {share}")


if __name__ == "__main__":
    main()
