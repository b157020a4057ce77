"""Patch-based synthesis of a hole from the pixels of its surroundings.

A first, smooth fill guides the layout. Every patch that reaches into the hole is matched with
the known patch most like it, every pixel becomes what the matches of the patches around it show
there, and so on until they agree, from small sizes to larger ones. The first fill's colours take
part in every comparison, so that the result keeps its structure. So does texture, the mean strength
of gradients: a mean of rough patches is smooth, and would be matched with smooth ones.

References:
    Wexler, Shechtman and Irani, Space-Time Completion of Video, PAMI 2007: patches that vote, from
    coarse to fine. Newson et al., Video Inpainting of Complex Scenes, SIAM J. Imaging Sciences
    2014: the strength of gradients takes part too, and is voted for. Barnes et al., PatchMatch,
    SIGGRAPH 2009: matches found by passing on what suits a neighbour and by trying at random. Rong
    and Tan, Jump Flooding in GPU with Applications, I3D 2006: passing on over halving distances,
    which suits whole-array operations.
"""

from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.ops import coverage, pull_push
from cleanplate.types import FloatArray, Mask

_ScalarT = TypeVar("_ScalarT", np.uint8, np.float32)
Places = npt.NDArray[np.int64]
"""(N,) pixels of the framed picture, counted row by row."""

_REACH_PX = 3  # patches have 2 * _REACH_PX + 1 px a side
_COARSEST_PX = 64  # long side of the first size; each following one is twice as large
_VOTES = (6, 4, 2, 2)  # at the first size, the second ...
_COMPONENTS = 24  # principal components per patch
_SAMPLES = 4_000  # patches they are computed from
_GUIDE_BLUR_PX = 2.0  # the first fill takes part with its colours around the patch's middle ...
_GUIDE_WEIGHT = 7.0  # ... that count as much as this squared number of pixels
_UNIFORM_GUIDE_WEIGHT = 3.0  # ... or as this, where the surroundings are one texture
_UNIFORM_BLOCK_PX = 16  # such as gravel: the colours of such blocks vary ...
_UNIFORM_SHARE = (0.25, 0.45)  # ... by no more of the variance inside them; by more, it is none
_LEAST_VARIANCE = 1e-3  # of colours, the sum of three: less is no texture
_HEIGHT_WEIGHT = 2.0  # for a shift by the full height: what is like it and as high up is likelier
_LAYERED_WEIGHT = 5.0  # ... deep in a hole before layers (sky, trees, water), which the guide loses
_LAYERED_SHARE = (0.40, 0.47)  # of the variance of colours beside the hole that is between rows ...
_DEEP_PX = (36.0, 42.0)  # ... and depths of holes: within these it grows from one to the other
_DRAWN = 4  # descriptors besides the components: three colours of the first fill, the height
_TEXTURE_PX = 2.0  # over which texture is averaged: the mean strength of gradients, across and down
_TEXTURE_WEIGHT = 22.0  # in comparisons; squared, the number of pixels that it counts as
_LEAST_KNOWN = 0.05  # of the surroundings of a pixel, to tell its texture
_ROUNDS = 2  # of passing on and of trying, before each vote
_STEPS_PX = (8, 4, 2, 1)
_FRAME_PX = 8  # around the picture, so that no step leaves it: at least the longest, and a patch
_LIKELY_QUANTILE = 0.75  # of the distances: matches beyond it count little
_DECAY = 1.5  # how much less a patch counts per px of distance into the hole
_FARTHEST_PX = 40  # beyond which that ends
_BATCH = 8_192  # patches processed together
_LAST_SHARPNESS = 8.0  # the last vote takes the best matches almost alone


@dataclass(frozen=True, slots=True, eq=False)
class Synthesis:
    """A synthesised hole.

    Attributes:
        image: (h, w, 3) float32 in [0, 1]; known pixels as they were.
        texture: (h, w, 2) float32, mean strength of gradients, across and down: of known pixels
            their own, of the hole that of the patches that it is made of. Their mean is smoother.
        places_yx: (N, 2) int64, the pixels that were matched: those of the hole and close to it.
        sources_yx: (N, 2) int64, for each the middle of the known patch that is most like it.
        uniformity: from 0 to 1, whether the surroundings are one texture.
    """

    image: FloatArray
    texture: FloatArray
    places_yx: npt.NDArray[np.int64]
    sources_yx: npt.NDArray[np.int64]
    uniformity: float


