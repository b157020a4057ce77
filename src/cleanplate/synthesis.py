"""A hole painted again, patch by patch, in colours that the surroundings really show.

A first, smooth fill says where what goes. Every patch that reaches into the hole is matched with
the known patch most like it, every pixel becomes what the matches of the patches around it show
there, and so on until they agree, from small sizes to larger ones. The first fill's colours take
part in every comparison, so that the result keeps its structure.

References:
    Wexler, Shechtman and Irani, Space-Time Completion of Video, PAMI 2007: patches that vote, from
    coarse to fine. Barnes et al., PatchMatch, SIGGRAPH 2009: matches found by passing on what suits
    a neighbour and by trying at random. Rong and Tan, Jump Flooding in GPU with Applications, I3D
    2006: passing on over halving distances, which suits whole-array operations.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.types import Mask

Field = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]

_REACH_PX = 3  # patches have 2 * _REACH_PX + 1 px a side
_COARSEST_PX = 64  # long side of the first size; each following one is twice as large
_VOTES = (6, 4, 2, 2)  # at the first size, the second ...
_COMPONENTS = 24  # principal components that stand for a patch
_SAMPLES = 4_000  # patches they are computed from
_GUIDE_BLUR_PX = 2.0  # the first fill takes part with its colours around the patch's middle ...
_GUIDE_WEIGHT = 7.0  # ... that count as much as this squared number of pixels
_ROUNDS = 2  # of passing on and of trying, before each vote
_STEPS_PX = (8, 4, 2, 1)
_LIKELY_QUANTILE = 0.75  # of the distances: matches beyond it count little
_DECAY = 1.3  # how much less a patch counts per px that it lies farther in
_FARTHEST_PX = 40  # beyond which that ends
_LAST_SHARPNESS = 8.0  # the last vote takes the best matches almost alone


@dataclass(frozen=True, slots=True, eq=False)
class Synthesis:
    """A hole painted anew.

    Attributes:
        image: (h, w, 3) float32 in [0, 1]; known pixels as they were.
        places_yx: (N, 2), the pixels that were matched: those of the hole and close to it.
        sources_yx: (N, 2), for each the middle of the known patch that is most like it.
    """

    image: Field
    places_yx: Places
    sources_yx: Places


def synthesise(guide: Field, hole: Mask, usable: Mask) -> Synthesis | None:
    """Return the hole in colours of the usable pixels, arranged after the guide.

    Args:
        guide: (h, w, 3) float32 in [0, 1], the photo with a first fill in its hole.
        hole: (h, w) bool, not empty.
        usable: (h, w) bool, known pixels that may be taken from.

    Returns:
        None if no known patch is whole.
    """
    rng = np.random.default_rng(0)
    level: _Level | None = None
    sources = np.zeros((0, 2), np.int64)
    sizes = _sizes(hole.shape)
    for index, size_hw in enumerate(sizes):
        finer = _Level.of(guide, hole, usable, size_hw)
        if finer is None:
            continue
        if level is None:
            sources = finer.source_yx[rng.integers(len(finer.source_yx), size=len(finer.places_yx))]
        else:
            sources = _enlarged(level, sources, finer, rng)
            finer.vote(sources, sharpness=1)
        level = finer
        votes = _VOTES[min(index, len(_VOTES) - 1)]
        for number in range(votes):
            sources = level.match(sources, rng)
            last = index == len(sizes) - 1 and number == votes - 1
            level.vote(sources, sharpness=_LAST_SHARPNESS if last else 1)
    if level is None or level.image.shape[:2] != hole.shape:
        return None
    return Synthesis(level.image, level.places_yx, sources)


def _sizes(full_hw: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return the sizes to work at, the last one the full one."""
    height, width = full_hw
    halvings = max(0, round(np.log2(max(height, width) / _COARSEST_PX)))
    sizes = [(max(1, height >> n), max(1, width >> n)) for n in range(halvings, 0, -1)]
    return [*sizes, (height, width)]


