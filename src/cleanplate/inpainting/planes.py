"""Planes in perspective around a hole, such as facades and pavements, seen from the front.

Edges that are parallel in the scene lead to one vanishing point. Two of these span a plane; where
both are taken to infinity, what is regular on it has the same size everywhere.

Reference:
    Huang et al., Image Completion using Planar Structure Guidance, SIGGRAPH 2014: planes from
    vanishing points, and regularity found on them.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cleanplate.inpainting.lines import straight_edges
from cleanplate.ops import Transform, dilate, invert, scaling, transform_points
from cleanplate.types import Mask, RGBImage

Points = npt.NDArray[np.float64]
"""(N, 3), homogeneous x and y."""

# px are of a picture of a few hundred.
_LEAST_PX = 14.0  # length of an edge
_MOST_EDGES = 150
_MOST_PAIRED = 50  # of the longest of them, each two propose a vanishing point
_CLEAR_PX = 3.0  # nothing so near to the hole counts: it may be the object's own outline
_OFF = 0.035  # radians, by which an edge may miss a vanishing point
_LEAST_EDGES, _LEAST_SHARE = 5, 0.08  # that lead to one: number, and share of their length
_MOST_POINTS = 4
_REFINED = 3  # times that a vanishing point is fitted to its edges

_LEAST_ANGLE = 0.35  # radians between a plane's two directions, at the hole
_DEPTHS = (0.5, 2.0)  # of the hole's middle's: what is nearer or farther is not looked at
_LEAST_DEPTHS = 1.12  # ratio of the farthest and nearest of the hole; below that all is as it is
_MOST_PX = 200  # that a view reaches from the hole's middle


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A picture seen otherwise.

    Attributes:
        transform: (3, 3), from px of the picture to px of the view; at any scale, but positive
            where the plane is in front.
        size_hw: of the view.
    """

    transform: Transform
    size_hw: tuple[int, int]

    @classmethod
    def whole(cls, size_hw: tuple[int, int]) -> "View":
        """Return the picture as it is."""
        return cls(np.eye(3), size_hw)

    def scaled(self, scale: float) -> "View":
        """Return the view, `scale` times as large, of a picture that is as much larger."""
        transform = scaling(scale) @ self.transform @ scaling(1 / scale)
        height, width = (max(1, round(side * scale)) for side in self.size_hw)
        return View(transform, (height, width))

    def in_front(self, xy: npt.NDArray[np.float64]) -> Mask:
        """Return (N,), which points (N, 2) of the picture lie before the plane's horizon."""
        return np.asarray(xy @ self.transform[2, :2] + self.transform[2, 2] > 0)


def find_views(image: RGBImage, hole: Mask) -> list[View]:
    """Return views, from the front, of planes in perspective that a hole may lie in.

    At the hole's middle they have the picture's scale.

    Args:
        image: (H, W, 3) uint8, RGB; a few hundred px. What it holds in the hole does not matter.
        hole: (H, W) bool.
    """
    edges = straight_edges(image, (0, 0, hole.shape[1], hole.shape[0]))
    lengths = np.hypot(*(edges[:, 2:] - edges[:, :2]).T)
    x, y = ((edges[:, :2] + edges[:, 2:]) / 2).astype(np.int64).T
    clear = ~dilate(hole, _CLEAR_PX)[y.clip(0, hole.shape[0] - 1), x.clip(0, hole.shape[1] - 1)]
    usable = np.flatnonzero(clear & (lengths >= _LEAST_PX))
    edges = edges[usable[np.argsort(-lengths[usable], kind="stable")[:_MOST_EDGES]]]
    middle = np.argwhere(hole).mean(axis=0)[::-1]
    points = _vanishing_points(edges, middle, max(hole.shape) / 2)
    views = [
        _view(one, other, middle, hole)
        for index, one in enumerate(points)
        for other in points[:index]
    ]
    return [view for view in views if view is not None]


