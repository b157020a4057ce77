"""Straight edges that end at a hole, joined across it.

Each edge that runs into the hole is a ray: where it enters, where it leads, and the colours on
both of its sides. Two rays that face each other on nearly one line, with the same colours, are
joined; any other ray is ignored.

Reference:
    Sun et al., Image Completion with Structure Propagation, SIGGRAPH 2005: lines first.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.ops import bounding_box
from cleanplate.types import Box, FloatArray, Mask, RGBImage

Vector = npt.NDArray[np.float64]
"""(2,) x and y in px."""

Part = tuple[float, float]

PROFILE_PX = 5  # colours are taken so far to each side of an edge

_LEAST_PX = 14.0  # length of an edge
_GAP_PX = 14.0  # between an edge and the hole
_AROUND_PX = 96  # edges are searched for so far around a hole
_BESIDE_PX = 1.5  # edges that lie less beside each other are one ...
_MERGED_GAP_PX = 12.0  # ... if there is less than that between them
_ROWS = 64  # segments that are compared with all others at a time
_CLEAR_PX = 3  # nothing so near to the hole counts: it may be the object's own outline
_SAMPLED_PX = 32  # length of the edge that its colours are taken from
_KNOWN_SHARE = 0.3  # ... of which this has to be known
_MOST_TURN = 0.8  # radians that joined rays may differ in direction; more than the next ...
_TURN = 0.20  # ... only if they hardly differ in place
_OFFSET_PX, _OFFSET_SHARE = 2.5, 0.05  # they may lie so far beside each other: px, share of the gap
_COLOUR_LEVELS = 28.0  # mean difference of their colours
_ROUNDING_PX = 1e-6
_PARALLEL = 1e-6  # product of two directions
_LONG_PX = 400.0  # a gap of this counts as much as an offset or a colour at its limit
_CROSSING = 0.35  # radians; joined lines that are more parallel may not cross

# Of lines that end inside the hole, at another one.
_SEEN_PX = 20.0  # least length of the edge
_CONTRAST_LEVELS = 10.0  # least mean difference between its sides
_SAME_LEVELS = 18.0  # mean difference of colours of one surface
_CHANGE_SHARE = 0.5  # of the difference of an edge's sides, along a line that it alone ends at
_FARTHEST_PX = 120.0  # from where the edge enters the hole to a line
_MOST_RAYS = 30  # of which room corners are made
_MEETING_PX = 5.0  # three rays that come so near to each other meet in a point
_FARTHEST_CORNER_PX = 260.0  # ... so rarely that they may come from farther
_WIDEST = 3.6  # radians between two of them
_SURFACE_LEVELS = 25.0  # mean difference of the colours of one surface at two of them
_INSIDE_SHARE = 0.95  # of such a line has to lie in the hole
_SIDE_PX = 2  # a side's colour is taken from here to `PROFILE_PX`


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A gently curved line through a hole.

    Attributes:
        start, end: (2,) x and y, px.
        slopes: of the line at start and end against the straight connection.
        seen_px: length of the edge that is seen before the start, and beyond the end; 0: it ends
            there, at another line.
        open: for the left and the right side, the part of it, positions from 0 to 1, on which other
            lines end: what lies there is not said by this line. Before it the side is as at the
            start, behind it as at the end.
    """

    start: Vector
    end: Vector
    slopes: tuple[float, float]
    seen_px: tuple[float, float]
    open: tuple[Part | None, Part | None] = (None, None)

    @property
    def length(self) -> float:
        """Distance from start to end, px."""
        return float(np.hypot(*(self.end - self.start)))

    def scaled(self, scale: float) -> "Line":
        """Return the line in a picture that is `scale` times as large."""
        start, end = ((at + 0.5) * scale - 0.5 for at in (self.start, self.end))
        seen_px = (self.seen_px[0] * scale, self.seen_px[1] * scale)
        return replace(self, start=start, end=end, seen_px=seen_px)

    def points(self) -> npt.NDArray[np.float64]:
        """Return (N, 2) points of the line, a few px apart."""
        t = np.linspace(0, 1, max(2, int(self.length / 4)))[:, None]
        along = self.end - self.start
        return np.asarray(self.start + t * along + self._bend(t) * np.array([-along[1], along[0]]))

    def coordinates(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return position along it, 0 to 1 from start to end, and px to its right, of points.

        Args:
            x: px, of any shape.
            y: px, of the same.
        """
        along = (self.end - self.start) / self.length
        dx, dy = x - self.start[0], y - self.start[1]
        t = (dx * along[0] + dy * along[1]) / self.length
        across = dy * along[0] - dx * along[1] - self.length * self._bend(t)
        return np.asarray(t, np.float32), np.asarray(across, np.float32)

    def _bend(self, t: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Return how far it lies to the right of the straight connection, in its lengths."""
        first, last = self.slopes
        return np.asarray(first * t * (1 - t) ** 2 - last * t**2 * (1 - t))

    def beyond(self, px: float) -> list[npt.NDArray[np.float64]]:
        """Return (2, 2), from end to px outside the hole, of the edge at both ends."""
        ends = ((self.start, -self._ahead(at_end=False)), (self.end, self._ahead(at_end=True)))
        return [np.stack([at, at + px * outwards]) for at, outwards in ends]

    def _ahead(self, *, at_end: bool) -> Vector:
        """Return the line's direction at an end, a unit vector."""
        along = self.end - self.start
        ahead = along + self.slopes[at_end] * np.array([-along[1], along[0]])
        return np.asarray(ahead / np.hypot(*ahead))

    def strip(
        self, image: RGBImage | FloatArray, unknown: Mask, *, at_end: bool, scale: float
    ) -> FloatArray:
        """Return the photo along the edge that is seen at one end.

        Args:
            image: (H, W, 3) in [0, 255], of the line's own scale.
            unknown: (H, W) bool.
            at_end: of the line; else at its start.
            scale: px of the image per px that `PROFILE_PX` counts.

        Returns:
            (N, M, 3) float32: outwards from the hole, and from the line's left to its right; NaN
            where nothing is known.
        """
        if self.seen_px[at_end] == 0:
            return np.full((1, 2 * max(1, round(PROFILE_PX * scale)) + 1, 3), np.nan, np.float32)
        ahead = self._ahead(at_end=at_end)
        outwards = ahead if at_end else -ahead
        count = int(min(self.seen_px[at_end], _SAMPLED_PX * scale))
        reach = round(PROFILE_PX * scale)
        origin = (self.end if at_end else self.start) + _CLEAR_PX * scale * outwards
        return _sampled(
            image,
            unknown,
            origin=origin,
            outwards=outwards,
            ahead=ahead,
            size=(max(1, count), max(1, reach)),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Ray:
    """An edge that runs into a hole."""

    entry: Vector
    direction: Vector  # unit, into the hole
    length: float  # px of the edge outside
    colours: FloatArray  # (2 * PROFILE_PX + 1, 3) across it, NaN where unknown

    def side(self, *, right: bool) -> FloatArray:
        """Return the mean colour (3,) to its right or left; NaN where nothing is known."""
        half = self.colours[PROFILE_PX + _SIDE_PX :] if right else self.colours[: PROFILE_PX - 1]
        known = half[~np.isnan(half[:, 0])]
        return np.asarray(known.mean(axis=0) if len(known) else np.full(3, np.nan), np.float32)

    def line_to(self, tip: Vector) -> Line:
        """Return the line with which it ends at a point."""
        return Line(self.entry, tip, (0.0, 0.0), (self.length, 0.0))

    @property
    def is_clear(self) -> bool:
        """Whether it is long, and its sides differ."""
        unlike = _unlike(self.side(right=True), self.side(right=False))
        return self.length >= _SEEN_PX and _CONTRAST_LEVELS <= unlike < np.inf


def find_lines(image: RGBImage, hole: Mask) -> list[Line]:
    """Return the lines that go on through a hole, the likeliest first.

    Args:
        image: (H, W, 3) uint8, RGB; a few hundred px. What it holds in the hole does not matter.
        hole: (H, W) bool.
    """
    rays = _find_rays(image, hole)
    joints = _join(rays)
    left_over = [ray for ray in _unused(rays, joints) if ray.is_clear]
    joints += _corners(left_over, joints, hole)
    return _ended(left_over, joints, hole)


def _find_rays(image: RGBImage, hole: Mask) -> list[_Ray]:
    clear = cv2.dilate(hole.view(np.uint8), np.ones((2 * _CLEAR_PX + 1,) * 2, np.uint8)) > 0
    edges = straight_edges(image, bounding_box(hole, pad_px=_AROUND_PX))
    rays = []
    for segment in _cut(_near(_merged(edges), hole), clear):
        for start, end in (segment, segment[::-1]):
            length = float(np.hypot(*(end - start)))
            direction = (end - start) / length
            steps = np.arange(0, _GAP_PX + _CLEAR_PX, 0.5)[:, None]
            inside = _looked_up(hole, end + steps * direction)
            if not inside.any():
                continue
            entry = end + steps[int(inside.argmax())] * direction
            count = int(min(_SAMPLED_PX, length))
            strip = _sampled(
                image,
                clear,
                origin=end,
                outwards=-direction,
                ahead=direction,
                size=(count, PROFILE_PX),
            )
            colours = median_profile(strip)
            middle = colours[PROFILE_PX - 1 : PROFILE_PX + 2]
            if np.isnan(middle).any():
                continue
            rays.append(_Ray(entry, direction, length, colours))
    return rays


def straight_edges(image: RGBImage, box_xyxy: Box) -> npt.NDArray[np.float64]:
    """Return straight edges inside a box, (N, 4) x and y of both ends, dark to one side.

    Args:
        image: (H, W, 3) uint8, RGB.
        box_xyxy: of it.
    """
    left, top, right, bottom = box_xyxy
    part = np.ascontiguousarray(image[top:bottom, left:right])
    grey = cv2.cvtColor(part, cv2.COLOR_RGB2GRAY)
    red_blue = (part[..., 0].astype(np.int16) - part[..., 2]) // 2 + 128
    found = []
    for plane in (grey, red_blue.astype(np.uint8)):
        segments = cv2.createLineSegmentDetector(cv2.LSD_REFINE_STD).detect(plane)[0]
        if segments is not None:
            found.append(segments.reshape(-1, 4))
    every = np.concatenate([*found, np.zeros((0, 4))]).astype(np.float64)
    return every + np.array([left, top, left, top], np.float64)


def _merged(segments: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return segments with those joined that go on in one line after a short gap."""
    longest_first = np.argsort(-np.hypot(*(segments[:, 2:] - segments[:, :2]).T), kind="stable")
    left_over = segments[longest_first]
    # Most have none but themselves that goes on in their line.
    starts = range(0, len(left_over), _ROWS)
    rows = [left_over[start : start + _ROWS, None] for start in starts]
    alone = [count < 2 for row in rows for count in _goes_on(row, left_over).sum(axis=1)]
    still_alone = np.array(alone, np.bool_)
    result = []
    while len(left_over) > 0:
        grown, left_over = left_over[0], left_over[1:]
        is_alone, still_alone = still_alone[0], still_alone[1:]
        while not is_alone:
            fits = _goes_on(grown, left_over)
            if not fits.any():
                break
            along = grown[2:] - grown[:2]
            ends_of = np.concatenate([grown[None], left_over[fits]]).reshape(-1, 2)
            # The line through all of them, by their ends.
            middle = ends_of.mean(axis=0)
            axis = np.linalg.svd(ends_of - middle)[2][0]
            axis = axis if axis @ along > 0 else -axis
            reach = (ends_of - middle) @ axis
            grown = np.concatenate([middle + reach.min() * axis, middle + reach.max() * axis])
            left_over, still_alone = left_over[~fits], still_alone[~fits]
        result.append(grown)
    return np.array(result).reshape(-1, 4)


def _goes_on(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> Mask:
    """Return whether segments (..., 4) go on in others, in one line after a short gap."""
    x, y, to_x, to_y = np.moveaxis(one, -1, 0)
    length = np.hypot(to_x - x, to_y - y)
    along_x, along_y = (to_x - x) / length, (to_y - y) / length
    ends = np.moveaxis(other, -1, 0)
    own_x, own_y = ends[2] - ends[0], ends[3] - ends[1]
    parallel = own_x * along_x + own_y * along_y > 0.99 * np.hypot(own_x, own_y)
    # Both ends of the others, forwards from one's start and sideways.
    forwards = [(ends[i] - x) * along_x + (ends[i + 1] - y) * along_y for i in (0, 2)]
    sideways = [(ends[i + 1] - y) * along_x - (ends[i] - x) * along_y for i in (0, 2)]
    gap = np.maximum(np.minimum(*forwards) - length, -np.maximum(*forwards))
    beside = np.maximum(np.abs(sideways[0]), np.abs(sideways[1])) < _BESIDE_PX
    return np.asarray(parallel & beside & (gap < np.minimum(_MERGED_GAP_PX, 0.5 * length)))


def _near(segments: npt.NDArray[np.float64], hole: Mask) -> npt.NDArray[np.float64]:
    """Return the segments (N, 4) from which a ray may enter the hole."""
    distance = cv2.distanceTransform((~hole).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    x, y = np.rint((segments[:, :2] + segments[:, 2:]) / 2).astype(np.int64).T
    height, width = hole.shape
    middle = distance[y.clip(0, height - 1), x.clip(0, width - 1)]
    reach = np.hypot(*(segments[:, 2:] - segments[:, :2]).T) / 2 + _GAP_PX + _CLEAR_PX
    # Rounding, and what lies outside the picture.
    return np.asarray(segments[middle <= reach + 3])


def _cut(segments: npt.NDArray[np.float64], hole: Mask) -> list[npt.NDArray[np.float64]]:
    """Return the parts (2, 2) of segments (N, 4) that lie outside the hole and are long enough."""
    parts = []
    for segment in segments:
        first, last = segment[:2], segment[2:]
        count = int(np.hypot(*(last - first))) + 1
        at = first + np.linspace(0, 1, count + 1)[:, None] * (last - first)
        free = np.concatenate([[False], ~_looked_up(hole, at), [False]])
        changes = np.flatnonzero(np.diff(free.astype(np.int8)))
        for begin, end in changes.reshape(-1, 2).tolist():
            part = at[[begin, end - 1]]
            if np.hypot(*(part[1] - part[0])) >= _LEAST_PX:
                parts.append(part)
    return parts


def _looked_up(mask: Mask, at: npt.NDArray[np.float64]) -> Mask:
    """Return (N,) values of a mask at (N, 2) points; False outside it."""
    x, y = np.rint(at).astype(np.int64).T
    height, width = mask.shape
    valid = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return np.asarray(mask[y.clip(0, height - 1), x.clip(0, width - 1)] & valid)


def _sampled(
    image: RGBImage | FloatArray,
    unknown: Mask,
    *,
    origin: Vector,
    outwards: Vector,
    ahead: Vector,
    size: tuple[int, int],
) -> FloatArray:
    """Return (N, 2 M + 1, 3) colours outwards along a line and across it; NaN: unknown.

    Args:
        image: (H, W, 3).
        unknown: (H, W) bool.
        origin: where to begin.
        outwards: unit vector, from there.
        ahead: unit vector, along the line; it tells left from right.
        size: N and M, px.
    """
    back = np.arange(size[0])[:, None]
    across = np.arange(-size[1], size[1] + 1)[None]
    x = (origin[0] + back * outwards[0] - across * ahead[1]).astype(np.float32)
    y = (origin[1] + back * outwards[1] + across * ahead[0]).astype(np.float32)
    # OpenCV looks nothing up in pictures of 32,767 px and more.
    left, top = (
        min(max(0, int(at.min()) - 1), side - 1)
        for at, side in zip((x, y), unknown.shape[::-1], strict=True)
    )
    part = image[top : max(top, int(y.max())) + 2, left : max(left, int(x.max())) + 2]
    colours = cv2.remap(part, x - left, y - top, cv2.INTER_LINEAR).astype(np.float32)
    # Known is what lies between four known pixels.
    column, row = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    height, width = unknown.shape
    known = (column >= 0) & (column + 1 < width) & (row >= 0) & (row + 1 < height)
    column, row = column.clip(0, width - 2), row.clip(0, height - 2)
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        known &= ~unknown[row + down, column + right]
    colours[~known] = np.nan
    return colours


def median_profile(strip: FloatArray) -> FloatArray:
    """Return (M, 3) of a strip (N, M, 3): its medians; NaN where less than a third is known."""
    enough = (~np.isnan(strip[..., 0])).mean(axis=0) >= _KNOWN_SHARE
    result = np.full(strip.shape[1:], np.nan, np.float32)
    if enough.any():
        result[enough] = np.nanmedian(strip[:, enough], axis=0)
    return result


@dataclass(frozen=True, slots=True, eq=False)
class _Joint:
    """Two rays and the line that joins them, or three and those that end in a corner."""

    rays: tuple[_Ray, ...]
    lines: tuple[Line, ...]

    @classmethod
    def at(cls, rays: tuple[_Ray, ...], tip: Vector) -> "_Joint":
        """Let rays end at a point."""
        return cls(rays, tuple(ray.line_to(tip) for ray in rays))

    def side(self, *, right: bool) -> tuple[FloatArray, FloatArray]:
        """Return the colours on one side of the way from one to the other, at both ends."""
        return self.rays[0].side(right=right), self.rays[1].side(right=not right)


def _join(rays: list[_Ray]) -> list[_Joint]:
    """Return lines of two rays that face each other, the likeliest first."""
    candidates = []
    entries, directions = _places(rays)
    for i, one in enumerate(rays):
        for j in _facing(one, entries[:i], directions[:i]):
            cost = _joining_cost(one, rays[j])
            if cost is not None:
                candidates.append((cost, i, j))
    lines: list[Line] = []
    joints: list[_Joint] = []
    used: set[int] = set()
    for _, i, j in sorted(candidates):
        if i in used or j in used:
            continue
        line = _connection(rays[i], rays[j])
        if any(_cross_slantwise(line, other) for other in lines):
            continue
        lines.append(line)
        joints.append(_Joint((rays[i], rays[j]), (line,)))
        used |= {i, j}
    return joints


def _places(rays: list[_Ray]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return (N, 2) where rays enter, and (N, 2) where they lead."""
    entries = np.array([ray.entry for ray in rays]).reshape(-1, 2)
    return entries, np.array([ray.direction for ray in rays]).reshape(-1, 2)


def _facing(
    one: _Ray, entries: npt.NDArray[np.float64], directions: npt.NDArray[np.float64]
) -> list[int]:
    """Return which rays, by `_places`, face one so nearly on a line that they may be joined."""
    between = entries - one.entry
    gap = np.hypot(*between.T)
    ahead = np.minimum(between @ one.direction, -(between * directions).sum(axis=1))
    aside = np.maximum(
        np.abs(one.direction[0] * between[:, 1] - one.direction[1] * between[:, 0]),
        np.abs(directions[:, 0] * between[:, 1] - directions[:, 1] * between[:, 0]),
    )
    most = _OFFSET_PX + _OFFSET_SHARE * gap
    # Rounding: `_joining_cost` decides.
    fits = (ahead > np.cos(_MOST_TURN) * gap - _ROUNDING_PX) & (aside < most + _ROUNDING_PX)
    found: list[int] = np.flatnonzero(fits).tolist()
    return found


def _unused(rays: list[_Ray], joints: list[_Joint]) -> list[_Ray]:
    used = {id(ray) for joint in joints for ray in joint.rays}
    return [ray for ray in rays if id(ray) not in used]


def _corners(rays: list[_Ray], joints: list[_Joint], hole: Mask) -> list[_Joint]:
    """Return corners where three rays meet in a point, the likeliest first.

    Of the three surfaces between them, two have to have the same colours at both of their rays.
    """
    rays = sorted(rays, key=lambda ray: -ray.length)[:_MOST_RAYS]
    meetings: dict[tuple[int, int], Vector] = {}
    for i, one in enumerate(rays):
        for j in range(i):
            reach = _meeting(one.entry, one.direction, rays[j].entry, rays[j].direction)
            if reach is not None and min(reach) > 0 and max(reach) < _FARTHEST_CORNER_PX:
                meetings[i, j] = one.entry + reach[0] * one.direction
    candidates = []
    for (i, j), tip in meetings.items():
        for k in range(j):
            if (i, k) not in meetings or (j, k) not in meetings:
                continue
            tips = np.stack([tip, meetings[i, k], meetings[j, k]])
            spread = float(np.hypot(*np.ptp(tips, axis=0)))
            three = (rays[i], rays[j], rays[k])
            if spread <= _MEETING_PX and _surround(three):
                candidates.append((spread, _Joint.at(three, tips.mean(axis=0))))
    return _chosen(candidates, joints, hole)


def _surround(rays: tuple[_Ray, ...]) -> bool:
    """Return whether three rays that meet bound three surfaces, two of them of one colour each."""
    outwards = [float(np.arctan2(-ray.direction[1], -ray.direction[0])) for ray in rays]
    order = np.argsort(outwards)
    alike = 0
    for at, beside in zip(order, np.roll(order, -1), strict=True):
        angle = (outwards[beside] - outwards[at]) % (2 * np.pi)
        if not _CROSSING < angle < _WIDEST:
            return False
        unlike = _unlike(rays[at].side(right=False), rays[beside].side(right=True))
        alike += unlike <= _SURFACE_LEVELS
    return alike >= 2


def _chosen(
    candidates: list[tuple[float, _Joint]], joints: list[_Joint], hole: Mask
) -> list[_Joint]:
    """Return corners, by their costs, that cross no line and share no ray."""
    chosen: list[_Joint] = []
    for _, corner in sorted(candidates, key=lambda candidate: candidate[0]):
        lines = [line for joint in (*joints, *chosen) for line in joint.lines]
        if len(_unused(list(corner.rays), chosen)) < len(corner.rays):
            continue
        if all(_is_free(line, lines, hole) for line in corner.lines):
            chosen.append(corner)
    return chosen


def _ended(rays: list[_Ray], joints: list[_Joint], hole: Mask) -> list[Line]:
    """Return the lines of all joints, and those of rays that end on them."""
    lines = [line for joint in joints for line in joint.lines]
    rays = _unused(rays, joints)
    places = _places(rays)
    result: list[Line] = []
    ends: list[Line] = []
    for joint in joints:
        if len(joint.lines) > 1:
            result += joint.lines
            continue
        (line,) = joint.lines
        opened: list[Part | None] = [None, None]
        for right in (False, True):
            others = [one for one in lines if one is not line] + ends
            near = [rays[index] for index in _reaching(line, *places)]
            hits = [hit for hit in _hits(near, line, right=right) if _is_free(hit[2], others, hole)]
            first, last = joint.side(right=right)
            chain = _chain([ray for _, ray, _ in hits], first, last, right=right)
            if not _stands([hits[index] for index in chain], line.length):
                continue
            if len(chain) == 1 and not _parts(hits[chain[0]][1], first, last):
                continue
            ends += [hits[index][2] for index in chain]
            if chain:
                opened[right] = (hits[chain[0]][0], hits[chain[-1]][0])
        result.append(replace(line, open=(opened[0], opened[1])))
    return result + ends


def _reaching(
    line: Line, entries: npt.NDArray[np.float64], directions: npt.NDArray[np.float64]
) -> list[int]:
    """Return which rays, by `_places`, may end on a line."""
    along, away = line.end - line.start, line.start - entries
    cross = directions[:, 0] * along[1] - directions[:, 1] * along[0]
    cross = np.where(np.abs(cross) < _PARALLEL, np.inf, cross)
    reach = (away[:, 0] * along[1] - away[:, 1] * along[0]) / cross
    part = (away[:, 0] * directions[:, 1] - away[:, 1] * directions[:, 0]) / cross
    # Rounding: `_hits` decides.
    fits = (np.abs(reach - _FARTHEST_PX / 2) < _FARTHEST_PX / 2 + _ROUNDING_PX) & (
        np.abs(part - 0.5) < 0.5 + _ROUNDING_PX
    )
    found: list[int] = np.flatnonzero(fits).tolist()
    return found


def _hits(rays: list[_Ray], line: Line, *, right: bool) -> list[tuple[float, _Ray, Line]]:
    """Return where on a line rays from one side end, in order: position, ray, and its line."""
    along = line.end - line.start
    hits = []
    for ray in rays:
        reach = _meeting(ray.entry, ray.direction, line.start, along)
        turn = _angle(along, ray.direction)
        if reach is None or not 0 < reach[0] < _FARTHEST_PX or not 0 < reach[1] < 1:
            continue
        if (turn < 0) == right and _CROSSING < abs(turn) < np.pi - _CROSSING:
            hits.append((reach[1], ray, ray.line_to(ray.entry + reach[0] * ray.direction)))
    return sorted(hits, key=lambda hit: hit[0])


def _stands(hits: list[tuple[float, _Ray, Line]], length: float) -> bool:
    """Return whether what stands on a line, of some length in px, is sure to reach it.

    What is narrow may end anywhere, like the leg of a lamp.
    """
    if len(hits) < 2:
        return all(end.length <= ray.length for _, ray, end in hits)
    return (hits[-1][0] - hits[0][0]) * length >= max(end.length for _, _, end in hits)


def _parts(ray: _Ray, first: FloatArray, last: FloatArray) -> bool:
    """Return whether a side's colours (3,) at a line's start and end differ as a ray's sides do."""
    apart = _unlike(ray.side(right=True), ray.side(right=False))
    return _unlike(first, last) >= _CHANGE_SHARE * apart


def _chain(rays: list[_Ray], first: FloatArray, last: FloatArray, *, right: bool) -> list[int]:
    """Return which rays, in their order along a line's side, go on from colour to colour.

    Args:
        rays: that come from this side.
        first: (3,) the side's colours at the line's start.
        last: (3,) those at its end.
        right: the side.
    """
    longest: list[list[int]] = []  # that ends with each ray
    for index, ray in enumerate(rays):
        # Who comes from the right has the line's start to the left.
        before = ray.side(right=not right)
        earlier = [
            chain
            for chain in longest
            if chain and _unlike(rays[chain[-1]].side(right=right), before) <= _SAME_LEVELS
        ]
        if _unlike(first, before) <= _SAME_LEVELS:
            earlier.append([])
        longest.append([*max(earlier, key=len), index] if earlier else [])
    complete = [
        chain
        for chain in longest
        if chain and _unlike(rays[chain[-1]].side(right=right), last) <= _SAME_LEVELS
    ]
    return max(complete, key=len, default=[])


def _is_free(line: Line, others: list[Line], hole: Mask) -> bool:
    """Return whether a line lies inside the hole and crosses no other."""
    inside = _looked_up(hole, line.points()[1:-1])
    if len(inside) and inside.mean() < _INSIDE_SHARE:
        return False
    return not any(_cross(line, other) for other in others)


def _joining_cost(one: _Ray, other: _Ray) -> float | None:
    """Return how badly two rays go together; None if not at all."""
    between = other.entry - one.entry
    gap = float(np.hypot(*between))
    if gap < 1 or between @ one.direction <= 0:
        return None
    turns = [_angle(one.direction, between), _angle(between, -other.direction)]
    offset = max(abs(np.sin(turn)) * gap for turn in turns)
    bent = max(abs(turn) for turn in turns)
    if bent > _MOST_TURN or (bent > _TURN and offset > _OFFSET_PX):
        return None
    if offset > _OFFSET_PX + _OFFSET_SHARE * gap:
        return None
    unlike = _unlike(one.colours, other.colours[::-1])
    if unlike > _COLOUR_LEVELS:
        return None
    return float(offset) / _OFFSET_PX + unlike / _COLOUR_LEVELS + gap / _LONG_PX


def _unlike(one: FloatArray, other: FloatArray) -> float:
    """Return the mean difference of colours, (..., 3), where both are known; else infinity."""
    difference = np.abs(one - other).mean(axis=-1)
    known = ~np.isnan(difference)
    return float(difference[known].mean()) if known.any() else np.inf


def _angle(one: Vector, other: Vector) -> float:
    """Return the angle from one direction to another, in radians from -pi to pi."""
    return float(np.arctan2(one[0] * other[1] - one[1] * other[0], one @ other))


def _connection(one: _Ray, other: _Ray) -> Line:
    along = other.entry - one.entry
    slopes = (
        float(np.tan(np.clip(_angle(along, one.direction), -_TURN, _TURN))),
        float(np.tan(np.clip(_angle(along, -other.direction), -_TURN, _TURN))),
    )
    return Line(one.entry, other.entry, slopes, (one.length, other.length))


def _cross_slantwise(one: Line, other: Line) -> bool:
    """Return whether two lines cross at an acute angle."""
    if not _cross(one, other):
        return False
    angle = abs(_angle(one.end - one.start, other.end - other.start))
    return min(angle, np.pi - angle) <= _CROSSING


def _cross(one: Line, other: Line) -> bool:
    """Return whether two lines cross between their ends."""
    meeting = _meeting(one.start, one.end - one.start, other.start, other.end - other.start)
    return meeting is not None and all(0 < part < 1 for part in meeting)


def _meeting(p: Vector, u: Vector, q: Vector, v: Vector) -> tuple[float, float] | None:
    """Return s and t with p + s u = q + t v; None for parallels."""
    cross = float(u[0] * v[1] - u[1] * v[0])
    if abs(cross) < _PARALLEL:
        return None
    d = q - p
    return float(d[0] * v[1] - d[1] * v[0]) / cross, float(d[0] * u[1] - d[1] * u[0]) / cross
