"""Refinement of a detected object's outline at full resolution.

A segmenter works on a grid: its outlines are off by a cell or two, and parts thinner than a cell (a
mast, a leash, claws) are lost. Here every pixel near the outline is classified by three features,
with weights of a logistic regression: local colour models of the object and of the background, the
position relative to the outline, and the mask after a guided filter. What the network for outlines
says is the fourth, and where it sees nothing of the object, only thin parts are added, which it
cannot see: colours alone spread over a floor or a wall like the object. Parts that leave the object
are followed if they have its colours and both their sides have not, by colour models of a second
round: in the first, such parts are background of their own colours. Pixels of the object must be
connected to its core; a guided filter aligns the result with the photo's edges. Where the colours
do not separate the two, the outline is kept.

All of it runs at a bounded size, except for the last step, a matrix product per pixel.

References:
    Bai et al., Video SnapCut, SIGGRAPH 2009: colour models in overlapping windows along an outline.
    Chen, Paris and Durand, Real-time Edge-Aware Image Processing with the Bilateral Grid, SIGGRAPH
    2007: local histograms as a blurred grid. He et al., Guided Image Filtering, PAMI 2013, and He
    and Sun, Fast Guided Filter, arXiv:1505.00996: coefficients of a small size applied at a large
    one.
"""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.errors import InputError
from cleanplate.ops import (
    ColourGuide,
    apply_coefficients,
    at_once,
    box_mean,
    components_touching,
    coverage,
    dilate,
    drop_specks,
    expand_box,
    rasterize,
    rasterize_within,
    resample,
    thick_components,
    with_mask,
)
from cleanplate.segmentation.instances import nearest_number
from cleanplate.types import Box, FloatArray, Instance, Mask, RGBImage, check_image


@dataclass(frozen=True, slots=True, eq=False)
class Completed:
    """An object with what was missed of it, and what the network says that saw it.

    Attributes:
        instance: the object.
        box_xyxy: what the network looked at.
        probability: (h, w) float32 in [0, 1], in the box: of a pixel to be the object's; None if no
            network looked at it.
    """

    instance: Instance
    box_xyxy: Box = (0, 0, 0, 0)
    probability: FloatArray | None = None

    def probability_in(self, box_xyxy: Box) -> FloatArray:
        """Return (H, W) float32, the probability in another box; beyond its own, what is unsaid."""
        left, top, right, bottom = box_xyxy
        there = np.full((bottom - top, right - left), _LEAST_SAID, np.float32)
        if self.probability is not None:
            x0, y0, x1, y1 = self.box_xyxy
            rows = slice(max(y0, top), max(top, min(y1, bottom)))
            columns = slice(max(x0, left), max(left, min(x1, right)))
            own = self.probability[_moved(rows, y0), _moved(columns, x0)]
            there[_moved(rows, top), _moved(columns, left)] = own
        return there


def _moved(part: slice, start: int) -> slice:
    return slice(max(0, part.start - start), max(0, part.stop - start))


Complete = Callable[[RGBImage, Instance], Completed]
"""Returns a found object of a photo with what was missed of it; see `Outliner`."""

PaletteIndices = npt.NDArray[np.int64]
"""(h, w) indices of a palette's colours."""

# "The object's side" is the square root of its area. Shares were chosen on pictures with known
# outlines; the values beside them cost little in either direction.
_WORK_SIDE = 288  # px; long side of the working image
_BLOCK_PX = 192  # of full size; side of what is computed there at once
_LEAST_SIDE_PX = 6.0  # side of an object below which nothing is refined
_BAND_SHARE = 0.10  # of the side: by which an outline is off ...
_BAND_LEAST_PX = 2.0  # ... plus the grid's own blur, in px of the small size
_REACH_SHARE = 0.7  # of the side: how far a thin part may stand out
_OWN_SHARE = 0.15  # of the band: from so deep on, colours count as the object's ...
_OFF_SHARE = 0.7  # ... and from so far out as the background's
_CORE_SHARE = 0.4  # of the band: what lies deeper inside is certainly object

