"""Photos to train on, and batches cut from them: each a pure function of seed and step.

So a run that is resumed gets the very batches that it would have got, whatever the number of
processes that make them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset

from cleanplate.inpainting.models.edgeconnect import GREY_WEIGHTS, find_edges
from cleanplate.io import PHOTO_SUFFIXES
from cleanplate.types import RGBImage
from training.config import EdgeConnectConfig
from training.holes import Mask, make_hole

_MIN_SIDE_PX = 64  # smaller photos are icons


class Photos:
    """The photos in folders, or in a pack made by `training.pack`.

    Args:
        sources: folders, looked through with all below them, or one `photos.npy`; beside that may
            lie `foreground.npy`.

    Raises:
        ValueError: there is no photo.
    """

    def __init__(self, sources: Sequence[Path]) -> None:
        self._pack: npt.NDArray[np.uint8] | None = None
        self._foreground: npt.NDArray[np.bool_] | None = None
        self._paths: list[Path] = []
        if len(sources) == 1 and sources[0].suffix == ".npy":
            self._pack = np.load(sources[0], mmap_mode="r")
            foreground = sources[0].with_name("foreground.npy")
            if foreground.exists():
                self._foreground = np.load(foreground, mmap_mode="r")
        else:
            self._paths = sorted(
                path
                for source in sources
                for path in source.rglob("*")
                if path.suffix.lower() in PHOTO_SUFFIXES and not path.name.startswith(".")
            )
        if not len(self):
            raise ValueError(f"no photos in {', '.join(map(str, sources))}")

    def __len__(self) -> int:
        return len(self._paths) if self._pack is None else len(self._pack)

    def read(self, index: int) -> tuple[RGBImage, npt.NDArray[np.float32] | None] | None:
        """Return a photo and, if known, its foreground (h, w) in [0, 1]; None if unusable."""
        if self._pack is not None:
            foreground = None
            if self._foreground is not None:
                foreground = self._foreground[index].astype(np.float32)
            return np.asarray(self._pack[index]), foreground
        bgr = cv2.imread(str(self._paths[index]), cv2.IMREAD_COLOR)
        if bgr is None or min(bgr.shape[:2]) < _MIN_SIDE_PX:
            return None
        return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8), None


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step of EdgeConnect sees; all float32."""

    rgb: torch.Tensor  # (N, 3, S, S) in [0, 1]
    hole: torch.Tensor  # (N, 1, S, S), 1 = hole
    edges: torch.Tensor  # (N, 1, S, S), Canny edges of the whole crop, 0 or 1


class Batches(Dataset[Batch]):
    """Step -> batch.

    Args:
        photos: where crops are cut.
        silhouettes: outlines of objects for holes.
        config: of the run.
    """

    def __init__(
        self, photos: Photos, silhouettes: Sequence[Mask], config: EdgeConnectConfig
    ) -> None:
        self._photos, self._silhouettes, self._config = photos, silhouettes, config

    def __len__(self) -> int:
        return self._config.run.steps

    def __getitem__(self, step: int) -> Batch:
        """Return the batch of a step."""
        run, crops, holes = self._config.run, self._config.crops, self._config.holes
        rng = np.random.default_rng([run.seed, step])
        late = step >= crops.late_from * run.steps
        size = crops.late_size_px if late else crops.size_px
        most = holes.late_most_share if late else holes.most_share
        rgb = np.empty((run.batch, size, size, 3), np.float32)
        hole = np.empty((run.batch, size, size), np.float32)
        edges = np.empty((run.batch, size, size), np.float32)
        for index in range(run.batch):
            crop, foreground = self._crop(rng, size)
            rgb[index] = crop
            hole[index] = make_hole(
                rng, size, holes, self._silhouettes, most_share=most, foreground=foreground
            )
            edges[index] = find_edges(crop @ GREY_WEIGHTS)
        return Batch(
            torch.from_numpy(rgb).permute(0, 3, 1, 2).contiguous(),
            torch.from_numpy(hole)[:, None],
            torch.from_numpy(edges)[:, None],
        )

    def _crop(
        self, rng: np.random.Generator, size: int
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
        """Return a crop (S, S, 3) in [0, 1] and its foreground."""
        read = None
        for _ in range(20):
            read = self._photos.read(int(rng.integers(len(self._photos))))
            if read is not None:
                break
        if read is None:
            raise ValueError("20 photos in a row cannot be read; check the folder")
        photo, foreground = read
        crops = self._config.crops
        short = min(photo.shape[:2])
        # The part that becomes the crop: from one to one up to the whole short side.
        side = min(short, max(size, rng.uniform(crops.least_scale, 1.0) * short))
        top = rng.uniform(0, photo.shape[0] - side)
        left = rng.uniform(0, photo.shape[1] - side)
        part = _part(photo, top, left, side, size).astype(np.float32) / 255
        part *= 1 + rng.uniform(-crops.brightness, crops.brightness)
        kept = None
        if foreground is not None:
            scale = foreground.shape[0] / photo.shape[0]
            kept = _part(foreground, top * scale, left * scale, side * scale, size)
        if rng.random() < 0.5:
            part = part[:, ::-1]
            kept = None if kept is None else kept[:, ::-1]
        return np.clip(np.ascontiguousarray(part), 0, 1), kept


def _part(
    whole: npt.NDArray[np.uint8 | np.float32],
    top: float,
    left: float,
    side: float,
    size: int,
) -> npt.NDArray[np.float32]:
    y, x, length = int(top), int(left), max(1, round(side))
    cut = np.ascontiguousarray(whole[y : y + length, x : x + length])
    method = cv2.INTER_AREA if length > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(cut, (size, size), interpolation=method), np.float32)


def batches_from(dataset: Dataset[Batch], step: int, workers: int) -> DataLoader[Batch]:
    """Return an iterator over the batches of `step` and all that follow."""
    return DataLoader(
        dataset,
        batch_size=None,
        sampler=range(step, len(dataset)),
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
        prefetch_factor=4 if workers else None,
        worker_init_fn=_one_thread,
        generator=torch.Generator().manual_seed(0),  # else it draws from the run's own
    )


def _one_thread(_: int) -> None:
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def load_silhouettes(path: Path | None) -> list[Mask]:
    """Return the outlines that `training.pack silhouettes` wrote; none without a file."""
    if path is None:
        return []
    packed = np.load(path)
    return [row.astype(np.bool_) for row in np.unpackbits(packed, axis=2)]
