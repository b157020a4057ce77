"""EdgeConnect: two generators, one for the edges of the hole, then one for its colours.

The built-in one is written from the paper and from the contract of its weights; the published
one runs its authors' checkpoints as their program does. What differs there: the photo is neither
cropped nor squashed to 256 x 256, sides that are not multiples of 4 are padded, and levels are
rounded to the nearest.

References:
    Nazeri et al., EdgeConnect: Generative Image Inpainting with Adversarial Edge Learning, 2019,
    arXiv:1901.00212; `EdgeConnect.test` and `Dataset.load_edge` of
    https://github.com/knazeri/edge-connect at commit 3142579.
"""

from abc import abstractmethod

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.inpainting.base import NetworkInpainter, composite, pad_to, to_planes
from cleanplate.inpainting.models.canny import SIGMA_PX, canny_edges, grey_of
from cleanplate.ops import choose, pull_push
from cleanplate.types import FloatArray, Mask, RGBImage

_CHANNELS_WITH_MASK = 5  # RGB, edges and mask: networks trained by users may take the mask too
_WHITE = np.float32(1)  # the paint that marks the hole, as in the paper

GREY_WEIGHTS = np.array([0.2125, 0.7154, 0.0721], np.float32)  # of R, G, B, as in training
_CANNY_SIGMA_PX = 2.0  # section 3.2 of the paper
_CANNY_LOW, _CANNY_HIGH = 0.1, 0.2  # of the Sobel magnitude of grey in [0, 1], as in training
_EDGE_RIM_PX = 2  # no Canny edges so near to the hole: they may be the object's own
_RING_PX = 4  # width of the surroundings that the fill's colours are matched to
_OUTLIER_SPREADS = 6.0  # median absolute deviations
_PLANE_DEVIATION = 5 / 255  # of a flat surrounding from a plane, for ...
_PLANE_SHARE = 0.85  # ... this share of it: claws and cables that the mask missed may differ
_MIN_RING = 24  # px; too few to fit a plane otherwise
_THIN_PX = 1.6  # a hole nowhere deeper than this is a scratch: the network may leave it white

FloatImage = npt.NDArray[np.float32]
"""(H, W, 3) float32, RGB in [0, 1]."""


class _EdgeConnect(NetworkInpainter):
    """The two generators of EdgeConnect and the planes they take."""

    def _inpaint(self, image: RGBImage, mask: Mask) -> RGBImage:
        padded, hole = pad_to(image, mask, self._padded_hw(mask), border=cv2.BORDER_REPLICATE)
        return composite(image, mask, self._generate(padded, hole) * 255)

    @abstractmethod
    def _generate(self, image: RGBImage, hole: Mask) -> FloatImage:
        """Return colours for the hole; what is given for other pixels does not matter.

        Args:
            image: (H, W, 3) uint8, H and W multiples of 4.
            hole: (H, W) bool.
        """

    def _generate_edges(
        self, grey: npt.NDArray[np.floating], edges: npt.NDArray[np.generic], hole: Mask
    ) -> FloatArray:
        """Run the edge generator.

        Args:
            grey: (H, W) in [0, 1]; its values in the hole are ignored.
            edges: (H, W), 1 on the edges of what is known, 0 elsewhere.
            hole: (H, W) bool.

        Returns:
            (H, W) probability of an edge, inside the hole and outside.
        """
        planes = [np.where(hole, _WHITE, grey), edges, hole]
        edge_map = self._networks["edges"].run(np.stack(planes).astype(np.float32)[None])
        return np.asarray(edge_map[0, 0])

    def _generate_colours(self, rgb: FloatImage, edges: FloatArray, hole: Mask) -> FloatImage:
        """Run the colour generator.

        Args:
            rgb: (H, W, 3) in [0, 1]; its values in the hole are ignored.
            edges: (H, W) in [0, 1].
            hole: (H, W) bool.
        """
        planes = [np.where(hole[..., None], _WHITE, rgb), edges]
        network = self._networks["fill"]
        if network.input_shapes[0][1] == _CHANNELS_WITH_MASK:
            planes.append(hole.astype(np.float32))
        filled = network.run(to_planes(np.dstack(planes)))[0]  # (3, H, W)
        return np.asarray(filled.transpose(1, 2, 0))


