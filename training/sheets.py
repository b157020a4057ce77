"""Sheets of a run: what the networks make of some crops, to be looked at."""

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch

from training.loop import on_device
from training.photos import Batch

if TYPE_CHECKING:
    from training.edgeconnect import Trainer

_ROWS = 12
_QUALITY = 85


def write_sheet(path: Path, trainer: "Trainer", batch: Batch) -> None:
    """Write a JPEG: the holed crop, its edges with those drawn, the fill, the truth; a row each."""
    few = Batch(*(part[:_ROWS] for part in (batch.rgb, batch.hole, batch.edges)))
    few = on_device(few, trainer.device)
    edges, filled = trainer.fill(few)
    holed = few.rgb * (1 - few.hole) + few.hole
    columns = torch.cat([holed, edges.expand(-1, 3, -1, -1), filled, few.rgb], 3)
    rows = columns.permute(0, 2, 3, 1).reshape(-1, columns.shape[3], 3)
    picture = (rows.clamp(0, 1) * 255).round().byte().cpu().numpy()
    quality = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    cv2.imwrite(str(path), np.ascontiguousarray(picture[..., ::-1]), quality)
