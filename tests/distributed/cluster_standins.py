"""A segmenter without a network that some photos kill, importable where workers run."""

import os
import signal
import time
from collections.abc import Collection

import numpy as np

from cleanplate.types import Instance, RGBImage

COLOURS = {"person": (220, 20, 20), "killer": (20, 20, 220), "assassin": (20, 220, 20)}
"""Red is a person; blue ends the process that has it; green kills the actor that it has."""


class ColourSegmenter:
    """Takes red for a person; blue and green are deadly, see `COLOURS`.

    Args:
        pause_s: how long processing a photo takes at least.
    """

    name, provider, labels = "colours", "NumPy", ("person",)

    def __init__(self, pause_s: float = 0.0) -> None:
        self.pause_s = pause_s

    def segment(self, image: RGBImage, labels: Collection[str]) -> list[Instance]:
        time.sleep(self.pause_s)
        share = {name: self._alike(image, colour).mean() for name, colour in COLOURS.items()}
        if share["killer"] > 0.5:
            os._exit(3)
        if share["assassin"] > 0.5:
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(60)
        mask = self._alike(image, COLOURS["person"])
        if not mask.any():
            return []
        rows, columns = np.nonzero(mask)
        box = (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
        inside = mask[box[1] : box[3], box[0] : box[2]]
        return [Instance(1, "person", 0.9, box, inside)]

    def _alike(self, image: RGBImage, colour: tuple[int, int, int]) -> np.ndarray:
        return np.abs(image.astype(int) - colour).max(axis=2) < 60
