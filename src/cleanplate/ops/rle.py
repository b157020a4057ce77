"""Outlines as run lengths, in the form that the COCO data set and its tools use.

The pixels of a mask are taken column by column; the lengths of the runs of equal ones are listed,
the first of zeros (so it may be 0), the second of ones, and so on.

Reference:
    Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014; "uncompressed RLE" of its API.
"""

from collections.abc import Sequence

import numpy as np

from cleanplate.errors import InputError
from cleanplate.types import Box, Mask


def encode_rle(box: Box, mask: Mask, size_hw: tuple[int, int]) -> list[int]:
    """Return the run lengths of a mask in a photo.

    Args:
        box: where the mask lies in the photo.
        mask: (bottom - top, right - left) bool.
        size_hw: H and W of the photo.
    """
    height, width = size_hw
    left, top = box[:2]
    columns = np.pad(mask.T.astype(np.int8), ((0, 0), (1, 1)))  # (w, h + 2)
    changes = np.diff(columns, axis=1)
    place = np.arange(mask.shape[1])[:, None] + left
    at = place * height + np.arange(mask.shape[0] + 1) + top
    starts, ends = at[changes == 1], at[changes == -1]
    joined = starts[1:] == ends[:-1]  # a run goes on at the top of the next column
    starts = np.concatenate([starts[:1], starts[1:][~joined]])
    ends = np.concatenate([ends[:-1][~joined], ends[-1:]])
    edges = np.stack([starts, ends], axis=1).ravel()
    lengths = np.diff(np.concatenate([[0], edges, [height * width]]))
    return [int(length) for length in (lengths[:-1] if lengths[-1] == 0 else lengths)]


def decode_rle(counts: Sequence[int], size_hw: tuple[int, int]) -> tuple[Box, Mask]:
    """Return the tight box of a mask, and the mask inside it, (bottom - top, right - left) bool.

    Args:
        counts: lengths of the runs, column by column, the first of False.
        size_hw: H and W of the photo.

    Raises:
        InputError: the lengths do not add up to the photo, or there is no pixel.
    """
    height, width = size_hw
    lengths = np.asarray(counts, np.int64)
    if lengths.ndim != 1 or (lengths < 0).any() or lengths.sum() != height * width:
        raise InputError(f"the run lengths do not add up to {width} x {height} px")
    edges = np.concatenate([[0], np.cumsum(lengths)])
    starts, ends = edges[1:-1:2], edges[2::2]
    starts, ends = starts[starts < ends], ends[starts < ends]
    if not starts.size:
        raise InputError("the run lengths contain no pixel")
    left, right = int(starts[0] // height), int((ends[-1] - 1) // height) + 1
    steps = np.zeros((right - left) * height + 1, np.int8)
    steps[starts - left * height] += 1
    steps[ends - left * height] -= 1
    near = np.cumsum(steps[:-1], dtype=np.int8).astype(np.bool_).reshape(right - left, height).T
    rows = np.flatnonzero(near.any(axis=1))
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    return (left, top, right, bottom), np.ascontiguousarray(near[top:bottom])


_ZERO, _MORE, _SIGN = 48, 0x20, 0x10  # first character; flags of five bits


def pack_counts(counts: Sequence[int]) -> str:
    """Return run lengths as the text that COCO's tools write.

    From the fourth on, each is stored as the difference to the one two before; in groups of five
    bits, the lowest first, one printable character each.
    """
    characters = []
    for index, count in enumerate(counts):
        value = count - counts[index - 2] if index > 2 else count
        while True:
            group, value = value & 0x1F, value >> 5
            is_last = value == (-1 if group & _SIGN else 0)
            characters.append(chr(_ZERO + group + (0 if is_last else _MORE)))
            if is_last:
                break
    return "".join(characters)


def unpack_counts(text: str) -> list[int]:
    """Return the run lengths that `pack_counts` wrote.

    Raises:
        InputError: it is not such text.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        group = ord(character) - _ZERO
        if not 0 <= group < 2 * _MORE:
            raise InputError(f"{character!r} is not valid in run lengths")
        value |= (group & 0x1F) << shift
        shift += 5
        if not group & _MORE:
            if group & _SIGN:
                value -= 1 << shift
            counts.append(value + counts[-2] if len(counts) > 2 else value)
            value = shift = 0
    if shift:
        raise InputError("the run lengths end in the middle of one")
    return counts