def _vanishing_points(
    edges: npt.NDArray[np.float64], middle: npt.NDArray[np.float64], scale: float
) -> list[npt.NDArray[np.float64]]:
    """Return (3,) points that edges lead to, x and y from a middle; the most supported first.

    Args:
        edges: (N, 4), see `straight_edges`.
        middle: (2,) x and y.
        scale: px, of about the picture's size.
    """
    found: list[npt.NDArray[np.float64]] = []
    ends = (edges.reshape(-1, 2, 2) - middle) / scale
    along = ends[:, 1] - ends[:, 0]
    length = np.hypot(*along.T)
    along /= length[:, None]
    centre = ends.mean(axis=1)
    lines = np.cross(*np.dstack([ends, np.ones(ends.shape[:2])]).transpose(1, 0, 2))
    lines /= np.hypot(lines[:, 0], lines[:, 1])[:, None]
    whole = length.sum()
    left = np.ones(len(edges), np.bool_)
    for _ in range(_MOST_POINTS):
        paired = np.flatnonzero(left)[:_MOST_PAIRED]
        one, other = np.triu_indices(len(paired), 1)
        if len(one) == 0:
            break
        points = np.cross(lines[paired[one]], lines[paired[other]])
        points = points[np.linalg.norm(points, axis=1) > 1e-9]
        support = (length * _fits(points, centre, along) * left).sum(axis=1)
        if len(support) == 0:
            break
        point = points[int(support.argmax())]
        for _ in range(_REFINED):
            weight = (length * _fits(point[None], centre, along)[0] * left)[:, None]
            point = np.linalg.svd(np.sqrt(weight) * lines, full_matrices=False)[2][-1]
        own = left & (_fits(point[None], centre, along)[0] > 0)
        if own.sum() < _LEAST_EDGES or length[own].sum() < _LEAST_SHARE * whole:
            break
        found.append(point * np.array([scale, scale, 1]))
        left &= ~own
    return found


def _fits(
    points: Points, centre: npt.NDArray[np.float64], along: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return (M, N) how well edges lead to points (M, 3): 1 exactly, 0 not at all.

    Args:
        points: homogeneous.
        centre: (N, 2) of the edges.
        along: (N, 2) unit vectors.
    """
    towards = points[:, None, :2] - points[:, None, 2:] * centre
    towards /= np.maximum(np.linalg.norm(towards, axis=2, keepdims=True), 1e-12)
    sine = np.abs(towards[..., 0] * along[:, 1] - towards[..., 1] * along[:, 0])
    return np.asarray(np.maximum(0, 1 - sine / _OFF))


def _view(
    one: npt.NDArray[np.float64],
    other: npt.NDArray[np.float64],
    middle: npt.NDArray[np.float64],
    hole: Mask,
) -> View | None:
    """Return the plane of two vanishing points from the front; None where it is no help."""
    directions = []
    for point in (one, other):
        size = np.hypot(point[0], point[1])
        if size < 1e-9:
            return None
        directions.append(point / size)
    directions.sort(key=lambda point: -abs(point[0]))
    across, down = (point * np.sign(point[axis] or 1.0) for axis, point in enumerate(directions))
    if abs(across[0] * down[1] - across[1] * down[0]) < np.sin(_LEAST_ANGLE):
        return None
    back = np.stack([across, down, [0.0, 0.0, 1.0]], axis=1)
    # Where the determinant is negative, the view is mirrored: for what repeats no matter.
    to_view = invert(back) @ np.array([[1, 0, -middle[0]], [0, 1, -middle[1]], [0, 0, 1]])
    height, width = hole.shape
    rows, columns = np.mgrid[0:height:8, 0:width:8].reshape(2, -1)
    depth = np.column_stack([columns, rows, np.ones(len(rows))]) @ to_view[2]
    inside = hole[rows, columns]
    if not inside.any() or depth[inside].min() < _DEPTHS[0] or depth[inside].max() > _DEPTHS[1]:
        return None
    if depth[inside].max() < _LEAST_DEPTHS * depth[inside].min():
        return None
    usable = (depth > _DEPTHS[0]) & (depth < _DEPTHS[1])
    at = transform_points(to_view, np.column_stack([columns, rows])[usable])
    low, high = at.min(axis=0).clip(-_MOST_PX, 0), at.max(axis=0).clip(0, _MOST_PX)
    size = np.ceil(high - low).astype(np.int64) + 1
    moved = np.array([[1, 0, -low[0]], [0, 1, -low[1]], [0, 0, 1]]) @ to_view
    return View(moved, (int(size[1]), int(size[0])))