def synthesise(guide: FloatArray, hole: Mask, usable: Mask, *, seed: int = 0) -> Synthesis | None:
    """Return the hole synthesised from the usable pixels, guided by a first fill.

    Args:
        guide: (h, w, 3) float32 in [0, 1], the photo with a first fill in its hole.
        hole: (h, w) bool.
        usable: (h, w) bool, known pixels that may be copied.
        seed: of the first matches, and of those that are tried.

    Returns:
        None if there is no hole, or no patch is completely known.
    """
    if not hole.any():
        return None
    rng = np.random.default_rng(seed)
    level: _Level | None = None
    matches = _Matches(np.zeros(0, np.int64), np.zeros(0, np.float32))
    sizes = _sizes(hole.shape)
    uniformity = _uniformity(guide, usable)
    guide_weight = _GUIDE_WEIGHT + uniformity * (_UNIFORM_GUIDE_WEIGHT - _GUIDE_WEIGHT)
    weights = _Weights(guide_weight, _height_weight(guide, hole, usable))
    for index, size_hw in enumerate(sizes):
        finer = _Level.of(guide, hole, usable, size_hw, weights)
        if finer is None:
            continue
        if level is None:
            sources = rng.choice(finer.known, len(finer.places))
        else:
            sources = _enlarged(level, matches.sources, finer, rng)
            finer.vote(finer.rated(sources), sharpness=1)
        level = finer
        votes = _VOTES[min(index, len(_VOTES) - 1)]
        for number in range(votes):
            matches = level.match(sources, rng)
            sources = matches.sources
            last = index == len(sizes) - 1 and number == votes - 1
            level.vote(matches, sharpness=_LAST_SHARPNESS if last else 1)
    if level is None or level.image.shape[:2] != hole.shape:
        return None
    places_yx, sources_yx = level.to_yx(level.places), level.to_yx(matches.sources)
    return Synthesis(level.image, level.texture, places_yx, sources_yx, uniformity)


def _height_weight(guide: FloatArray, hole: Mask, usable: Mask) -> float:
    """Return how much it counts to be as high up: more in deep holes of a scene of layers."""
    depth_px = cv2.distanceTransform(np.pad(hole, 1).view(np.uint8), cv2.DIST_L2, 5).max()
    rows = hole.any(axis=1)
    known = usable[rows][..., None].astype(np.float32)
    colours = cv2.GaussianBlur(guide, (0, 0), _GUIDE_BLUR_PX)[rows]

    def variance(axes: int | tuple[int, int]) -> float:
        count = np.maximum(known.sum(axis=axes, keepdims=True), 1)
        mean = (colours * known).sum(axis=axes, keepdims=True) / count
        return float(((colours - mean) ** 2 * known).sum())

    layered = 1 - variance(1) / max(variance((0, 1)), 1e-6)
    certain = float(np.interp(layered, _LAYERED_SHARE, (0, 1)))
    certain *= float(np.interp(depth_px, _DEEP_PX, (0, 1)))
    return _HEIGHT_WEIGHT + certain * (_LAYERED_WEIGHT - _HEIGHT_WEIGHT)


def _uniformity(image: FloatArray, known: Mask) -> float:
    """Return 1 if what is known is one texture, such as gravel or grass, and 0 if it is not."""
    block = (_UNIFORM_BLOCK_PX,) * 2
    whole = cv2.erode(known.view(np.uint8), np.ones(block, np.uint8), borderValue=[0]) > 0
    if not whole.any():
        return 0.0
    mean, of_squares = (cv2.blur(field, block)[whole] for field in (image, image * image))
    between, within = mean.var(axis=0).sum(), (of_squares - mean * mean).mean(axis=0).sum()
    if within < _LEAST_VARIANCE:
        return 0.0
    return float(np.interp(between / within, _UNIFORM_SHARE, (1, 0)))


