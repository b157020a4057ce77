r"""Train the network that recognizes small objects, or that there is none.

    python -m training.recognition --config training/configs/recognition.toml \
        --candidates FOLDER... --output RUN

FOLDER is made by `training.candidates`. The first layers keep ImageNet's weights.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import Dataset

from cleanplate.labels import VOC_LABELS
from training.candidates import CONTEXT, WINDOW_PX
from training.components import change_light, draw_badly, turn_a_little
from training.config import RecognitionConfig
from training.encoder_decoder import EncoderDecoderTrainer, begin_trainer, train_and_export
from training.export import export_recognition
from training.loop import add_arguments
from training.losses import make_encoder

_GREY = 127  # beyond a photo
_SHOWN = 0.3  # of the object's longer side, on each side of it, as the package cuts windows
_SMALL_PX = (24, 85)  # long side of an object, before it is enlarged
_SMOOTHING = 0.05  # of the labels
_DROPOUT = 0.2

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Window:
    """A candidate as `training.candidates` writes it."""

    path: Path
    mask: Path
    found: int  # class number; 0: a true object
    true: int  # class number; 0: none

    def read(self) -> tuple[Floats, Floats]:
        """Return (S, S, 3) RGB in [0, 255] and (S, S) the object's share in [0, 1]."""
        rgb = cv2.imread(str(self.path))[..., ::-1]
        mask = cv2.imread(str(self.mask), cv2.IMREAD_GRAYSCALE)
        return rgb.astype(np.float32), mask.astype(np.float32) / np.float32(255)


def read_windows(folder: Path) -> Iterator[Window]:
    """Yield the candidates in a folder."""
    for line in (folder / "truth.tsv").read_text(encoding="utf-8").splitlines():
        name, found, true = line.split("\t")
        path, mask = folder / f"windows/{name}.jpg", folder / f"masks/{name}.png"
        yield Window(path, mask, int(found), int(true))


@dataclass(frozen=True, slots=True)
class WindowBatch:
    """What one step sees."""

    rgb_mask: torch.Tensor  # (N, 4, S, S) float32 in [0, 1]
    classes: torch.Tensor  # (N,) int64; 0: no object


class WindowBatches(Dataset[WindowBatch]):
    """Step -> batch: a function of seed and step.

    Args:
        windows: of candidates.
        config: of the run.

    Raises:
        ValueError: there are no candidates that are right, or wrong, or no true objects.
    """

    def __init__(self, windows: Sequence[Window], config: RecognitionConfig) -> None:
        self._config = config
        self._wrong = [it for it in windows if it.found not in (0, it.true)]
        self._right = _Balanced([it for it in windows if it.found == it.true != 0])
        self._true = _Balanced([it for it in windows if it.found == 0])
        if not self._wrong:
            raise ValueError("no candidate is wrong; give more photos")

    def __len__(self) -> int:
        return self._config.run.steps

    def __getitem__(self, step: int) -> WindowBatch:
        """Return the batch of a step."""
        rng = np.random.default_rng([self._config.run.seed, step])
        chosen = [self._choose(rng) for _ in range(self._config.run.batch)]
        arrays = np.stack([self._sample(one, rng) for one in chosen])
        return WindowBatch(torch.from_numpy(arrays), torch.tensor([one.true for one in chosen]))

    def _choose(self, rng: np.random.Generator) -> Window:
        kind, settings = rng.random(), self._config.recognition
        if kind < settings.right_share:
            return self._right.choose(rng)
        if kind < settings.right_share + settings.true_share:
            return self._true.choose(rng)
        return self._wrong[rng.integers(len(self._wrong))]

    def _sample(self, one: Window, rng: np.random.Generator) -> Floats:
        settings = self._config.recognition
        rgb, mask = one.read()
        if one.found == 0 and rng.random() < settings.pasted_share:
            other = self._wrong[rng.integers(len(self._wrong))].read()[0]
            rgb = _put(rgb, mask, other, rng)
        rgb, mask = _moved(rgb, mask, settings.size_px, rng)
        if one.found == 0 or rng.random() < 0.5:
            mask = draw_badly(rng, mask > 0.5)
        if rng.random() < settings.small_share:
            rgb = _blurred(rgb, rng)
        return np.dstack([change_light(rng, rgb), mask]).transpose(2, 0, 1)


class _Balanced:
    """Windows of which rare classes are chosen more often: by the root of their number."""

    def __init__(self, windows: Sequence[Window]) -> None:
        if not windows:
            raise ValueError("no candidate is right, or there are no true objects")
        self._windows = windows
        counts = np.bincount([it.true for it in windows])
        weights = np.array([1 / np.sqrt(counts[it.true]) for it in windows])
        self._weights = weights / weights.sum()

    def choose(self, rng: np.random.Generator) -> Window:
        return self._windows[rng.choice(len(self._windows), p=self._weights)]


def _put(rgb: Floats, mask: Floats, other: Floats, rng: np.random.Generator) -> Floats:
    """Return an object in front of another window, about as bright as that."""
    cover = cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.6, 1.5))[..., None]
    own = float(rgb[mask > 0.5].mean()) if (mask > 0.5).any() else 100.0
    light = (other.mean() / max(20.0, own)) ** rng.uniform(0, 0.6)
    return np.clip(other + (rgb * light - other) * cover, 0, 255).astype(np.float32)


