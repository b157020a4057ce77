r"""Train the network that sees all of an object, from what a segmenter found of it.

    python -m training.outlining --config training/configs/outlines.toml \
        --found FOLDER... --output RUN

FOLDER is made by `training.found`. Two thirds of the windows show what the segmenter found; in the
others, and in some of these, parts of the object are taken away, or something is added.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional
from torch.utils.data import Dataset

from cleanplate.types import Mask, RGBImage
from training.components import change_light, draw_badly, turn_a_little
from training.config import OutlinesConfig
from training.encoder_decoder import EncoderDecoderTrainer, begin_trainer, train_and_export
from training.export import export_outlines
from training.found import UNKNOWN
from training.loop import add_arguments
from training.unet import UNet

CELL_PX = 2
"""Side of a cell of the network's output."""

_GREY = 127  # beyond a photo
_CONTEXT = 0.4  # on each side of what was found, of its longer side, as the package cuts windows
_LEAST_LEFT = 0.4  # share of an object that stays
_SMOOTH_CELLS = 20.0  # of the loss of the overlap

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FoundObject:
    """An object as `training.found` writes it."""

    photo: Path
    truth: Path
    found: Path

    def read(self) -> tuple[RGBImage, npt.NDArray[np.uint8], Mask]:
        """Return (H, W, 3) RGB; (H, W), 1: the object, `UNKNOWN`: not known; and what was found."""
        rgb = np.asarray(cv2.imread(str(self.photo))[..., ::-1], np.uint8)
        truth = np.asarray(cv2.imread(str(self.truth), cv2.IMREAD_UNCHANGED), np.uint8)
        return rgb, truth, np.asarray(cv2.imread(str(self.found), cv2.IMREAD_UNCHANGED) == 1)


def read_found(folder: Path) -> list[FoundObject]:
    """Return the objects in a folder."""
    return [
        FoundObject(path, folder / f"truth/{path.stem}.png", folder / f"found/{path.stem}.png")
        for path in sorted((folder / "photos").glob("*.jpg"))
    ]


@dataclass(frozen=True, slots=True)
class OutlineBatch:
    """What one step sees."""

    rgb_mask: torch.Tensor  # (N, 4, S, S) float32 in [0, 1]
    truth: torch.Tensor  # (N, S/2, S/2) float32, 0 or 1
    known: torch.Tensor  # (N, S/2, S/2) float32, 0 or 1


class OutlineBatches(Dataset[OutlineBatch]):
    """Step -> batch: a function of seed and step.

    Args:
        objects: of photos.
        config: of the run.

    Raises:
        ValueError: there is no object.
    """

    def __init__(self, objects: Sequence[FoundObject], config: OutlinesConfig) -> None:
        if not objects:
            raise ValueError("no objects; training.found makes them")
        self._objects, self._config = objects, config

    def __len__(self) -> int:
        return self._config.run.steps

    def __getitem__(self, step: int) -> OutlineBatch:
        """Return the batch of a step."""
        rng = np.random.default_rng([self._config.run.seed, step])
        samples = [self._sample(rng) for _ in range(self._config.run.batch)]
        arrays = (np.stack(parts) for parts in zip(*samples, strict=True))
        return OutlineBatch(*(torch.from_numpy(one) for one in arrays))

    def _sample(self, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
        settings = self._config.outlines
        rgb, truth, found = self._objects[int(rng.integers(len(self._objects)))].read()
        if rng.random() < settings.found_share:
            cuts = int(rng.random() < settings.cut_share)
        else:
            found = truth == 1
            drawn = draw_badly(rng, found) > 0
            found = np.asarray(drawn) if drawn.any() else found
            cuts = int(rng.integers(3))
            if rng.random() < settings.cut_share:
                found = _with_more(rng, found)
        for _ in range(cuts):
            found = _without_part(rng, found)
        return _window(rng, rgb, truth, found, settings.size_px)


def _without_part(rng: np.random.Generator, mask: Mask) -> Mask:
    """Return an object without its thin parts, some of them, or what is near a border's pixel."""
    side_px = math.sqrt(np.count_nonzero(mask))
    if rng.random() < 0.4:
        width = 2 * max(1, round(side_px * rng.uniform(0.04, 0.14))) + 1
        shape = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
        core = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, shape) > 0
        count, parts = cv2.connectedComponents((mask & ~core).astype(np.uint8))
        gone = rng.random(count) < rng.choice([0.5, 1.0])
        gone[0] = False
        left = mask & ~gone[parts]
    else:
        left = mask & ~_disc(rng, mask, side_px * rng.uniform(0.1, 0.5), far=True)
    enough = np.count_nonzero(left) > _LEAST_LEFT * np.count_nonzero(mask)
    return np.asarray(left) if enough else mask


def _with_more(rng: np.random.Generator, mask: Mask) -> Mask:
    """Return an object with a part of its surroundings."""
    side_px = math.sqrt(np.count_nonzero(mask))
    return mask | _disc(rng, mask, side_px * rng.uniform(0.08, 0.35), far=False)


