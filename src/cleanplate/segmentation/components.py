"""Networks that look at one connected component: what it is, the objects in it, and all of them.

A semantic segmenter decides about pixels. Touching objects of a class are one to it; the network
that divides them finds the centres of the objects' boxes and, for each pixel, where the centre of
its object is: as in a vote, each pixel goes to the centre nearest to what it says. And enlarged,
leaves become birds to a segmenter and stones sheep: of what only its closer passes see, one in
seven is right. The network that recognizes objects sees the whole, with its surroundings, and knows
what ImageNet's encoders know. Last, what is found of an object lacks an arm or a tail, or is too
much: the network for outlines is shown both, and says which pixels are the object's.

References:
    Cheng et al., Panoptic-DeepLab, CVPR 2020, arXiv:1911.10194. A mask as a further input, to be
    corrected: Sofiiuk et al., Reviving Iterative Training with Mask Guidance for Interactive
    Segmentation, ICIP 2022, arXiv:2102.06583.
"""

import functools
import math
from types import MappingProxyType
from typing import ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.hub import get_model, read_file
from cleanplate.labels import VOC_LABELS
from cleanplate.ops import (
    SquareView,
    bounding_box,
    components_touching,
    expand_box,
    long_side,
    rasterize_within,
    thick_components,
    with_mask,
)
from cleanplate.runtime import Session, softmax
from cleanplate.segmentation.instances import PERSON
from cleanplate.segmentation.refinement import Completed
from cleanplate.types import Box, FloatArray, Instance, Mask, RGBImage

DIVIDING_MODEL = "instances.lite0"
RECOGNIZING_MODEL = "objects.lite0"
OUTLINING_MODEL = "outlines.lite0"

_BEYOND = 127  # grey beyond the photo's border
_COVERED = 0.5  # share of a pixel from which on it is the component's
_LEAST_CELLS = 150  # smaller components stay whole

# Chosen such that single objects stay whole, on photos of VOC and COCO train that the network was
# not trained on: docs/quality_of_masks.md. Hysteresis: there are several objects if a second centre
# is certain, and then likely ones count too.
_CERTAIN = MappingProxyType({PERSON: 0.3, "car": 0.4, "bus": 0.4, "motorbike": 0.4})
_CERTAIN_OF_OTHERS = 0.45
_LIKELY = 0.25
_APART = 5  # cells of the network's output: side of a square that has one centre
_LEAST_SHARE = 0.08  # of the component: smaller parts are no objects of their own

# Of outlines. What was found stays where the network does not deny it, and where it is thick: a
# white face or a saddle's cloth are parts that the network takes for something else.
_OWN, _DENIED = 0.65, 0.3  # probability
_DEEP_SHARE, _LEAST_DEEP_PX = 0.05, 1.5  # of the object's side, from a part's middle to its border
_LEAST_SIDE_PX = 24  # long side of an object; smaller ones stay as they are


class ComponentNetwork:
    """A built-in network that sees a square around a component; loaded at the first use.

    Args:
        device: one of `cleanplate.runtime.DEVICES`.
        threads: CPU threads of one run; None uses every available core.
    """

    model: ClassVar[str]  # its only file is the network
    size_px: ClassVar[int]  # of its input, a square
    context: ClassVar[float]  # of the component's longer side, on each side of it; as in training

    def __init__(self, *, device: str = "auto", threads: int | None = None) -> None:
        self._device, self._threads = device, threads

    @functools.cached_property
    def _network(self) -> Session:
        model = get_model(self.model)
        (file,) = model.files
        content = read_file(model, file.role)
        return Session(content, name=self.model, device=self._device, threads=self._threads)

    @property
    def provider(self) -> str:
        """What runs the network."""
        return self._network.provider

    def see(
        self, image: RGBImage, cells: Mask, box_xyxy: Box, grid_hw: tuple[int, int]
    ) -> tuple[FloatArray, SquareView]:
        """Return a component with the photo around it, as the network sees them.

        Args:
            image: (H, W, 3) uint8, RGB, the photo. Not modified.
            cells: (h, w) bool, a connected component of a grid over the photo, within its box.
            box_xyxy: that box, in cells.
            grid_hw: cells of the complete grid.

        Returns:
            (4, S, S) float32: RGB in [0, 1], grey beyond the photo, and the component, 0 or 1; and
            the square on the grid.
        """
        left, top, right, bottom = box_xyxy
        down, across = image.shape[0] / grid_hw[0], image.shape[1] / grid_hw[1]
        in_photo = (left * across, top * down, right * across, bottom * down)
        on_grid = SquareView(box_xyxy, self.context, grid_hw, self.size_px)
        component = np.zeros(grid_hw, np.uint8)
        component[top:bottom, left:right] = cells
        inside = on_grid.see(component, 0) > _COVERED
        around = SquareView(in_photo, self.context, image.shape, self.size_px)
        rgb = around.see(image, _BEYOND)
        return np.dstack([rgb / np.float32(255), inside]).transpose(2, 0, 1), on_grid