def _moved(rgb: Floats, mask: Floats, size: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return a window as the package cuts it, turned, stretched and moved a little."""
    scale = size / WINDOW_PX * (1 + 2 * CONTEXT) / (1 + 2 * _SHOWN) * np.exp(rng.normal(0, 0.12))
    turn = turn_a_little(rng, scale, angle=0.08)
    middle = np.full(2, WINDOW_PX / 2)
    move = np.hstack([turn, (size * rng.normal(0.5, 0.04, 2) - turn @ middle)[:, None]])
    seen = cv2.warpAffine(rgb, move, (size, size), borderValue=(_GREY,) * 3)
    share = cv2.warpAffine(mask, move, (size, size))
    return np.asarray(seen, np.float32), np.asarray(share, np.float32)


def _blurred(rgb: Floats, rng: np.random.Generator) -> Floats:
    """Return a window as if its object had been small."""
    size = len(rgb)
    low, high = np.log(_SMALL_PX)
    side = round(np.exp(rng.uniform(low, high)) * (1 + 2 * _SHOWN))
    if side >= size:
        return rgb
    small = cv2.resize(rgb, (side, side), interpolation=cv2.INTER_AREA)
    method = cv2.INTER_LINEAR if rng.random() < 0.7 else cv2.INTER_CUBIC
    return np.clip(cv2.resize(small, (size, size), interpolation=method), 0, 255)


class RecognitionNetwork(nn.Module):
    """What an object is, by a window around it.

    Args:
        config: of the run.
        pretrained: whether the encoder starts from ImageNet weights.
    """

    def __init__(self, config: RecognitionConfig, *, pretrained: bool) -> None:
        super().__init__()
        given = config.recognition
        self.encoder = make_encoder(given.encoder, (4,), pretrained=pretrained)
        self._blocks_held = given.held
        for layer in self._held:
            layer.requires_grad_(False)
        with torch.no_grad():
            channels, side = self._first(torch.zeros(1, 3, WINDOW_PX, WINDOW_PX)).shape[1:3]
        self._stride = WINDOW_PX // side
        self.mask = nn.Conv2d(1, channels, 1)
        nn.init.zeros_(self.mask.weight)
        self.head = nn.Linear(self.encoder.feature_info.channels()[-1], len(VOC_LABELS) + 1)

    def train(self, mode: bool = True) -> "RecognitionNetwork":
        """Train, with the statistics of the first layers held."""
        super().train(mode)
        for layer in self._held:
            layer.eval()
        return self

    def forward(self, rgb_mask: torch.Tensor) -> torch.Tensor:
        """(N, 4, S, S) in [0, 1] -> logits (N, 21): no object, VOC's classes."""
        share = functional.avg_pool2d(rgb_mask[:, 3:], self._stride)
        features = self._first(rgb_mask[:, :3]) + self.mask(share * 2 - 1)
        for block in self.encoder.blocks[self._blocks_held :]:
            features = block(features)
        means = functional.dropout(features.mean((2, 3)), _DROPOUT, self.training)
        return self.head(means)

    @property
    def _held(self) -> list[nn.Module]:
        return [self.encoder.conv_stem, self.encoder.bn1, *self.encoder.blocks[: self._blocks_held]]

    def _first(self, rgb: torch.Tensor) -> torch.Tensor:
        features = (rgb * 255 - 127) / 128
        for layer in self._held:
            features = layer(features)
        return features


class RecognitionTrainer(EncoderDecoderTrainer[RecognitionConfig, WindowBatch]):
    """Trains the network that recognizes objects.

    Args:
        config: of the run.
        device: where it runs.
        pretrained: whether the encoder starts from ImageNet weights.
    """

    name = "objects"
    warm_up_steps = 100

    def __init__(
        self, config: RecognitionConfig, device: torch.device, *, pretrained: bool = True
    ) -> None:
        network = RecognitionNetwork(config, pretrained=pretrained)
        network.to(device, memory_format=torch.channels_last)
        super().__init__(network, config, config.recognition, device)

    def input_of(self, batch: WindowBatch) -> torch.Tensor:
        """Return the windows and the objects' masks."""
        return batch.rgb_mask

    def loss(self, logits: torch.Tensor, batch: WindowBatch) -> torch.Tensor:
        """Return cross-entropy."""
        return functional.cross_entropy(logits, batch.classes, label_smoothing=_SMOOTHING)


def main() -> None:
    """Parse the command line, train, export."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--candidates", type=Path, nargs="+", required=True)
    add_arguments(parser)
    arguments = parser.parse_args()
    trainer, first = begin_trainer(arguments, RecognitionConfig, RecognitionTrainer)
    windows = [one for folder in arguments.candidates for one in read_windows(folder)]
    print(f"{len(windows)} candidates; from step {first}", flush=True)
    train_and_export(
        trainer,
        WindowBatches(windows, trainer.config),
        arguments.output,
        start=first,
        counts={"candidates": len(windows)},
        export=export_recognition,
    )


if __name__ == "__main__":
    main()
