"""New pixels in a JPEG, block by block: what the hole does not meet keeps its coefficients.

The scans are decoded to symbols, not to pixels. Only the 8x8 blocks of each component that hold a
sample of the hole are transformed: from their coefficients to samples, with the fill in the hole,
and back with the file's own tables. All others are written again bit for bit, whatever the
subsampling or the orientation; only a DC difference next to a changed block is another.

Sequential files keep their scans, restart markers and, where these have a code for everything that
is needed, their Huffman tables. Progressive files stay progressive, but with one scan for DC and
one per component for AC, each with a table of its own.

References:
    ITU-T T.81 (JPEG), annexes A, F and G; ITU-T T.871 (JFIF).
"""

import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cleanplate.io.formats.jpeg_coding import (
    ZIGZAG,
    Coded,
    CodingError,
    HuffmanTable,
    Ints,
    Scan,
    Symbols,
    decode_progressive,
    decode_scan,
    encode_symbols,
    extend,
    join_intervals,
    parse_tables,
    replace_bits,
    split_intervals,
    to_bits,
)
from cleanplate.io.metadata import DHT, DQT, DRI, SOS, Frame, Segment, Stream, walk_markers
from cleanplate.types import FloatArray, Mask

_SOF0, _SOF1, _SOF2 = 0xC0, 0xC1, 0xC2
_EOI = b"\xff\xd9"
# (64, 64): rows are the basis functions of the DCT, by row; T.81, A.3.3.
_FREQUENCY, _PLACE = np.meshgrid(np.arange(8), np.arange(8), indexing="ij")
_DCT_8 = np.cos((2 * _PLACE + 1) * _FREQUENCY * np.pi / 16) / 2 * np.where(_FREQUENCY, 1, 0.5**0.5)
_DCT: FloatArray = np.kron(_DCT_8, _DCT_8).astype(np.float32)
_MIN = np.float32(1e-6)  # share of a sample; less is the error of averaging
_DC_RANGE, _AC_RANGE = (-1024, 1023), (-1023, 1023)  # of 8-bit samples; T.81, tables F.1 and F.2

Coefficients = npt.NDArray[np.int32]
"""(N, 64) of blocks, in zigzag order."""


