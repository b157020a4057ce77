"""A loaded network, wherever it computes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

Tensor = npt.NDArray[Any]
"""An input or output of a network, of the dtype its file names."""

Run = Callable[[Sequence[Tensor]], list[Tensor]]
"""Computes all outputs from all inputs, both in the file's order; safe to call from threads."""


@dataclass(frozen=True, slots=True)
class Network:
    """Interface of `cleanplate.runtime.session.Session`."""

    provider: str  # what runs it, e.g. "CPUExecutionProvider"
    # What the file says of each input: a number, or a name where any size will do.
    input_shapes: tuple[tuple[int | str, ...], ...]
    max_concurrency: int  # useful simultaneous calls; 1 where one call keeps the device busy
    run: Run