class EdgeConnectInpainter(_EdgeConnect):
    """The two generators of EdgeConnect, with the fill's colours matched to the hole's border.

    Args:
        name: a registered model of this family.
        device: one of `cleanplate.runtime.DEVICES`.
        threads: CPU threads of one run; None uses every available core.
    """

    def __init__(
        self, name: str = "edgeconnect.photos", *, device: str = "auto", threads: int | None = None
    ) -> None:
        super().__init__(name, device=device, threads=threads)

    def _inpaint(self, image: RGBImage, mask: Mask) -> RGBImage:
        return _fill_scratches(super()._inpaint(image, mask), mask)

    def _generate(self, image: RGBImage, hole: Mask) -> FloatImage:
        rgb = image.astype(np.float32) / np.float32(255)
        grey = np.asarray(rgb @ GREY_WEIGHTS, np.float32)
        near = cv2.dilate(hole.view(np.uint8), np.ones((2 * _EDGE_RIM_PX + 1,) * 2, np.uint8)) > 0
        # Nothing of the object may be seen: its outline would be an edge to continue.
        known = find_edges(np.where(hole, pull_push(grey[..., None], ~hole)[..., 0], grey))
        edge_map = self._generate_edges(grey, np.where(near, np.float32(0), known), hole)
        generated = self._generate_colours(rgb, np.where(hole, edge_map, known), hole)
        return _continue_planes(_match_border(generated, rgb, hole), rgb, hole)


class PublishedEdgeConnectInpainter(_EdgeConnect):
    """The two generators as published: no colours are matched, that is left to the pipeline."""

    def _generate(self, image: RGBImage, hole: Mask) -> FloatImage:
        return self.draw(image, hole)[0]

    def draw(
        self,
        image: RGBImage,
        hole: Mask,
        *,
        sigma_px: float = SIGMA_PX,
        edges: FloatArray | None = None,
    ) -> tuple[FloatImage, FloatArray]:
        """Return the colours that the networks draw, in the hole and beside it, and the edges.

        Args:
            image: (H, W, 3) uint8, H and W multiples of 4; its hole does not matter.
            hole: (H, W) bool.
            sigma_px: of the blur before the Canny edges are found.
            edges: (H, W) in [0, 1], 1 on edges: taken instead of those that the first network
                draws.
        """
        if edges is None:
            grey = grey_of(image)
            edges = self._generate_edges(grey, canny_edges(grey, ~hole, sigma_px), hole)
        # Neither thresholded nor replaced by the Canny edges outside the hole: the second generator
        # was trained on what the first one draws everywhere.
        rgb = image.astype(np.float32) / np.float32(255)
        return self._generate_colours(rgb, edges, hole), edges