class _Grid:
    """The blocks of a frame."""

    def __init__(self, frame: Frame) -> None:
        self.size_hw = frame.size_hw
        self.factors_hw = [(v, h) for _, h, v, _ in frame.components]
        self.most_hw = max(v for v, _ in self.factors_hw), max(h for _, h in self.factors_hw)
        self.mcus_hw = tuple(
            -(-side // (8 * most)) for side, most in zip(frame.size_hw, self.most_hw, strict=True)
        )
        self.coded_hw = [  # with those that only fill up an MCU
            (self.mcus_hw[0] * v, self.mcus_hw[1] * h) for v, h in self.factors_hw
        ]
        self.own_hw = [  # without; T.81, A.2.4
            tuple(
                math.ceil(math.ceil(side * factor / most) / 8)
                for side, factor, most in zip(self.size_hw, pair, self.most_hw, strict=True)
            )
            for pair in self.factors_hw
        ]

    def order(self, components: tuple[int, ...]) -> tuple[Ints, Ints, Ints]:
        """Return, for each block of a scan, its place in `components`, and its row and column.

        Each is (number of MCUs, blocks per MCU).
        """
        if len(components) == 1:
            height, width = self.own_hw[components[0]]
            row, column = np.divmod(np.arange(height * width)[:, None], width)
            return np.zeros_like(row), row, column
        height, width = self.mcus_hw
        mcu_row, mcu_column = np.divmod(np.arange(height * width), width)
        which, rows, columns = [], [], []
        for place, component in enumerate(components):
            v, h = self.factors_hw[component]
            for inner in range(v * h):
                which.append(np.full(len(mcu_row), place))
                rows.append(mcu_row * v + inner // h)
                columns.append(mcu_column * h + inner % h)
        return np.stack(which, 1), np.stack(rows, 1), np.stack(columns, 1)


@dataclass(frozen=True, slots=True, eq=False)
class _Change:
    """The new samples of one component, in N of its blocks."""

    place: Ints  # (rows, columns): which of the N a block is; -1: it does not change
    samples: FloatArray  # (N, 64), 0 at mid-grey
    weight: FloatArray  # (N, 64): share of each sample that is new
    table: FloatArray  # (64,) quantisation, by row

    @property
    def touched(self) -> npt.NDArray[np.bool_]:
        """(rows, columns): whether a block changes."""
        return self.place >= 0

    def apply(self, row: Ints, column: Ints, coefficients: Coefficients) -> Coefficients:
        """Return the (N, 64) coefficients, in zigzag order, of blocks with their new samples."""
        place = self.place[row, column]
        table = self.table[ZIGZAG]
        by_row = np.zeros(coefficients.shape, np.float32)
        by_row[:, ZIGZAG] = coefficients * table
        weight = self.weight[place]
        samples = (by_row @ _DCT) * (1 - weight) + self.samples[place] * weight
        new: Coefficients = np.rint((samples @ _DCT.T)[:, ZIGZAG] / table).astype(np.int32)
        np.clip(new[:, :1], *_DC_RANGE, out=new[:, :1])
        np.clip(new[:, 1:], *_AC_RANGE, out=new[:, 1:])
        return new


DecodedScan = tuple[Coded, Ints]
"""What a sequential scan holds, and how many blocks each of its intervals should."""


def decode_scans(stream: Stream) -> list[DecodedScan]:
    """Return the scans of a file; none of a progressive one.

    Raises:
        CodingError: damaged or incomplete data, arithmetic coding, or a lossless file.
    """
    if stream.frame.marker not in (_SOF0, _SOF1):
        return []
    grid = _Grid(stream.frame)
    return [_decode_scan(item, grid) for item in _items(stream) if isinstance(item, Scan)]


def replace_pixels(
    stream: Stream,
    filled: npt.NDArray[np.uint8],
    mask: Mask,
    *,
    is_plain: bool,
    scans: list[DecodedScan] | None = None,
) -> tuple[bytes, Mask]:
    """Return new scans, and which pixels may differ from before.

    The second is the blocks of the hole, and, where chroma is subsampled, the pixels to which a
    decoder interpolates from them.

    Args:
        stream: the file. Its segments before the scans stay as they are.
        filled: (H, W, C) uint8, RGB or the four components, as it is stored.
        mask: (H, W) bool, the hole.
        is_plain: whether the components are the channels, without the YCbCr transform.
        scans: from `decode_scans`, if it was called before.

    Returns:
        The scans from the first SOS (or the tables before it) to EOI, and (H, W) bool.

    Raises:
        CodingError: damaged or incomplete data, arithmetic coding, or a lossless file.
    """
    frame = stream.frame
    if frame.marker not in (_SOF0, _SOF1, _SOF2) or frame.precision != 8:
        raise CodingError("neither sequential nor progressive Huffman coding of 8 bits")
    if not mask.any():
        return stream.scans, mask
    grid = _Grid(frame)
    quantisation: dict[int, FloatArray] = {}
    for segment in stream.segments:
        if segment.marker == DQT:
            quantisation.update(_parse_quantisation(segment.payload))
    if any(component[3] not in quantisation for component in frame.components):
        raise CodingError("a quantisation table is missing")
    tables = [quantisation[component[3]] for component in frame.components]
    changes = _changes(grid, tables, filled, mask, is_plain=is_plain)
    changed = _changed_pixels(grid, changes)
    if frame.is_progressive:
        return _edit_progressive(stream, grid, changes), changed
    out = bytearray()
    decoded = iter(decode_scans(stream) if scans is None else scans)
    for item in _items(stream):
        out += (
            item.to_bytes()
            if isinstance(item, Segment)
            else _edit_scan(stream, item, next(decoded), grid, changes)
        )
    return bytes(out) + _EOI, changed


def check_complete(stream: Stream) -> None:
    """Raise unless all blocks of the scans are there.

    Raises:
        CodingError: some are missing, or damaged; or the coding is arithmetic.
    """
    if stream.frame.marker not in (_SOF0, _SOF1, _SOF2):
        raise CodingError("the file is truncated")
    grid = _Grid(stream.frame)
    if stream.frame.is_progressive:
        _decode_progressive(stream, grid)
        return
    scanned: set[int] = set()
    for item in _items(stream):
        if isinstance(item, Scan):
            scanned.update(item.components)
            _decode_scan(item, grid)
    if len(scanned) < len(stream.frame.components):
        raise CodingError("the file is truncated")


def _items(stream: Stream) -> Iterator[Segment | Scan]:
    """Yield the scans and the segments between them."""
    huffman: dict[int, HuffmanTable] = {}
    restart = stream.restart_interval
    ids = [component[0] for component in stream.frame.components]
    for segment in stream.segments:
        if segment.marker == DHT:
            huffman.update(parse_tables(segment.payload))
    data = stream.scans
    for marker, start, end in walk_markers(data, 0):
        if marker == _EOI[1]:
            return
        length = int.from_bytes(data[start + 2 : start + 4], "big")
        payload = data[start + 4 : start + 2 + length]
        if marker != SOS:
            if marker == DQT:
                raise CodingError("quantisation tables change between scans")
            if marker == DHT:
                huffman.update(parse_tables(payload))
            elif marker == DRI:
                restart = int.from_bytes(payload[:2], "big")
            yield Segment(marker, payload)
            continue
        count = payload[0]
        if len(payload) != 4 + 2 * count or any(i not in ids for i in payload[1 : 2 * count : 2]):
            raise CodingError("a scan header is damaged")
        yield Scan(
            tuple(ids.index(i) for i in payload[1 : 2 * count : 2]),
            tuple((t >> 4, 0x10 | t & 15) for t in payload[2 : 2 * count + 1 : 2]),
            (payload[-3], payload[-2]),
            (payload[-1] >> 4, payload[-1] & 15),
            data[start + 2 + length : end],
            restart,
            dict(huffman),
        )
    raise CodingError("the end of the image is missing")


def _parse_quantisation(payload: bytes) -> Iterator[tuple[int, FloatArray]]:
    """Yield number and (64,) table, by row, of a DQT segment."""
    at = 0
    while at < len(payload):
        width = 2 if payload[at] >> 4 else 1
        values = np.frombuffer(payload[at + 1 : at + 1 + 64 * width], f">u{width}")
        if len(values) < 64 or not values.all():
            raise CodingError("a quantisation table is damaged")
        table = np.empty(64, np.float32)
        table[ZIGZAG] = values
        yield payload[at] & 15, table
        at += 1 + 64 * width


def _changes(
    grid: _Grid,
    tables: list[FloatArray],
    filled: npt.NDArray[np.uint8],
    mask: Mask,
    *,
    is_plain: bool,
) -> list[_Change]:
    """Return what changes in each component."""
    import cv2

    high, wide = 8 * grid.most_hw[0], 8 * grid.most_hw[1]  # of an MCU, px
    met = np.logical_or.reduceat(mask, np.arange(0, mask.shape[0], high), axis=0)
    met = np.logical_or.reduceat(met, np.arange(0, mask.shape[1], wide), axis=1)
    mcu_row, mcu_column = np.nonzero(met)
    hole = _mcus(mask[..., None], mcu_row, mcu_column, (high, wide))[..., 0].astype(np.float32)
    colours = _mcus(filled, mcu_row, mcu_column, (high, wide)).astype(np.float32)
    planes = [colours[..., channel] for channel in range(filled.shape[2])]
    if not is_plain:
        planes[:3] = _to_ycbcr(*planes[:3])
    out = []
    for plane, factors, blocks_hw, table in zip(
        planes[: len(tables)], grid.factors_hw, grid.coded_hw, tables, strict=True
    ):
        size_wh = 8 * factors[1], 8 * factors[0] * len(mcu_row)
        weight: npt.NDArray[Any] = hole
        samples: npt.NDArray[Any] = plane * hole
        if size_wh != hole.shape[::-1]:  # the mean over the hole's pixels that a sample stands for
            weight, samples = (
                cv2.resize(it, size_wh, interpolation=cv2.INTER_AREA) for it in (weight, samples)
            )
        weight = np.where(weight < _MIN, np.float32(0), weight)
        samples = np.where(weight > 0, samples / np.maximum(weight, _MIN) - 128, np.float32(0))
        samples, weight = (_to_blocks(it, factors) for it in (samples, weight))
        changes = np.any(weight > 0, axis=3)  # (MCUs, v, h)
        number, down, across = np.nonzero(changes)
        row = mcu_row[number] * factors[0] + down
        column = mcu_column[number] * factors[1] + across
        place = np.full(blocks_hw, -1)
        place[row, column] = np.arange(len(number))
        out.append(_Change(place, samples[changes], weight[changes], table))
    return out


def _mcus(
    image: npt.NDArray[Any], row: Ints, column: Ints, size_hw: tuple[int, int]
) -> npt.NDArray[Any]:
    """Return (N * h, w, C): N MCUs of h x w px of an (H, W, C) image, one below the other.

    The image goes on in what fills up the last ones: nothing of a hole's object stays hidden there.
    """
    high, wide = size_hw
    top, left = int(row.min()), int(column.min())
    rows, columns = int(row.max()) + 1 - top, int(column.max()) + 1 - left
    window = image[top * high :, left * wide :][: rows * high, : columns * wide]
    below, beside = rows * high - window.shape[0], columns * wide - window.shape[1]
    if below or beside:
        window = np.pad(window, ((0, below), (0, beside), (0, 0)), mode="edge")
    blocks = window.reshape(rows, high, columns, wide, -1)
    return blocks[row - top, :, column - left].reshape(-1, wide, image.shape[2])


def _to_ycbcr(red: FloatArray, green: FloatArray, blue: FloatArray) -> list[FloatArray]:
    """Return Y, Cb and Cr of full range; T.871, 7."""
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return [luma, (blue - luma) / 1.772 + 128, (red - luma) / 1.402 + 128]


def _to_blocks(plane: FloatArray, factors_hw: tuple[int, int]) -> FloatArray:
    """Return (MCUs, v, h, 64), the blocks of MCUs that stand one below the other."""
    v, h = factors_hw
    return plane.reshape(-1, v, 8, h, 8).swapaxes(2, 3).reshape(-1, v, h, 64)


def _changed_pixels(grid: _Grid, changes: list[_Change]) -> Mask:
    """Return the pixels that new coefficients can change."""
    import cv2

    out = np.zeros(grid.size_hw, bool)
    for change, factors in zip(changes, grid.factors_hw, strict=True):
        touched = change.touched.astype(np.uint8)
        size_hw = 8 * grid.most_hw[0] * grid.mcus_hw[0], 8 * grid.most_hw[1] * grid.mcus_hw[1]
        pixels = cv2.resize(touched, size_hw[::-1], interpolation=cv2.INTER_NEAREST)
        reach = [m // f if m > f else 0 for m, f in zip(grid.most_hw, factors, strict=True)]
        if any(reach):  # T.871 leaves interpolation to the decoder; libjpeg reaches one sample
            pixels = cv2.dilate(pixels, np.ones((2 * reach[0] + 1, 2 * reach[1] + 1), np.uint8))
        out |= pixels[: out.shape[0], : out.shape[1]] > 0
    return out


def _decode_scan(scan: Scan, grid: _Grid) -> DecodedScan:
    """Return what a sequential scan holds.

    Raises:
        CodingError: an interval has other than the expected number of blocks.
    """
    which, _, _ = grid.order(scan.components)
    pairs = [(scan.table(dc), scan.table(ac)) for dc, ac in scan.tables]
    coded = decode_scan(split_intervals(scan.data), [pairs[place] for place in which[0]])
    mcus, per_mcu = which.shape
    counts = per_mcu * np.diff([*range(0, mcus, scan.restart or mcus), mcus])
    if len(counts) != len(coded.intervals):
        raise CodingError("restart markers are missing")
    if (coded.counts[:-1] != counts[:-1]).any() or coded.counts[-1] < counts[-1]:
        raise CodingError("coded data are damaged or truncated")
    if coded.counts[-1] > counts[-1]:  # what follows the last block of the image means nothing
        coded.ends[-1] = coded.bits[counts.sum()]
    return coded, counts


def _edit_scan(
    stream: Stream, scan: Scan, decoded: DecodedScan, grid: _Grid, changes: list[_Change]
) -> bytes:
    """Return a sequential scan, with its header, after the change.

    Of each interval only a stretch is coded again: from the first block that changes to the MCU
    after the last one, whose DC values are differences to theirs. All else is copied bit by bit.
    """
    coded, counts = decoded
    which, row, column = grid.order(scan.components)
    per_mcu = which.shape[1]
    which, row, column = which.ravel(), row.ravel(), column.ravel()
    touched = np.zeros(len(which), bool)
    for place, component in enumerate(scan.components):
        chosen = np.flatnonzero(which == place)
        touched[chosen] = changes[component].touched[row[chosen], column[chosen]]
    met = np.flatnonzero(touched)
    if not met.size:
        return _scan_header(stream, scan) + scan.data
    interval = np.repeat(np.arange(len(counts)), counts)
    stops = np.cumsum(counts)
    first, stop = stops - counts, stops - counts  # blocks of the stretches
    edited, at = np.unique(interval[met], return_index=True)
    first[edited] = met[at] // per_mcu * per_mcu
    last = met[np.append(at[1:], len(met)) - 1]
    stop[edited] = np.minimum((last // per_mcu + 2) * per_mcu, stops[edited])
    old = _Stretch.of(coded, counts, first, stop)
    dc = _sums(_numbers(coded.heads)[: len(which)], which, interval)
    replaced: list[tuple[Ints, Coefficients]] = []
    for place, component in enumerate(scan.components):
        chosen = np.flatnonzero(touched & (which == place))
        if chosen.size:
            new = changes[component].apply(
                row[chosen], column[chosen], _coefficients(old.symbols, old.block, chosen, dc)
            )
            dc[chosen] = new[:, 0]
            replaced.append((chosen, new))
    heads = _dc_symbols(dc, which, interval)
    numbers = [number for tables in scan.tables for number in tables]
    used = {n: scan.huffman[n] for n in numbers}
    symbols, block = _edited(old, touched, heads, replaced)
    table = (2 * which[block] + (symbols.index > 0)).astype(np.uint8)
    better = _complete(symbols, table, numbers, used)
    if better:  # all of the scan is coded with them
        edited = np.arange(len(counts))
        old = _Stretch.of(coded, counts, stops - counts, stops)
        symbols, block = _edited(old, touched, heads, replaced)
        table = (2 * which[block] + (symbols.index > 0)).astype(np.uint8)
        better = _complete(symbols, table, numbers, used)
    lengths = np.bincount(interval[block], minlength=len(counts))[edited]
    pieces = encode_symbols(symbols, table, [(used | better)[n] for n in numbers], lengths)
    data = list(coded.intervals)
    for number, piece in zip(edited.tolist(), pieces, strict=True):
        begin, until = int(old.begin[number]), int(old.until[number])
        data[number] = replace_bits(data[number], begin, until, int(coded.ends[number]), piece)
    coded_scan = _scan_header(stream, scan) + join_intervals(data)
    if not better:
        return coded_scan
    tables = [b"".join(t.payload(n) for n, t in change.items()) for change in (better, used)]
    before, after = (Segment(DHT, payload).to_bytes() for payload in tables)
    return before + coded_scan + after  # a later scan may count on the old ones


@dataclass(frozen=True, slots=True, eq=False)
class _Stretch:
    """A part of each of a scan's intervals, of whole blocks, as it is coded."""

    begin: Ints  # (I,) first bit
    until: Ints  # (I,) bit after the last
    blocks: Ints  # (B,) in it
    symbols: Symbols  # (N,)
    block: Ints  # (N,) of each symbol

    @classmethod
    def of(cls, coded: Coded, counts: Ints, first: Ints, stop: Ints) -> "_Stretch":
        """Return the (I,) blocks `first` to before `stop` of intervals of so many blocks."""
        is_whole = stop == np.cumsum(counts)
        begin = coded.bits[np.minimum(first, len(coded.bits) - 1)]
        until = np.where(is_whole, coded.ends, coded.bits[np.where(is_whole, 0, stop)])
        until = np.where(first < stop, until, begin)
        symbols = coded.symbols(first, stop, until)
        inside = np.arange(counts.sum())
        inside = inside[(inside >= np.repeat(first, counts)) & (inside < np.repeat(stop, counts))]
        return cls(begin, until, inside, symbols, inside[np.cumsum(symbols.index == 0) - 1])


def _edited(
    old: _Stretch,
    touched: npt.NDArray[np.bool_],
    heads: Symbols,
    replaced: list[tuple[Ints, Coefficients]],
) -> tuple[Symbols, Ints]:
    """Return the new symbols of a stretch, and the block of each.

    Args:
        old: the stretch.
        touched: whether a block changes.
        heads: the new DC values of all blocks.
        replaced: blocks, and their new coefficients.
    """
    kept = (old.symbols.index > 0) & ~touched[old.block]
    inside = np.zeros(len(heads), bool)
    inside[old.blocks] = True
    parts, owners = [heads.take(inside), old.symbols.take(kept)], [old.blocks, old.block[kept]]
    for chosen, new in replaced:
        symbols, owner = _ac_symbols(new)
        parts.append(symbols)
        owners.append(chosen[owner])
    block = np.concatenate(owners)
    order = np.argsort(block, kind="stable")
    joined = Symbols.joined(parts)
    symbols = Symbols(joined.symbol[order], joined.value[order], joined.index[order])
    return symbols, block[order]


def _numbers(symbols: Symbols) -> Ints:
    """Return the coefficient, or difference, of each symbol."""
    return extend(symbols.value.astype(np.int64), symbols.symbol.astype(np.int64) & 15)


def _runs(which: Ints, interval: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Yield the blocks of each component, and for each the place of its interval's first."""
    for place in range(int(which.max()) + 1):
        blocks = np.flatnonzero(which == place)
        yield blocks, np.searchsorted(interval[blocks], interval[blocks])


def _sums(differences: Ints, which: Ints, interval: Ints) -> Ints:
    """Return DC values of differences; prediction begins anew in each interval."""
    out = np.empty_like(differences)
    for blocks, first in _runs(which, interval):
        total = np.cumsum(differences[blocks])
        out[blocks] = total - (total - differences[blocks])[first]
    return out


def _dc_symbols(dc: Ints, which: Ints, interval: Ints) -> Symbols:
    """Return the symbols of DC values, as differences; the inverse of `_sums`."""
    out = np.empty_like(dc)
    for blocks, first in _runs(which, interval):
        values = dc[blocks]
        before = np.concatenate([[0], values[:-1]])
        out[blocks] = values - np.where(first == np.arange(len(blocks)), 0, before)
    size, bits = to_bits(out)
    return Symbols(size.astype(np.uint8), bits.astype(np.uint16), np.zeros(len(dc), np.uint8))


def _coefficients(symbols: Symbols, block: Ints, chosen: Ints, dc: Ints) -> Coefficients:
    """Return (len(chosen), 64): the coefficients of some blocks, in zigzag order."""
    row_of = np.full(len(dc), -1)
    row_of[chosen] = np.arange(len(chosen))
    picked = row_of[block] >= 0
    row, some = row_of[block[picked]], symbols.take(picked)
    place = some.index.astype(np.int64) + (some.symbol >> 4)
    is_value = ((some.symbol & 15) > 0) & (some.index > 0)
    out = np.zeros((len(chosen), 64), np.int32)
    out[row[is_value], place[is_value]] = _numbers(some)[is_value]
    out[:, 0] = dc[chosen]
    return out


def _ac_symbols(coefficients: Coefficients) -> tuple[Symbols, Ints]:
    """Return the symbols of all but the first of (N, 64) coefficients, and the block of each."""
    block, place = np.nonzero(coefficients[:, 1:])
    place += 1
    value = coefficients[block, place]
    is_new = np.diff(block, prepend=-1) > 0
    begin = np.where(is_new, 1, np.concatenate([[0], place[:-1]]) + 1)
    zeros = place - begin
    longs = zeros >> 4  # runs of 16 zeros before it
    size, bits = to_bits(value)
    repeat = longs + 1
    source = np.repeat(np.arange(len(block)), repeat)
    within = np.arange(len(source)) - np.repeat(np.cumsum(repeat) - repeat, repeat)
    is_long = within < longs[source]
    symbol = np.where(is_long, 0xF0, (zeros[source] & 15) << 4 | size[source])
    owner = block[source]
    last = np.zeros(len(coefficients), np.int64)
    np.maximum.at(last, block, place)
    open_ended = np.flatnonzero(last < 63)  # end of block
    owner = np.concatenate([owner, open_ended])
    order = np.argsort(owner, kind="stable")
    nothing = np.zeros(len(open_ended), np.int64)
    parts = (
        np.concatenate([symbol, nothing]),
        np.concatenate([np.where(is_long, 0, bits[source]), nothing]),
        np.concatenate([begin[source] + 16 * within, last[open_ended] + 1]),
    )
    symbols, values, index = (part[order] for part in parts)
    coded = Symbols(symbols.astype(np.uint8), values.astype(np.uint16), index.astype(np.uint8))
    return coded, owner[order]


def _complete(
    symbols: Symbols,
    table: npt.NDArray[np.uint8],
    numbers: list[int],
    used: dict[int, HuffmanTable],
) -> dict[int, HuffmanTable]:
    """Return new tables in the place of those that lack a symbol."""
    counts = {number: np.zeros(256, np.int64) for number in numbers}
    for place, number in enumerate(numbers):
        counts[number] += np.bincount(symbols.symbol[table == place], minlength=256)
    return {
        number: HuffmanTable.optimal(count)
        for number, count in counts.items()
        if (used[number].codes[1][count > 0] == 0).any()
    }


def _scan_header(stream: Stream, scan: Scan) -> bytes:
    parts = [len(scan.components)]
    for component, (dc, ac) in zip(scan.components, scan.tables, strict=True):
        parts += [stream.frame.components[component][0], dc << 4 | ac & 15]
    return Segment(SOS, bytes([*parts, *scan.band, scan.bits[0] << 4 | scan.bits[1]])).to_bytes()


def _decode_progressive(stream: Stream, grid: _Grid) -> list[npt.NDArray[np.int16]]:
    """Return the coefficients of each component: (rows, columns, 64) in zigzag order."""
    coefficients = [array("h", bytes(2 * 64 * height * width)) for height, width in grid.coded_hw]
    for item in _items(stream):
        if isinstance(item, Scan):
            which, row, column = grid.order(item.components)
            firsts = [
                64 * (row * grid.coded_hw[c][1] + column)[which == place].reshape(len(which), -1)
                for place, c in enumerate(item.components)
            ]
            decode_progressive(item, [coefficients[c] for c in item.components], firsts)
    return [
        np.frombuffer(values, np.int16).reshape(*blocks_hw, 64)
        for values, blocks_hw in zip(coefficients, grid.coded_hw, strict=True)
    ]


def _edit_progressive(stream: Stream, grid: _Grid, changes: list[_Change]) -> bytes:
    """Return the scans of a progressive file after the change."""
    planes = _decode_progressive(stream, grid)
    out = bytearray(Segment(DRI, b"\x00\x00").to_bytes() if stream.restart_interval else b"")
    for plane, change in zip(planes, changes, strict=True):
        row, column = np.nonzero(change.touched)
        plane[row, column] = change.apply(row, column, plane[row, column].astype(np.int32))
    everything = tuple(range(len(planes)))
    which, row, column = (part.ravel() for part in grid.order(everything))
    dc = np.empty(len(which), np.int64)
    for component, plane in enumerate(planes):
        chosen = which == component
        dc[chosen] = plane[row[chosen], column[chosen], 0]
    heads = _dc_symbols(dc, which, np.zeros_like(which))
    out += _fresh_scan(stream, everything, (0, 0), heads)
    for component, plane in enumerate(planes):
        _, row, column = (part.ravel() for part in grid.order((component,)))
        coded, _ = _ac_symbols(plane[row, column].astype(np.int32))
        out += _fresh_scan(stream, (component,), (1, 63), coded)
    return bytes(out) + _EOI


def _fresh_scan(
    stream: Stream, components: tuple[int, ...], band: tuple[int, int], symbols: Symbols
) -> bytes:
    """Return a scan with a table of its own before it."""
    table = HuffmanTable.optimal(np.bincount(symbols.symbol, minlength=256))
    number = 0x10 if band[0] else 0
    header = Scan(components, ((0, 0x10),) * len(components), band, (0, 0), b"", 0, {})
    which = np.zeros(len(symbols), np.uint8)
    ((data, _),) = encode_symbols(symbols, which, [table], np.array([len(symbols)]))
    return (
        Segment(DHT, table.payload(number)).to_bytes()
        + _scan_header(stream, header)
        + join_intervals([data])
    )
