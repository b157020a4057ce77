"""How alike two masks are."""

import numpy as np

from cleanplate.types import Mask


def intersection_over_union(one: Mask, two: Mask) -> float:
    """Return the shared part of all that either mask holds, in [0, 1]; 1 for two empty ones."""
    either = np.count_nonzero(one | two)
    return np.count_nonzero(one & two) / either if either else 1.0