def find_edges(grey: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return Canny edges as 0 and 1.

    Args:
        grey: (H, W) float32 in [0, 1].

    Returns:
        (H, W) float32.

    References:
        Canny, A Computational Approach to Edge Detection, PAMI 1986; the thresholds are on the
        scale of `skimage.feature.canny`, which the training used.
    """
    smooth = cv2.GaussianBlur(grey, (0, 0), _CANNY_SIGMA_PX, borderType=cv2.BORDER_REFLECT_101)
    scale = 4096.0  # the largest Sobel magnitude of [0, 1] is below 6: it fits into 16 bits
    across = cv2.Sobel(smooth * scale, cv2.CV_32F, 1, 0, ksize=3, borderType=cv2.BORDER_REPLICATE)
    down = cv2.Sobel(smooth * scale, cv2.CV_32F, 0, 1, ksize=3, borderType=cv2.BORDER_REPLICATE)
    edges = cv2.Canny(
        np.rint(across).astype(np.int16),
        np.rint(down).astype(np.int16),
        _CANNY_LOW * scale,
        _CANNY_HIGH * scale,
        L2gradient=True,
    )
    return (edges > 0).astype(np.float32)


def _match_border(generated: FloatImage, rgb: FloatImage, hole: Mask) -> FloatImage:
    """Shift the generated colours so that they meet the photo's all around the hole.

    The network paints the known pixels too: how far it is off there, next to the hole, is carried
    into the hole smoothly. Pixels where it is off by far more than usual are no guide: they belong
    to a part of the object that the mask missed.
    """
    ring = _ring(hole)
    if not ring.any():
        return generated
    difference = rgb - generated
    deviation = np.abs(difference[ring]).max(axis=1)
    usual = float(np.median(deviation))
    spread = float(np.median(np.abs(deviation - usual)))
    guide = ring.copy()
    guide[ring] = deviation <= usual + _OUTLIER_SPREADS * spread + 1e-3
    return generated + pull_push(difference, guide)


def _continue_planes(filled: FloatImage, rgb: FloatImage, hole: Mask) -> FloatImage:
    """Continue clear sky and plain walls as planes instead of taking the network's fill.

    Where the surroundings of a hole lie on a plane in each colour, up to a few grey levels, so does
    what is behind the object. The network's fill differs there by a visible tint.
    """
    result = filled.copy()
    count, parts, stats, _ = cv2.connectedComponentsWithStats(hole.view(np.uint8), connectivity=8)
    for part in range(1, count):
        x, y, w, h, _ = stats[part].tolist()
        rows = slice(max(0, y - _RING_PX), y + h + _RING_PX)
        columns = slice(max(0, x - _RING_PX), x + w + _RING_PX)
        own = parts[rows, columns] == part
        ring = _ring(own) & ~hole[rows, columns]
        surface = _plane_through(rgb[rows, columns], ring)
        if surface is not None:
            result[rows, columns][own] = surface[own]
    return result


def _plane_through(rgb: FloatImage, ring: Mask) -> FloatImage | None:
    """Return the smooth continuation of a ring that is nearly plane, else None.

    The plane is fitted to each colour by least absolute deviations (reweighted least squares), so
    that remains of the object on the ring do not tilt it.
    """
    if np.count_nonzero(ring) < _MIN_RING:
        return None
    down, across = np.mgrid[0 : ring.shape[0], 0 : ring.shape[1]].astype(np.float32)
    place = np.stack([np.ones_like(down), down / len(ring), across / len(ring)], axis=-1)
    known, target = place[ring], rgb[ring]
    weight = np.ones(len(known), np.float32)
    for _ in range(10):
        root = np.sqrt(weight)[:, None]
        coefficients = np.linalg.lstsq(known * root, target * root, rcond=None)[0]
        deviation = np.abs(target - known @ coefficients).max(axis=1)
        weight = 1 / np.maximum(deviation, 1e-3)
    if np.quantile(deviation, _PLANE_SHARE) > _PLANE_DEVIATION:
        return None
    plane = (place @ coefficients).astype(np.float32)
    guide = ring.copy()
    guide[ring] = deviation <= _PLANE_DEVIATION
    return np.asarray(plane + pull_push(rgb - plane, guide), np.float32)


def _ring(hole: Mask) -> Mask:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _RING_PX + 1,) * 2)
    return (cv2.dilate(hole.view(np.uint8), kernel) > 0) & ~hole


def _fill_scratches(image: RGBImage, mask: Mask) -> RGBImage:
    """Fill holes that are thin lines by diffusion instead."""
    depth = cv2.distanceTransform(
        np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE
    )[1:-1, 1:-1]
    count, parts = cv2.connectedComponents(mask.view(np.uint8), connectivity=8)
    thin = np.ones(count, np.bool_)
    thin[parts[depth > _THIN_PX]] = False
    thin[0] = False
    scratches = thin[parts]
    if not scratches.any() or mask.all():
        return image
    rim = (1, 1, 1, 1, cv2.BORDER_REPLICATE)  # OpenCV reads beyond the memory of 1 px wide arrays
    ground, hole = (cv2.copyMakeBorder(a, *rim) for a in (image, scratches.astype(np.uint8)))
    lines = cv2.inpaint(ground, hole, 3, cv2.INPAINT_TELEA)[1:-1, 1:-1]
    return choose(scratches, np.asarray(lines, np.uint8), image)