# The logit of "is the object's", fitted to pixels along the outlines of 154 objects of PASCAL VOC
# train (benchmarks/segmentation/fit_outlines.py).
_WEIGHTS = (0.75, 1.0, 2.17)  # of log ratio of colours, bands inside the outline, filtered mask
_OFFSET = -0.6  # fitted: -1.08, but a missed rim shows and a px too much does not
_MOST_BANDS = 3.0  # inside or outside; farther counts as much
_SMOOTH_SHARE = 0.25  # of the band: radius over which the log ratio is averaged
_CERTAIN = 5.0  # logit

# Of what the network for outlines says, added to that logit. Chosen on every other object of VOC
# val and on 221 of COCO, as it knows VOC train: docs/quality_of_masks.md.
_NETWORK_WEIGHT, _NETWORK_OFFSET = 0.75, 0.5
_LEAST_SAID, _MOST_SAID = 0.25, 0.95  # probability; it sees no fingers and no ropes
_POSSIBLE = 0.05  # probability below which only thin parts are added ...
_THIN_SHARE, _LEAST_THIN_PX = 0.03, 1.5  # ... of the side, from a part's middle to its border

# Of parts that leave the object.
_PART_LEAST = 2.0  # log ratio of its pixels
_PART_CONTRAST = 5.0  # of its mean log ratio to its sides'
_PART_SIDES_PX = 3  # of the small size: how far its sides extend
_PART_LEAST_SHARE = 8e-4  # of the object's area

# Of the colour models.
_CUTS = 7  # of the palette, which has 2^7 colours; with 48 dark clothes and dark trees are one
_SAMPLES = 2_048  # pixels that the palette is made from; a multiple of 2^_CUTS
_LIKENESS = 6.0  # grey levels per channel within which two colours are alike; 14 is clearly worse
_WINDOW_SHARE = 0.2  # of the side: deviation of the window whose colours count
_CELLS_PER_WINDOW = 2.0  # of the grid of histograms
_FAR_WEIGHT = 0.02  # of the object's colours elsewhere, against the densest window
_FLOOR = 1e-3  # share below which a colour counts as not seen
_MOST_EVIDENCE = 4.0  # log ratio; upper limit of one pixel's evidence
_TELLING = 0.5  # mean |log ratio| below which the colours do not separate

# Of the guided filter.
_FILTER_SHARE = 0.05  # of the side: its radius
_BLUR_PX = 1.5  # of the small size: by which its outline may be off
_FILTER_EPS = 1e-4  # (0.01 of the range)^2: fainter edges are noise

# Largest connected change, as a share of the object's area. More is a leak.
_LARGEST_GAIN = 0.30
_LARGEST_LOSS = 0.12

# Growth beyond which an object is refined once more, from what it is then: against the light, its
# core alone is found. Of 140 objects of PASCAL VOC val 9 grow so, and 7 of them gain.
_FOUND_TOO_SMALL = 1.15


def refine_outline(
    image: RGBImage, instance: Instance, complete: Complete | None = None
) -> Instance:
    """Return the object with its mask refined at full resolution, thin parts included.

    Args:
        image: (H, W, 3) uint8, RGB, the photo. Not modified.
        instance: the detected object; its mask is not empty. Not modified.
        complete: completes it before that; see `Outliner`.

    Returns:
        The instance with another box and mask. The mask is not empty, lies inside the photo and
        holds the pixels deep inside the former one. It may overlap other objects' masks.

    Raises:
        InputError: wrong image, or a box outside it or of another size than the mask.
    """
    check_image(image)
    _check_inside(image, instance)
    completed = Completed(instance) if complete is None else complete(image, instance)
    refined = _refine_once(image, completed.instance, completed)
    if refined.area_px > _FOUND_TOO_SMALL * instance.area_px:
        return _refine_once(image, refined, completed)
    return refined