@dataclass(slots=True, eq=False)
class _Level:
    """The picture at one size."""

    image: Field  # (h, w, 3), changed by `vote`
    places_yx: Places  # (N, 2) patches that reach into the hole
    source_yx: Places  # (M, 2) patches that are known whole
    hole: Mask
    index: Places  # (h, w) of a pixel among the places; -1: none
    allowed: Mask  # (h, w) True at source_yx
    known: Field  # (h * w, D) descriptors
    drawn: Field  # (N, 3), the first fill's part of the places' descriptors
    basis: Field  # (patch, _COMPONENTS)
    confidence: Field  # (N,)

    @classmethod
    def of(
        cls, guide: Field, hole: Mask, usable: Mask, size_hw: tuple[int, int]
    ) -> "_Level | None":
        """Scale everything to a size; None if no patch is known whole there."""
        size_wh = (size_hw[1], size_hw[0])
        if size_hw == guide.shape[:2]:
            image, inside, free = guide.copy(), hole, usable
        else:
            image = np.asarray(cv2.resize(guide, size_wh, interpolation=cv2.INTER_AREA), np.float32)
            inside = _shrunk(hole, size_wh) > 0
            free = _shrunk(usable, size_wh) > 0.999
        patch = np.ones((2 * _REACH_PX + 1,) * 2, np.uint8)
        allowed = cv2.erode((free & ~inside).view(np.uint8), patch, borderValue=[0]) > 0
        source_yx = np.argwhere(allowed)
        places_yx = np.argwhere(cv2.dilate(inside.view(np.uint8), patch) > 0)
        if len(source_yx) == 0:
            return None
        index = np.full(size_hw, -1, np.int64)
        index[places_yx[:, 0], places_yx[:, 1]] = np.arange(len(places_yx))
        basis = _basis_of(_patches(image, source_yx[:: max(1, len(source_yx) // _SAMPLES)]))
        colours = cv2.GaussianBlur(image, (0, 0), _GUIDE_BLUR_PX) * _GUIDE_WEIGHT
        everywhere = np.argwhere(np.ones(size_hw, np.bool_))
        projected = _projected(image, everywhere, basis)
        known = np.concatenate([projected, colours.reshape(-1, 3)], axis=1)
        depth = cv2.distanceTransform(inside.view(np.uint8), cv2.DIST_L2, 3)
        own = depth[places_yx[:, 0], places_yx[:, 1]]
        return cls(
            image=image,
            places_yx=places_yx,
            source_yx=source_yx,
            hole=inside,
            index=index,
            allowed=allowed,
            known=known.astype(np.float32),
            drawn=colours[places_yx[:, 0], places_yx[:, 1]],
            basis=basis,
            confidence=(_DECAY ** -np.minimum(own, _FARTHEST_PX)).astype(np.float32),
        )

    def match(self, sources: Places, rng: np.random.Generator) -> Places:
        """Return better sources (N, 2) for the picture as it is now."""
        wanted = np.concatenate(
            [_projected(self.image, self.places_yx, self.basis), self.drawn], axis=1
        )
        best = _Best(sources.copy(), self._distance(wanted, sources, slice(None)))
        for _ in range(_ROUNDS):
            for step in _STEPS_PX:
                for down, across in ((step, 0), (-step, 0), (0, step), (0, -step)):
                    self._pass_on(best, wanted, down, across)
            radius = max(self.hole.shape) // 2
            while radius >= 1:
                tried = best.sources + rng.integers(-radius, radius + 1, size=best.sources.shape)
                self._try(best, wanted, tried, np.arange(len(tried)))
                radius //= 2
        return best.sources

    def _pass_on(self, best: "_Best", wanted: Field, down: int, across: int) -> None:
        """Try what suits the place that lies (down, across) beside each place."""
        y, x = self.places_yx[:, 0] + down, self.places_yx[:, 1] + across
        height, width = self.hole.shape
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        beside = np.where(inside, self.index[y.clip(0, height - 1), x.clip(0, width - 1)], -1)
        which = np.flatnonzero(beside >= 0)
        tried = best.sources[beside[which]] - (down, across)
        moved = (tried != best.sources[which]).any(axis=1)
        self._try(best, wanted, tried[moved], which[moved])

    def _try(self, best: "_Best", wanted: Field, tried: Places, which: Places) -> None:
        """Take the sources that are tried for the places `which` where they suit better."""
        height, width = self.hole.shape
        y, x = tried[:, 0].clip(0, height - 1), tried[:, 1].clip(0, width - 1)
        fits = self.allowed[y, x] & (tried[:, 0] == y) & (tried[:, 1] == x)
        tried, which = tried[fits], which[fits]
        distance = self._distance(wanted, tried, which)
        nearer = distance < best.distance[which]
        best.sources[which[nearer]] = tried[nearer]
        best.distance[which[nearer]] = distance[nearer]

    def _distance(self, wanted: Field, sources: Places, which: "Places | slice") -> Field:
        difference = self.known[sources[:, 0] * self.hole.shape[1] + sources[:, 1]] - wanted[which]
        return np.asarray(np.einsum("ij,ij->i", difference, difference))

    def vote(self, sources: Places, *, sharpness: float) -> None:
        """Paint the hole with what the patches' sources show."""
        wanted = np.concatenate(
            [_projected(self.image, self.places_yx, self.basis), self.drawn], axis=1
        )
        distance = self._distance(wanted, sources, slice(None))
        scale = max(1e-6, float(np.quantile(distance, _LIKELY_QUANTILE)))
        weight = np.exp(-distance * sharpness / (2 * scale)) * self.confidence + 1e-12
        height, width = self.hole.shape
        framed = (height + 2 * _REACH_PX, width + 2 * _REACH_PX)
        sums = np.zeros((*framed, 3), np.float32)
        totals = np.zeros(framed, np.float32)
        y, x = self.places_yx[:, 0], self.places_yx[:, 1]
        for down in range(-_REACH_PX, _REACH_PX + 1):
            for across in range(-_REACH_PX, _REACH_PX + 1):
                shown = self.image[sources[:, 0] + down, sources[:, 1] + across]
                # Each place occurs once per shift: plain indexing adds up.
                at = y + down + _REACH_PX, x + across + _REACH_PX
                sums[at] += shown * weight[:, None]
                totals[at] += weight
        inner = slice(_REACH_PX, _REACH_PX + height), slice(_REACH_PX, _REACH_PX + width)
        self.image[self.hole] = (sums[inner] / np.maximum(totals[inner], 1e-20)[..., None])[
            self.hole
        ]


@dataclass(slots=True, eq=False)
class _Best:
    """The best sources so far and their squared distances, changed in place."""

    sources: Places  # (N, 2)
    distance: Field  # (N,)


def _enlarged(coarse: _Level, sources: Places, fine: _Level, rng: np.random.Generator) -> Places:
    """Return the sources of a level for the places of the next one."""
    scale = np.array(fine.hole.shape) / np.array(coarse.hole.shape)
    y, x = np.minimum((fine.places_yx / scale).astype(np.int64), np.array(coarse.hole.shape) - 1).T
    above = coarse.index[y, x]
    moves = sources[above] - coarse.places_yx[above]
    enlarged = fine.places_yx + np.rint(moves * scale).astype(np.int64)
    enlarged = enlarged.clip(0, np.array(fine.hole.shape) - 1)
    lost = (above < 0) | ~fine.allowed[enlarged[:, 0], enlarged[:, 1]]
    random = fine.source_yx[rng.integers(len(fine.source_yx), size=len(enlarged))]
    return np.where(lost[:, None], random, enlarged)


def _shrunk(mask: Mask, size_wh: tuple[int, int]) -> Field:
    area = cv2.resize(mask.astype(np.float32), size_wh, interpolation=cv2.INTER_AREA)
    return np.asarray(area, np.float32)


def _patches(image: Field, at_yx: Places) -> Field:
    """Return (N, patch): the colours of the patches around N places."""
    framed = cv2.copyMakeBorder(image, *(_REACH_PX,) * 4, cv2.BORDER_REFLECT_101)
    side = 2 * _REACH_PX + 1
    windows = np.lib.stride_tricks.sliding_window_view(framed, (side, side), axis=(0, 1))
    return np.ascontiguousarray(windows[at_yx[:, 0], at_yx[:, 1]].reshape(len(at_yx), -1))


def _basis_of(patches: Field) -> Field:
    """Return (patch, _COMPONENTS), the directions in which patches differ most."""
    centred = patches - patches.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    return np.ascontiguousarray(vectors[:, ::-1][:, :_COMPONENTS], np.float32)


def _projected(image: Field, at_yx: Places, basis: Field) -> Field:
    """Return (N, _COMPONENTS), the patches around N places on the basis, in batches."""
    batch = 8_192
    parts = [
        _patches(image, at_yx[first : first + batch]) @ basis
        for first in range(0, len(at_yx), batch)
    ]
    return np.concatenate(parts)
