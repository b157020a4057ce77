"""Ink (CMYK) seen as RGB, and colours as ink."""

import numpy as np

from cleanplate.types import RGBImage

_Ink = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]

_SAMPLES = 1_000_000  # pixels from which the use of black is learnt
_FINEST_BITS = 5  # of each channel, to compare colours


def ink_to_rgb(ink: _Ink) -> RGBImage:
    """Return (..., 4) CMYK, 0 = no ink, as RGB: what paper and black leave of each colour."""
    paper = 255 - ink.astype(np.uint16)
    rgb: RGBImage = ((paper[..., :3] * paper[..., 3:] + 127) // 255).astype(np.uint8)
    return rgb


def rgb_to_ink(colours: _Ink, known: _Ink, known_ink: _Ink) -> _Ink:
    """Return (N, 4) ink that `ink_to_rgb` shows as these colours.

    Many mixtures look alike; how much black a colour gets is what pixels of nearly that colour have
    elsewhere in the photo.

    Args:
        colours: (N, 3) RGB.
        known: (M, 3) RGB, other pixels of the photo.
        known_ink: (M, 4), their ink.
    """
    step = max(1, len(known) // _SAMPLES)
    known, known_black = known[::step], known_ink[::step, 3]
    black = np.zeros(len(colours))
    missing = np.arange(len(colours))
    for bits in range(_FINEST_BITS, -1, -1):
        counts, sums = (
            np.bincount(_bins(known, bits), weights, minlength=8**bits)
            for weights in (None, known_black)
        )
        at = _bins(colours[missing], bits)
        found = counts[at] > 0
        black[missing[found]] = (sums[at] / np.maximum(counts[at], 1))[found]
        missing = missing[~found]
    # No colour is brighter than its black allows.
    black = np.minimum(np.rint(black), 255 - colours.max(axis=1))
    left = np.maximum(255 - black, 1)[:, None]
    ink = np.concatenate([255 - colours * (255 / left), black[:, None]], axis=1)
    levels: _Ink = np.clip(np.rint(ink), 0, 255).astype(np.uint8)
    return levels


def _bins(colours: _Ink, bits: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    steps = np.array([1 << 2 * bits, 1 << bits, 1])
    return np.asarray((colours.astype(np.int64) >> (8 - bits)) @ steps)