def _refine_once(image: RGBImage, instance: Instance, completed: Completed) -> Instance:
    side_px = math.sqrt(instance.area_px)
    if side_px < _LEAST_SIDE_PX:
        return instance
    scene = scene_of(image, instance, side_px)
    there = None if completed.probability is None else completed.probability_in(scene.box)
    outline = _follow(scene, there)
    if outline is None:
        return instance
    mask = _at_full_size(scene, outline)
    if there is not None:
        mask = _without_impossible(mask, scene.mask, there)
    return with_mask(instance, mask, left=scene.box[0], top=scene.box[1])


def _without_impossible(mask: Mask, before: Mask, probability: FloatArray) -> Mask:
    """Return an object's new mask without thick parts of which the network sees nothing.

    Args:
        mask: (H, W).
        before: (H, W), the object as it was.
        probability: (H, W), by the network for outlines.
    """
    added = mask & ~before & (probability < _POSSIBLE)
    thin_px = max(_LEAST_THIN_PX, _THIN_SHARE * math.sqrt(np.count_nonzero(before)))
    thick = thick_components(added, thin_px)
    return components_touching(mask & ~thick, before) if thick.any() else mask


def refine_each(
    image: RGBImage, instances: Sequence[Instance], complete: Complete
) -> list[Instance]:
    """Return objects completed, and their masks refined; see `refine_outline`.

    Touching objects of a label are followed as one: to each, the others would be background of its
    own colours. The new mask is divided among them by nearness.

    Args:
        image: (H, W, 3) uint8, RGB, the photo. Not modified.
        instances: the detected objects. Not modified.
        complete: as for `refine_outline`.
    """
    refined = list(instances)
    groups = _touching(instances, (image.shape[0], image.shape[1]))
    objects = [_merged([instances[place] for place in group]) for group in groups]
    outlined = at_once(*(functools.partial(refine_outline, image, it, complete) for it in objects))
    for group, whole in zip(groups, outlined, strict=True):
        members = [instances[place] for place in group]
        if len(members) == 1:
            refined[group[0]] = whole
            continue
        left, top, right, bottom = whole.box_xyxy
        numbers = np.zeros(image.shape[:2], np.int32)
        for number, member in enumerate(members, start=1):
            x0, y0, x1, y1 = member.box_xyxy
            numbers[y0:y1, x0:x1][member.mask] = number
        nearest = nearest_number(numbers[top:bottom, left:right])
        for number, (place, member) in enumerate(zip(group, members, strict=True), start=1):
            own = whole.mask & (nearest == number)
            if own.any():
                refined[place] = with_mask(member, own, left=left, top=top)
    return refined


def _touching(instances: Sequence[Instance], size_hw: tuple[int, int]) -> list[list[int]]:
    """Return the places of the instances, in groups of one label that touch."""
    groups = []
    for label in dict.fromkeys(instance.label for instance in instances):
        places = [place for place, it in enumerate(instances) if it.label == label]
        if len(places) == 1:
            groups.append(places)
            continue
        drawn = rasterize([instances[place] for place in places], size_hw).astype(np.uint8)
        _, parts = cv2.connectedComponents(drawn, connectivity=8)
        by_part: dict[int, list[int]] = {}
        for place in places:
            x0, y0, x1, y1 = instances[place].box_xyxy
            part = int(parts[y0:y1, x0:x1][instances[place].mask][0])
            by_part.setdefault(part, []).append(place)
        groups += by_part.values()
    return groups


def _merged(members: Sequence[Instance]) -> Instance:
    if len(members) == 1:
        return members[0]
    boxes = np.array([member.box_xyxy for member in members])
    left, top = (int(edge) for edge in boxes[:, :2].min(axis=0))
    right, bottom = (int(edge) for edge in boxes[:, 2:].max(axis=0))
    box = left, top, right, bottom
    return replace(members[0], box_xyxy=box, mask=rasterize_within(members, box))


