"""Touching objects of one class, which a semantic network sees as one, divided by another network.

It sees a window around a connected component, and finds the centres of the objects' boxes and, for
each pixel, where the centre of its object is: as in a vote, each pixel goes to the centre nearest
to what it says.

Reference:
    Cheng et al., Panoptic-DeepLab, CVPR 2020, arXiv:1911.10194.
"""

import functools
from types import MappingProxyType

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.hub import get_model, read_file
from cleanplate.ops import bounding_box, see_component
from cleanplate.runtime import Session
from cleanplate.segmentation.instances import PERSON
from cleanplate.types import Box, FloatArray, Mask, RGBImage

DIVIDING_MODEL = "instances.lite0"

_SIZE_PX = get_model(DIVIDING_MODEL).preprocessing.square_px  # of the network's input
_CONTEXT = 0.1  # of the component's longer side, on each side of it
_COVERED = 0.5  # share of a pixel from which on it is the component's
_LEAST_CELLS = 150  # smaller components stay whole

# Chosen such that single objects stay whole, on photos of VOC and COCO train that the network was
# not trained on: docs/quality.md. Hysteresis: there are several objects if a second centre is
# certain, and then likely ones count too.
_CERTAIN = MappingProxyType({PERSON: 0.3, "car": 0.4, "bus": 0.4, "motorbike": 0.4})
_CERTAIN_OF_OTHERS = 0.45
_LIKELY = 0.25
_APART = 5  # cells of the network's output: side of a square that has one centre
_LEAST_SHARE = 0.08  # of the component: smaller parts are no objects of their own


class Divider:
    """Divides connected components into the objects in them; loads its network at the first use.

    Args:
        device: one of `cleanplate.runtime.DEVICES`.
        threads: CPU threads of one run; None uses every available core.
    """

    def __init__(self, *, device: str = "auto", threads: int | None = None) -> None:
        self._device, self._threads = device, threads

    @functools.cached_property
    def _network(self) -> Session:
        content = read_file(get_model(DIVIDING_MODEL, "divider"), "divide")
        name = DIVIDING_MODEL
        return Session(content, name=name, device=self._device, threads=self._threads)

    @property
    def provider(self) -> str:
        """What runs the network."""
        return self._network.provider

    def divide(
        self, image: RGBImage, cells: Mask, box_xyxy: Box, grid_hw: tuple[int, int], label: str
    ) -> list[Mask]:
        """Return the objects in a component: disjoint, together all of it; itself if it is one.

        Of several, each is looked at once more from near: two of a crowd may be one at first.

        Args:
            image: (H, W, 3) uint8, RGB, the photo. Not modified.
            cells: (h, w) bool, a connected component of a grid over the photo, within its box.
            box_xyxy: that box, in cells.
            grid_hw: cells of the complete grid.
            label: its class.
        """
        certain = _CERTAIN.get(label, _CERTAIN_OF_OTHERS)
        parts = self._look(image, cells, box_xyxy, grid_hw, certain)
        if len(parts) < 2:
            return parts
        found = []
        for part in parts:
            left, top, right, bottom = bounding_box(part)
            box = (box_xyxy[0] + left, box_xyxy[1] + top, box_xyxy[0] + right, box_xyxy[1] + bottom)
            place = np.s_[top:bottom, left:right]
            for near in self._look(image, part[place], box, grid_hw, _LIKELY):
                whole = np.zeros_like(part)
                whole[place] = near
                found.append(whole)
        return found

    def _look(
        self,
        image: RGBImage,
        cells: Mask,
        box_xyxy: Box,
        grid_hw: tuple[int, int],
        certain: float,
    ) -> list[Mask]:
        """Return the objects in a component; it is one if no second centre is so probable."""
        if np.count_nonzero(cells) < _LEAST_CELLS:
            return [cells]
        tensor, on_grid = see_component(
            image, cells, box_xyxy, grid_hw, context=_CONTEXT, size_px=_SIZE_PX
        )
        inside = tensor[3] > _COVERED
        probability, *offsets = self._network.run(tensor[None])[0]
        votes, centres = find_centres(probability, np.dstack(offsets), inside, certain)
        if len(centres) < 2:
            return [cells]
        votes = on_grid.at_full_size(votes)
        rows, columns = on_grid.slices
        y, x = box_xyxy[1] - rows.start, box_xyxy[0] - columns.start
        here = votes[y : y + cells.shape[0], x : x + cells.shape[1]]
        nearest = nearest_centre(here, centres)
        parts = [np.asarray(cells & (nearest == n)) for n in range(len(centres))]
        return [part for part in parts if part.any()]


def find_centres(
    probability: FloatArray, offsets: FloatArray, inside: Mask, certain: float
) -> tuple[FloatArray, FloatArray]:
    """Return where each cell votes its object's centre to be, and the centres.

    Args:
        probability: (h, w), [0, 1], of a centre in a cell.
        offsets: (h, w, 2), x and y from a cell to its object's centre, as shares of the window.
        inside: (S, S) bool, the component.
        certain: of the second most probable centre; where it is less so, there is only the first.

    Returns:
        (h, w, 2) float32 and (N, 2) float32, x and y as shares of the window.
    """
    rows, columns = probability.shape
    x, y = np.meshgrid((np.arange(columns) + 0.5) / columns, (np.arange(rows) + 0.5) / rows)
    places = np.dstack([x, y]).astype(np.float32)
    votes = places + offsets
    highest = cv2.dilate(probability, np.ones((_APART, _APART), np.uint8))
    chosen = (probability >= highest) & (probability > _LIKELY)
    centres, sure = places[chosen], probability[chosen]
    shares = cv2.resize(inside.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
    voters = votes[shares > _COVERED]
    while len(centres) > 1:
        counts = np.bincount(nearest_centre(voters, centres), minlength=len(centres))
        if counts.min() >= _LEAST_SHARE * len(voters):
            break
        least = counts.argmin()
        centres, sure = np.delete(centres, least, axis=0), np.delete(sure, least)
    if len(centres) > 1 and np.sort(sure)[-2] < certain:
        centres = centres[[sure.argmax()]]
    return votes, centres


def nearest_centre(votes: FloatArray, centres: FloatArray) -> npt.NDArray[np.intp]:
    """Return (...), which of (N, 2) centres is the nearest to each of (..., 2) votes."""
    away = [np.square(votes - centre).sum(axis=-1) for centre in centres]
    return np.asarray(np.argmin(away, axis=0))