class Recognizer(ComponentNetwork):
    """Recognizes VOC's classes."""

    model = RECOGNIZING_MODEL
    size_px = get_model(RECOGNIZING_MODEL).preprocessing.square_px
    context = 0.3

    def recognize(
        self, image: RGBImage, cells: Mask, box_xyxy: Box, grid_hw: tuple[int, int]
    ) -> FloatArray:
        """Return (21,) probabilities: of no object, and of each of `VOC_LABELS`; see `see`."""
        tensor, _ = self.see(image, cells, box_xyxy, grid_hw)
        logits = self._network.run(np.stack([tensor, tensor[..., ::-1]]))
        return softmax(logits.mean(axis=0))


class Divider(ComponentNetwork):
    """Divides connected components into the objects in them."""

    model = DIVIDING_MODEL
    size_px = get_model(DIVIDING_MODEL).preprocessing.square_px
    context = 0.1

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
        tensor, on_grid = self.see(image, cells, box_xyxy, grid_hw)
        inside = tensor[3] > 0
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


class Outliner(ComponentNetwork):
    """Sees all of an object, from what was found of it."""

    model = OUTLINING_MODEL
    size_px = get_model(OUTLINING_MODEL).preprocessing.square_px
    context = 0.4

    def complete(self, image: RGBImage, instance: Instance) -> Completed:
        """Return an object with what was missed of it, and without a rim that is not its own.

        Args:
            image: (H, W, 3) uint8, RGB, the photo. Not modified.
            instance: as found; its mask is not empty. Not modified.

        Returns:
            The instance with another box and mask, which may overlap others', and what the network
            says. It is the same, and nothing is said, if it is small, or none of VOC's classes, on
            which the network was trained.
        """
        longest = long_side(instance.box_xyxy)
        if longest < _LEAST_SIDE_PX or instance.label not in VOC_LABELS:
            return Completed(instance)
        around = expand_box(instance.box_xyxy, math.ceil(self.context * longest) + 1, image.shape)
        left, top, right, bottom = around
        x0, y0, x1, y1 = instance.box_xyxy
        inside = (x0 - left, y0 - top, x1 - left, y1 - top)
        size_hw = (bottom - top, right - left)
        seen, view = self.see(image[top:bottom, left:right], instance.mask, inside, size_hw)
        output = self._network.run(seen[None])[0, 0]
        probability = np.zeros(size_hw, np.float32)
        probability[view.slices] = view.at_full_size(output)
        found = rasterize_within([instance], around)
        own = components_touching((probability > _OWN) | (found & (probability > _DENIED)), found)
        lost = found & ~own
        deep_px = max(_LEAST_DEEP_PX, _DEEP_SHARE * math.sqrt(instance.area_px))
        whole = own | thick_components(lost, deep_px)
        if not whole.any():  # thin, and the network sees nothing of it
            return Completed(instance)
        return Completed(with_mask(instance, whole, left=left, top=top), around, probability)


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