def _check_inside(image: RGBImage, instance: Instance) -> None:
    left, top, right, bottom = instance.box_xyxy
    height, width = image.shape[:2]
    inside = 0 <= left < right <= width and 0 <= top < bottom <= height
    if not inside or instance.mask.shape != (bottom - top, right - left):
        raise InputError(
            f"the object's box {instance.box_xyxy} and mask {instance.mask.shape} do not fit a "
            f"photo of {width}x{height} px"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """The object and its surroundings, at full size and at the working size."""

    box: Box  # of the surroundings, in the photo
    photo: RGBImage  # (H, W, 3) inside the box, a view
    mask: Mask  # (H, W) as detected
    small: RGBImage  # (h, w, 3)
    inside: FloatArray  # (h, w) px from the detected outline, negative outside
    side: float  # px of the small size
    band: float  # px of the small size
    core: Mask  # (h, w) the object's for certain
    shrink: float  # full px per small one


def scene_of(image: RGBImage, instance: Instance, side_px: float) -> Scene:
    """Return an object in its surroundings.

    Args:
        image: (H, W, 3) uint8, RGB, the photo. Not modified.
        instance: the detected object.
        side_px: square root of its area.
    """
    reach_px = math.ceil(_REACH_SHARE * side_px) + 8
    box = expand_box(instance.box_xyxy, reach_px, image.shape)
    left, top, right, bottom = box
    photo = image[top:bottom, left:right]
    mask = rasterize_within([instance], box)
    width, height = right - left, bottom - top
    shrink = max(1.0, max(width, height) / _WORK_SIDE)
    size_wh = (max(1, round(width / shrink)), max(1, round(height / shrink)))
    small = np.asarray(cv2.resize(photo, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
    inside = _signed_distance(np.asarray(coverage(mask, size_wh) > 0.5))
    side = side_px / shrink
    band = _BAND_LEAST_PX + _BAND_SHARE * side
    # A thin object has no pixel that deep: then its own middle is what is certain.
    depth = min(_CORE_SHARE * band, 0.5 * float(inside.max()))
    return Scene(box, photo, mask, small, inside, side, band, inside > max(depth, 0), shrink)


def _signed_distance(mask: Mask) -> FloatArray:
    """Return px to the outline of `mask`, positive inside; pixel centres are half a px off it."""
    own = mask.astype(np.uint8)
    deep = cv2.distanceTransform(own, cv2.DIST_L2, 5) - 0.5
    off = cv2.distanceTransform(1 - own, cv2.DIST_L2, 5) - 0.5
    return np.where(mask, deep, -off).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class OutlineFeatures:
    """What tells the object's pixels from others, at the working size."""

    planes: FloatArray  # (h, w, 3), of `_WEIGHTS`
    evidence: FloatArray  # (h, w) log ratios of the colours
    colours: "_Colours"
    guide: ColourGuide
    open: Mask  # (h, w), where the object may be; its core apart


@dataclass(frozen=True, slots=True, eq=False)
class _Outline:
    """Where the object is, at the small size, such that it can be read at any size."""

    factors: (
        FloatArray  # (h, w, 4) of R, G, B in [0, 1] and a constant; the sum is > 0.5 on the object
    )
    inside: FloatArray  # (h, w) px from the new outline, negative outside
    decides: Mask  # (h, w), elsewhere the detected outline stays


def outline_features(scene: Scene) -> OutlineFeatures | None:
    """Return what tells the object's pixels from others; None without both classes."""
    inside, band = scene.inside, scene.band
    own, other = inside > _OWN_SHARE * band, inside < -_OFF_SHARE * band
    if not own.any() or not other.any():
        return None
    open_ = (inside > -_REACH_SHARE * scene.side) & ~scene.core
    colours = _colours_of(scene)
    evidence = _compare(colours, own, other, open_)
    guide = ColourGuide.of(scene.small, max(1, round(_FILTER_SHARE * scene.side)), eps=_FILTER_EPS)
    planes = (
        box_mean(evidence, max(1, round(_SMOOTH_SHARE * band))),
        np.clip(inside / band, -_MOST_BANDS, _MOST_BANDS),
        apply_coefficients(guide.fit((inside > 0).astype(np.float32)), guide.colour),
    )
    return OutlineFeatures(np.stack(planes, axis=-1), evidence, colours, guide, open_)


def _follow(scene: Scene, probability: FloatArray | None) -> _Outline | None:
    """Classify the pixels near the outline, then follow parts; None without both classes.

    Args:
        scene: around the object.
        probability: (H, W), by the network for outlines, at full size; None without it.
    """
    features = outline_features(scene)
    if features is None:
        return None
    evidence, guide, open_ = features.evidence, features.guide, features.open
    logit = features.planes @ np.array(_WEIGHTS, np.float32) + np.float32(_OFFSET)
    if probability is not None:
        size_wh = scene.small.shape[1], scene.small.shape[0]
        said = cv2.resize(probability, size_wh, interpolation=cv2.INTER_AREA)
        said = np.clip(said, _LEAST_SAID, _MOST_SAID)
        logit += _NETWORK_WEIGHT * np.log(said / (1 - said)) + np.float32(_NETWORK_OFFSET)
    logit[~open_] = np.where(scene.core, _CERTAIN, -_CERTAIN)[~open_]
    near = components_touching(logit > 0, scene.core)
    parts = _parts(_compare_again(scene, features, near), near, open_, scene.side**2)
    logit[parts] = _CERTAIN
    factors = guide.fit(1 / (1 + np.exp(-logit, dtype=np.float32)))
    found = _part_of_object(scene, apply_coefficients(factors, guide.colour) > 0.5)
    telling = _is_telling(evidence, open_ & (scene.inside > -scene.band), scene.band)
    telling |= dilate(parts, scene.band)
    return _Outline(factors, _signed_distance(found), _decided(scene, found, telling))


def _compare_again(scene: Scene, features: OutlineFeatures, near: Mask) -> FloatArray:
    """Return (h, w) log ratios against a background without what looks like the object.

    A raised arm is background of its own colours at first.

    Args:
        scene: around the object.
        features: of it.
        near: (h, w), what is the object's already.
    """
    other = (scene.inside < -_OFF_SHARE * scene.band) & (features.evidence <= 0)
    if not other.any():
        return features.evidence
    own = near | (scene.inside > _OWN_SHARE * scene.band)
    return _compare(features.colours, own, other, features.open)


def _parts(evidence: FloatArray, near: Mask, open_: Mask, area_px: float) -> Mask:
    """Return (h, w), the parts beside `near` that differ from what is on both their sides.

    Args:
        evidence: (h, w) log ratios.
        near: (h, w), what is the object's already.
        open_: (h, w), where parts may be.
        area_px: of the object.
    """
    candidates = (evidence > _PART_LEAST) & open_ & ~near
    count, numbers, stats, _ = cv2.connectedComponentsWithStats(
        candidates.astype(np.uint8), connectivity=8
    )
    beside = dilate(near, 1.5)
    parts = np.zeros_like(near)
    for number in range(1, count):
        left, top, width, height, area = stats[number].tolist()
        if area < _PART_LEAST_SHARE * area_px:
            continue
        place = (
            slice(max(0, top - _PART_SIDES_PX), top + height + _PART_SIDES_PX),
            slice(max(0, left - _PART_SIDES_PX), left + width + _PART_SIDES_PX),
        )
        part = numbers[place] == number
        sides = dilate(part, _PART_SIDES_PX) & ~dilate(part, 1.5) & ~near[place]
        if not sides.any() or not (part & beside[place]).any():
            continue
        if evidence[place][part].mean() - evidence[place][sides].mean() > _PART_CONTRAST:
            parts[place] |= part
    return parts


@dataclass(frozen=True, slots=True, eq=False)
class _Colours:
    """The picture in the K colours of a palette of its own."""

    shades: PaletteIndices  # (h, w), the nearest colour of each pixel
    alike: FloatArray  # (K, K) in [0, 1]
    cell: int  # px of the small size: pitch of the grid of histograms


def _colours_of(scene: Scene) -> _Colours:
    pixels = scene.small.reshape(-1, 3)
    spread = np.linspace(0, len(pixels) - 1, _SAMPLES).astype(np.int64)
    samples = pixels[spread].astype(np.float32)
    labels = _cut_at_medians(samples)
    _, _, palette = cv2.kmeans(
        samples,
        2**_CUTS,
        labels,
        (cv2.TERM_CRITERIA_MAX_ITER, 4, 0.0),
        1,
        cv2.KMEANS_USE_INITIAL_LABELS,
    )
    bins = np.indices((16, 16, 16), np.float32).reshape(3, -1).T * 16 + 8
    nearest = ((palette**2).sum(axis=1) - 2 * bins @ palette.T).argmin(axis=1)
    coarse = (scene.small >> 4).astype(np.int32) @ np.array([256, 16, 1], np.int32)
    distances = ((palette[:, None] - palette[None]) ** 2).sum(axis=2)
    alike = np.exp(-distances / (2 * _LIKENESS**2)).astype(np.float32)
    cell = max(2, round(_WINDOW_SHARE * scene.side / _CELLS_PER_WINDOW))
    return _Colours(np.asarray(nearest[coarse], np.int64), alike, cell)


def _cut_at_medians(samples: FloatArray) -> npt.NDArray[np.int32]:
    """Return (n, 1) labels of 2^`_CUTS` groups: each is halved where it spreads most, in turn."""
    order = np.arange(len(samples))[None]  # (groups, members)
    for _ in range(_CUTS):
        members = samples[order]
        axis = members.var(axis=1).argmax(axis=1)
        values = np.take_along_axis(members, axis[:, None, None], axis=2)[..., 0]
        order = np.take_along_axis(order, values.argsort(axis=1, kind="stable"), axis=1)
        order = order.reshape(2 * len(order), -1)
    labels = np.empty((len(samples), 1), np.int32)
    labels[order.ravel(), 0] = np.repeat(np.arange(len(order)), order.shape[1])
    return labels


def _compare(colours: _Colours, own: Mask, other: Mask, where: Mask) -> FloatArray:
    """Return (h, w) log ratios: how much better a pixel fits the object's colours near it."""
    ratio = np.log(_shares(colours, own) + _FLOOR) - np.log(_shares(colours, other) + _FLOOR)
    evidence = np.zeros(where.shape, np.float32)
    evidence[where] = np.clip(_read(ratio, colours, where), -_MOST_EVIDENCE, _MOST_EVIDENCE)
    return evidence


def _shares(colours: _Colours, where: Mask) -> FloatArray:
    """Return (rows, columns, K): what share of the pixels near a cell is like each colour."""
    shades, alike, cell = colours.shades, colours.alike, colours.cell
    height, width = shades.shape
    rows, columns, count = -(-height // cell), -(-width // cell), len(alike)
    ys, xs = np.nonzero(where)
    index = ((ys // cell) * columns + xs // cell) * count + shades[where]
    counts = np.bincount(index, minlength=rows * columns * count).astype(np.float32)
    grid = counts.reshape(rows, columns, count)
    overall = grid.sum(axis=(0, 1)) @ alike / max(1, len(ys))
    near = cv2.GaussianBlur(
        grid, (0, 0), _CELLS_PER_WINDOW, borderType=cv2.BORDER_CONSTANT
    ).reshape(rows, columns, count)
    total = near.sum(axis=2, keepdims=True)
    far = _FAR_WEIGHT * total.max() + 1e-6
    return np.asarray((near @ alike + far * overall) / (total + far), np.float32)


def _read(grid: FloatArray, colours: _Colours, where: Mask) -> FloatArray:
    """Return the grid's values at the pixels of `where` and their shades, linear in between."""
    rows, columns, _ = grid.shape
    ys, xs = np.nonzero(where)
    shade, cell = colours.shades[where], colours.cell
    down, across = (ys + 0.5) / cell - 0.5, (xs + 0.5) / cell - 0.5
    y0 = np.clip(np.floor(down).astype(np.int64), 0, rows - 1)
    x0 = np.clip(np.floor(across).astype(np.int64), 0, columns - 1)
    y1, x1 = np.minimum(y0 + 1, rows - 1), np.minimum(x0 + 1, columns - 1)
    dy = np.clip(down - y0, 0, 1).astype(np.float32)
    dx = np.clip(across - x0, 0, 1).astype(np.float32)
    upper = grid[y0, x0, shade] * (1 - dx) + grid[y0, x1, shade] * dx
    lower = grid[y1, x0, shade] * (1 - dx) + grid[y1, x1, shade] * dx
    return np.asarray(upper * (1 - dy) + lower * dy, np.float32)


def _is_telling(evidence: FloatArray, open_: Mask, band: float) -> Mask:
    """Return (h, w), where the colours of object and background differ."""
    radius = max(1, round(band))
    strength = box_mean(np.where(open_, np.abs(evidence), 0).astype(np.float32), radius)
    weight = box_mean(open_.astype(np.float32), radius)
    return np.asarray(strength > _TELLING * weight)


def _part_of_object(scene: Scene, found: Mask) -> Mask:
    """Keep the parts connected to the core, without leaks."""
    limit = _REACH_SHARE * scene.side
    kept = components_touching(found | scene.core, scene.core)
    off = kept & (scene.inside < -scene.band)
    # What is still going on at the limit or at the photo's edge is the background's: a horizon, a
    # fence, a trunk behind the car. What is large is a leak.
    end = scene.inside < 1.5 - limit
    end[0], end[-1], end[:, 0], end[:, -1] = True, True, True, True
    leaks = components_touching(off, off & end) | drop_specks(
        off, least_px=math.floor(_LARGEST_GAIN * scene.side**2) + 1
    )
    return components_touching(kept & ~leaks, scene.core)


def _at_full_size(scene: Scene, outline: _Outline) -> Mask:
    """Return (H, W), the object in the scene's box.

    Only blocks in which something may differ from the detected mask are computed.
    """
    mask = scene.mask.copy()
    height, width = scene.inside.shape
    down, across = mask.shape[0] / height, mask.shape[1] / width
    differs = _may_differ(scene, outline)
    decides, core = (part.astype(np.float32) for part in (outline.decides, scene.core))
    block = max(8, round(_BLOCK_PX / scene.shrink))  # px of the small size
    for top, left in itertools.product(range(0, height, block), range(0, width, block)):
        bottom, right = min(top + block, height), min(left + block, width)
        if not differs[top:bottom, left:right].any():
            continue
        rows = slice(round(top * down), round(bottom * down))
        columns = slice(round(left * across), round(right * across))
        enlarged = functools.partial(
            resample,
            start_yx=(rows.start / down, columns.start / across),
            step_yx=(1 / down, 1 / across),
            size_hw=(rows.stop - rows.start, columns.stop - columns.start),
        )
        colour = scene.photo[rows, columns].astype(np.float32) / np.float32(255)
        found = apply_coefficients(enlarged(outline.factors), colour) > 0.5
        found &= enlarged(outline.inside) > -_BLUR_PX  # nothing that the small size ruled out
        detected = mask[rows, columns]
        certain = (enlarged(core) > 0.5) & detected
        mask[rows, columns] = np.where(enlarged(decides) > 0.5, found, detected) | certain
    return mask


def _may_differ(scene: Scene, outline: _Outline) -> Mask:
    """Return (h, w), where pixels of full size may differ from the detected mask."""
    near = np.ones((3, 3), np.uint8)
    outermost = np.maximum(outline.inside + _BLUR_PX, scene.inside + 1)
    certain = (scene.core & (scene.inside > 1)).astype(np.uint8)
    return np.asarray(
        (cv2.dilate(outline.decides.astype(np.uint8), near) > 0)
        & (cv2.dilate(outermost, near) > 0)
        & (cv2.erode(certain, near) == 0)
    )


def _decided(scene: Scene, found: Mask, telling: Mask) -> Mask:
    """Return where the new outline counts, not the detected one."""
    present = scene.inside > 0
    lost = drop_specks(present & ~found, least_px=math.floor(_LARGEST_LOSS * scene.side**2) + 1)
    return telling & ~lost