def _disc(rng: np.random.Generator, mask: Mask, radius_px: float, *, far: bool) -> Mask:
    """Return a disc around a pixel of an object's border, if `far` rather far from its middle."""
    padded = np.pad(mask.astype(np.uint8), 1)
    border = mask & (cv2.erode(padded, np.ones((3, 3), np.uint8))[1:-1, 1:-1] == 0)
    places = np.argwhere(border)
    away = np.square(places - places.mean(axis=0)).sum(axis=1) if far else np.ones(len(places))
    chosen = rng.choice(len(places), p=away / away.sum()) if away.sum() else 0
    rows, columns = np.ogrid[: mask.shape[0], : mask.shape[1]]
    y, x = places[chosen]
    return np.asarray((rows - y) ** 2 + (columns - x) ** 2 < radius_px**2)


def _window(
    rng: np.random.Generator,
    rgb: RGBImage,
    truth: npt.NDArray[np.uint8],
    found: Mask,
    size: int,
) -> tuple[Floats, Floats, Floats]:
    """Return what the network sees of an object, and what it is to say; see `OutlineBatch`."""
    left, top, wide, high = cv2.boundingRect(found.astype(np.uint8))
    scale = size / (max(wide, high, 1) * (1 + 2 * _CONTEXT)) * np.exp(rng.normal(0, 0.08))
    turn = turn_a_little(rng, scale, angle=0.08)
    middle = np.array([left + wide / 2, top + high / 2])
    move = np.hstack([turn, (size * rng.uniform(0.46, 0.54, 2) - turn @ middle)[:, None]])
    smooth = cv2.GaussianBlur(rgb, (0, 0), 0.45 / scale) if scale < 0.8 else rgb
    size_wh = (size, size)
    seen = cv2.warpAffine(smooth, move, size_wh, borderValue=(_GREY,) * 3).astype(np.float32)
    known = (truth != UNKNOWN).astype(np.float32)
    own, known, mask = (
        cv2.warpAffine(it, move, size_wh, flags=cv2.INTER_LINEAR)
        for it in ((truth == 1).astype(np.float32), known, found.astype(np.float32))
    )
    rgb_mask = np.dstack([change_light(rng, seen), mask > 0.5]).transpose(2, 0, 1)
    cells = (size // CELL_PX, size // CELL_PX)
    target, counted = (cv2.resize(it, cells, interpolation=cv2.INTER_AREA) for it in (own, known))
    return (
        np.asarray(rgb_mask, np.float32),
        (target > 0.5).astype(np.float32),
        (counted >= 1).astype(np.float32),
    )


class OutlinesTrainer(EncoderDecoderTrainer[OutlinesConfig, OutlineBatch]):
    """Trains the network that sees all of an object.

    Args:
        config: of the run.
        device: where it runs.
        pretrained: whether the encoder starts from ImageNet weights.
    """

    name = "outlines"
    warm_up_steps = 60

    def __init__(
        self, config: OutlinesConfig, device: torch.device, *, pretrained: bool = True
    ) -> None:
        given = config.outlines
        network = UNet(
            given.encoder, given.decoder_widths, pretrained=pretrained, layers=given.layers
        )
        network.to(device, memory_format=torch.channels_last)
        super().__init__(network, config, given, device)

    def input_of(self, batch: OutlineBatch) -> torch.Tensor:
        """Return the windows and what was found."""
        return batch.rgb_mask

    def loss(self, logits: torch.Tensor, batch: OutlineBatch) -> torch.Tensor:
        """Return cross-entropy, where the found mask is wrong threefold, and that of overlap."""
        found = functional.avg_pool2d(batch.rgb_mask[:, 3:], CELL_PX)[:, 0]
        return outline_loss(
            logits[:, 0], batch.truth, batch.known, found, self.config.outlines.overlap
        )


def outline_loss(
    logits: torch.Tensor,
    truth: torch.Tensor,
    known: torch.Tensor,
    found: torch.Tensor,
    overlap: float,
) -> torch.Tensor:
    """Return the mean over windows, all (N, h, w); `overlap` is the weight of 1 - soft IoU."""
    wrong = ((found > 0.5).float() - truth).abs()
    entropy = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    entropy = (entropy * known * (1 + 2 * wrong)).sum((1, 2)) / known.sum((1, 2)).clamp(min=100)
    said, own = torch.sigmoid(logits) * known, truth * known
    both = (said * own).sum((1, 2))
    either = (said + own).sum((1, 2)) - both
    return (entropy + overlap * (1 - (both + _SMOOTH_CELLS) / (either + _SMOOTH_CELLS))).mean()


def main() -> None:
    """Parse the command line, train, export."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--found", type=Path, nargs="+", required=True)
    add_arguments(parser)
    arguments = parser.parse_args()
    trainer, first = begin_trainer(arguments, OutlinesConfig, OutlinesTrainer)
    objects = [one for folder in arguments.found for one in read_found(folder)]
    print(f"{len(objects)} objects; from step {first}", flush=True)
    train_and_export(
        trainer,
        OutlineBatches(objects, trainer.config),
        arguments.output,
        start=first,
        counts={"objects": len(objects)},
        export=export_outlines,
    )


if __name__ == "__main__":
    main()