def _sizes(full_hw: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return the sizes to work at, the last one the full one."""
    height, width = full_hw
    halvings = max(0, round(np.log2(max(height, width) / _COARSEST_PX)))
    sizes = [(max(1, height >> n), max(1, width >> n)) for n in range(halvings, 0, -1)]
    return [*sizes, (height, width)]


class _Weights(NamedTuple):
    """What counts in comparisons besides colours and texture."""

    guide: float  # the first fill's colours
    height: float  # how high up a patch is


@dataclass(slots=True, eq=False)
class _Level:
    """The picture at one size. Pixels are counted in its framed copy."""

    image: FloatArray  # (h, w, 3), changed by `vote`
    framed: FloatArray  # the same, mirrored at its borders
    texture: FloatArray  # (h, w, 2), see `Synthesis`; changed by `vote`
    hole: Mask  # (h, w)
    places: Places  # (N,) patches that reach into the hole
    known: Places  # (M,) patches that are entirely known
    index: Places  # of every framed pixel among the places; -1: none
    allowed: Mask  # of every framed pixel: True at `known`
    features: FloatArray  # (framed pixels, D) descriptors, where allowed
    drawn: FloatArray  # (N, _DRAWN), the first fill's part of the places' descriptors
    basis: FloatArray  # (patch, _COMPONENTS)
    confidence: FloatArray  # (N,)
    passes: "list[tuple[Places, Places, int]]"  # places, which place lies beside each, and how far

    @classmethod
    def of(
        cls,
        guide: FloatArray,
        hole: Mask,
        usable: Mask,
        size_hw: tuple[int, int],
        weights: "_Weights",
    ) -> "_Level | None":
        """Scale everything to a size; None if no patch is entirely known there.

        Args:
            guide: as for `synthesise`.
            hole: likewise.
            usable: likewise.
            size_hw: px.
            weights: in comparisons.
        """
        size_wh = (size_hw[1], size_hw[0])
        if size_hw == guide.shape[:2]:
            image, inside, free = guide.copy(), hole, usable
        else:
            image = np.asarray(cv2.resize(guide, size_wh, interpolation=cv2.INTER_AREA), np.float32)
            inside = coverage(hole, size_wh) > 0
            free = coverage(usable, size_wh) > 0.999
        patch = np.ones((2 * _REACH_PX + 1,) * 2, np.uint8)
        whole = cv2.erode((free & ~inside).view(np.uint8), patch, borderValue=[0])
        allowed = _framed(np.asarray(whole, np.uint8)) > 0
        known = np.flatnonzero(allowed)
        if len(known) == 0:
            return None
        reached = np.asarray(cv2.dilate(inside.view(np.uint8), patch), np.uint8)
        places = np.flatnonzero(_framed(reached))
        index = np.full(allowed.size, -1, np.int64)
        index[places] = np.arange(len(places))
        framed = _mirrored(image)
        basis = _basis_of(_patches(framed, known[:: max(1, len(known) // _SAMPLES)]))
        drawn = np.empty((*size_hw, _DRAWN), np.float32)
        drawn[..., :3] = cv2.GaussianBlur(image, (0, 0), _GUIDE_BLUR_PX) * weights.guide
        drawn[..., 3] = np.linspace(0, weights.height, size_hw[0])[:, None]
        all_drawn = _framed(drawn).reshape(-1, _DRAWN)
        texture = _texture_of(image, ~inside)
        own_texture = _TEXTURE_WEIGHT * _framed(texture).reshape(-1, 2)
        features = np.zeros((allowed.size, basis.shape[1] + _DRAWN + 2), np.float32)
        features[:, : basis.shape[1]] = _all_projected(framed, basis)
        features[known, basis.shape[1] : -2] = all_drawn[known]
        features[known, -2:] = own_texture[known]
        depth = cv2.distanceTransform(inside.view(np.uint8), cv2.DIST_L2, 3)
        own = _framed(np.asarray(depth, np.float32)).ravel()[places]
        passes = []
        for step in _STEPS_PX:
            for move in (step * framed.shape[1], -step * framed.shape[1], step, -step):
                beside = index[places + move]
                which = np.flatnonzero(beside >= 0)
                passes.append((which, beside[which], move))
        return cls(
            image=image,
            framed=framed,
            texture=texture,
            hole=inside,
            places=places,
            known=known,
            index=index,
            allowed=allowed.ravel(),
            features=features,
            drawn=all_drawn[places],
            basis=basis,
            confidence=(_DECAY ** -np.minimum(own, _FARTHEST_PX)).astype(np.float32),
            passes=passes,
        )

    def rated(self, sources: Places) -> "_Matches":
        """Return sources (N,) with their distances in the picture as it is now."""
        return _Matches(sources, self._distance(sources, self._wanted()))

    def match(self, sources: Places, rng: np.random.Generator) -> "_Matches":
        """Return better sources than these (N,) for the picture as it is now."""
        wanted = self._wanted()
        best = _Matches(sources.copy(), self._distance(sources, wanted))
        height, width = (side + _FRAME_PX for side in self.hole.shape)
        for _ in range(_ROUNDS):
            for which, beside, move in self.passes:
                # What suits the place beside, moved along.
                self._try(best, wanted, best.sources[beside] - move, which)
            radius = max(self.hole.shape) // 2
            while radius >= 1:
                y, x = np.divmod(best.sources, self.framed.shape[1])
                moves = rng.integers(-radius, radius + 1, size=(len(y), 2))
                y += moves[:, 0]
                x += moves[:, 1]
                inside = (y >= _FRAME_PX) & (y < height) & (x >= _FRAME_PX) & (x < width)
                which = np.flatnonzero(inside)
                self._try(best, wanted, y[which] * self.framed.shape[1] + x[which], which)
                radius //= 2
        return best

    def _try(self, best: "_Matches", wanted: FloatArray, tried: Places, which: Places) -> None:
        """Take the sources that are tried for the places `which` where they suit better."""
        fits = np.flatnonzero(self.allowed[tried] & (tried != best.sources[which]))
        tried, which = tried[fits], which[fits]
        distance = self._distance(tried, _rows(wanted, which))
        nearer = np.flatnonzero(distance < best.distance[which])
        which = which[nearer]
        best.sources[which] = tried[nearer]
        best.distance[which] = distance[nearer]

    def _wanted(self) -> FloatArray:
        """Return (N, D), the places' descriptors in the picture as it is now."""
        texture = _TEXTURE_WEIGHT * _framed(self.texture).reshape(-1, 2)[self.places]
        return np.concatenate(
            [_projected(self.framed, self.places, self.basis), self.drawn, texture], axis=1
        )

    def _distance(self, sources: Places, wanted: FloatArray) -> FloatArray:
        difference = _rows(self.features, sources)
        difference -= wanted
        return np.asarray(np.einsum("ij,ij->i", difference, difference))

    def vote(self, matches: "_Matches", *, sharpness: float) -> None:
        """Set the hole, colours and texture, to the weighted mean of the patches' sources."""
        sources, distance = matches.sources, matches.distance
        scale = max(1e-6, float(np.quantile(distance, _LIKELY_QUANTILE)))
        weight = np.exp(-distance * sharpness / (2 * scale)) * self.confidence + 1e-12
        # A channel of ones sums up the weights; of every framed pixel, so that there is one
        # look-up less: its patch's source and weight.
        values = np.ones((self.index.size, 6), np.float32)
        values[:, :3] = self.framed.reshape(-1, 3)
        values[:, 3:5] = _framed(self.texture).reshape(-1, 2)
        source_of = np.zeros(self.index.size, np.int64)
        source_of[self.places] = sources
        weight_of = np.zeros((self.index.size, 1), np.float32)
        weight_of[self.places, 0] = weight
        unknown = np.flatnonzero(_framed(self.hole.view(np.uint8)))
        sums = np.zeros((len(unknown), 6), np.float32)
        for move in _moves_of_patch(self.framed.shape[1]):
            middle = unknown - move  # of the patch that has the pixel `move` off it
            shown = _rows(values, source_of[middle] + move)
            shown *= weight_of[middle]
            sums += shown
        self.image[self.hole] = sums[:, :3] / sums[:, 5:]
        self.texture[self.hole] = sums[:, 3:5] / sums[:, 5:]
        self.framed = _mirrored(self.image)

    def to_yx(self, pixels: Places) -> npt.NDArray[np.int64]:
        """Return (N, 2), the pixels' rows and columns without the frame."""
        return np.stack(np.divmod(pixels, self.framed.shape[1]), axis=1) - _FRAME_PX

    def _from_yx(self, places_yx: npt.NDArray[np.int64]) -> Places:
        y, x = (places_yx + _FRAME_PX).T
        return np.asarray(y * self.framed.shape[1] + x)

    def nearest(self, places_yx: npt.NDArray[np.int64]) -> Places:
        """Return the pixels at (N, 2) rows and columns, moved inside the picture."""
        return self._from_yx(places_yx.clip(0, np.array(self.hole.shape) - 1))


@dataclass(slots=True, eq=False)
class _Matches:
    """The places' sources and their squared distances."""

    sources: Places  # (N,)
    distance: FloatArray  # (N,)


def _enlarged(coarse: _Level, sources: Places, fine: _Level, rng: np.random.Generator) -> Places:
    """Return the sources of a level for the places of the next one."""
    scale = np.array(fine.hole.shape) / np.array(coarse.hole.shape)
    places_yx = fine.to_yx(fine.places)
    above = coarse.index[coarse.nearest((places_yx / scale).astype(np.int64))]
    moves = coarse.to_yx(sources[above]) - coarse.to_yx(coarse.places[above])
    enlarged = fine.nearest(places_yx + np.rint(moves * scale).astype(np.int64))
    lost = (above < 0) | ~fine.allowed[enlarged]
    return np.where(lost, rng.choice(fine.known, len(enlarged)), enlarged)


def _framed(field: npt.NDArray[_ScalarT]) -> npt.NDArray[_ScalarT]:
    """Return a field, (h, w) or (h, w, C), with a frame of zeros."""
    border = ((_FRAME_PX, _FRAME_PX), (_FRAME_PX, _FRAME_PX), (0, 0))
    return np.pad(field, border[: field.ndim])


def _mirrored(image: FloatArray) -> FloatArray:
    """Return the image padded by reflection of its borders."""
    return np.asarray(cv2.copyMakeBorder(image, *(_FRAME_PX,) * 4, cv2.BORDER_REFLECT_101))


def _moves_of_patch(width: int) -> list[int]:
    """Return the distances from a patch's middle to its pixels in a picture that wide."""
    reach = range(-_REACH_PX, _REACH_PX + 1)
    return [down * width + across for down in reach for across in reach]


def _patches(framed: FloatArray, at: Places) -> FloatArray:
    """Return (N, patch): the colours of the patches around N places."""
    side, row = 2 * _REACH_PX + 1, framed.shape[1]
    colours = framed.reshape(-1, 3)
    first = at - _REACH_PX * (row + 1)
    patches = np.empty((len(at), side, 3 * side), np.float32)
    for down in range(side):
        patches[:, down] = _rows(colours, first + down * row, 3 * side)
    return patches.reshape(len(at), -1)


def _rows(table: FloatArray, at: Places, count: int | None = None) -> FloatArray:
    """Return (M, count): as many values as that, beginning at each of M rows of a table.

    Each is copied in one go, which takes half the time of `table[at]`.

    Args:
        table: (N, D), contiguous.
        at: (M,) rows.
        count: None takes the row itself, D.
    """
    depth = table.shape[1]
    count = depth if count is None else count
    starts = (table.size - count) // depth + 1
    pieces = np.ndarray((starts,), np.dtype((np.void, 4 * count)), table, strides=(4 * depth,))
    return pieces[at].view(np.float32).reshape(-1, count)


def _texture_of(image: FloatArray, known: Mask) -> FloatArray:
    """Return (h, w, 2), see `Synthesis`; continued from what is known.

    Args:
        image: (h, w, 3) float32 in [0, 1].
        known: (h, w) bool.
    """
    grey = image.mean(axis=2)
    sure = cv2.erode(known.view(np.uint8), np.ones((3, 3), np.uint8), borderValue=[1]) > 0
    steep = [np.abs(cv2.Sobel(grey, cv2.CV_32F, *axis)) / 8 for axis in ((1, 0), (0, 1))]
    total = cv2.GaussianBlur(sure.astype(np.float32), (0, 0), _TEXTURE_PX)
    sums = cv2.GaussianBlur(np.dstack(steep) * sure[..., None], (0, 0), _TEXTURE_PX)
    mean = np.asarray(sums / np.maximum(total, 1e-6)[..., None], np.float32)
    return pull_push(mean, total > _LEAST_KNOWN)


def _basis_of(patches: FloatArray) -> FloatArray:
    """Return (patch, _COMPONENTS), the directions in which patches differ most."""
    centred = patches - patches.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    return np.ascontiguousarray(vectors[:, ::-1][:, :_COMPONENTS], np.float32)


def _all_projected(framed: FloatArray, basis: FloatArray) -> FloatArray:
    """Return (framed pixels, _COMPONENTS), the patches around all of them on the basis."""
    side = 2 * _REACH_PX + 1
    kernels = np.ascontiguousarray(basis.reshape(side, side, 3, -1).transpose(3, 2, 0, 1))
    channels = cv2.split(framed)
    projected = np.empty((*framed.shape[:2], len(kernels)), np.float32)
    for component, own in enumerate(kernels):
        projected[..., component] = sum(
            cv2.filter2D(channel, -1, kernel) for channel, kernel in zip(channels, own, strict=True)
        )
    return projected.reshape(-1, len(kernels))


def _projected(framed: FloatArray, at: Places, basis: FloatArray) -> FloatArray:
    """Return (N, _COMPONENTS), the patches around N places on the basis, in batches."""
    parts = [
        _patches(framed, at[first : first + _BATCH]) @ basis for first in range(0, len(at), _BATCH)
    ]
    return np.concatenate(parts)
