"""The entropy coding of JPEG: Huffman-coded scans to symbols and back, with NumPy alone.

A scan is one sequence of codes of variable length, so it seems to need a loop over millions of
symbols. But a decoder that starts anywhere soon falls in step with the true one (Klein and
Wiseman, "Parallel Huffman decoding with applications to JPEG files", The Computer Journal 46(5),
2003). Here some thousand lanes start at equal distances, a little ahead of their part, and all
decode one symbol a step. A lane that does not begin in the state in which the lane before it ends
is decoded again from there, so the result is exact however well they synchronized.

All of that only says where each block begins, and its DC value; what else is needed is decoded once
more, from there.

References:
    ITU-T T.81 (JPEG), annexes B, C, F, G and K.2.
"""

import heapq
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
_State = tuple[int, int, int]

_LANE_BYTES = 1024  # of data, at least
_LANES = 4096  # of at least that size; a group of lanes is decoded together
_LANE_BLOCKS = 16  # at least, where blocks are known
_LANES_FROM_BYTES = 1 << 17  # fewer are decoded one after the other
_WARM_UP_BITS = 6000  # 1,000 symbols; of 12 Mpx at quality 90 5 lanes of 3,161 are then wrong
_PADDING = b"\xff" * 16  # all ones is not a code (T.81, C.2): a lane ends there
_BITS, _STEP = 6, 7  # widths of the parts of a table's entry; the symbol follows ...
_INDEX = 21  # ... and after it, from this bit on, the place of the first coefficient
_LENGTH = (1 << _BITS) - 1
_END = (1 << _STEP) - 1  # coefficients that the end of a block stands for: beyond what a run can
_CHUNK = 1 << 20  # symbols that are worked on at a time

ZIGZAG: Ints = np.array(
    sorted(range(64), key=lambda i: (sum(divmod(i, 8)), i if sum(divmod(i, 8)) % 2 else i % 8))
)
"""(64,): for each place in a scan the place in an 8x8 block, row by row."""


_TOO_MANY = "a block has more than 64 coefficients"


class CodingError(Exception):
    """Coded data are damaged, or of a kind that is not decoded here."""


@dataclass(frozen=True)
class HuffmanTable:
    """A Huffman table as a DHT segment states it."""

    counts: bytes  # 16: the number of codes of each length
    symbols: bytes  # in the order of their codes

    @cached_property
    def codes(self) -> tuple[Ints, Ints]:
        """(256,) the code of each symbol, and (256,) its length in bits; 0 = it has none.

        Raises:
            CodingError: the table has more codes than its lengths can hold.
        """
        codes, lengths = np.zeros(256, np.int64), np.zeros(256, np.int64)
        code, at = 0, 0
        for length, count in enumerate(self.counts, start=1):
            for symbol in self.symbols[at : at + count]:
                codes[symbol], lengths[symbol] = code, length
                code += 1
            at += count
            if code > 1 << length:
                raise CodingError("a Huffman table has too many codes")
            code <<= 1
        return codes, lengths

    def entries(self, *, is_dc: bool) -> Ints:
        """Return (65536,): what to do when these are the next 16 bits of the data.

        An entry holds the number of bits of code and value, the number of coefficients that it
        stands for, and the symbol; 0 where the bits begin no code.
        """
        codes, lengths = self.codes
        out = np.zeros(1 << 16, np.int64)
        for symbol in np.flatnonzero(lengths).tolist():
            code, length, size = int(codes[symbol]), int(lengths[symbol]), symbol & 15
            step = (symbol >> 4) + 1 if size or symbol == 0xF0 else _END
            entry = (length + size) | (1 if is_dc else step) << _BITS | symbol << (_BITS + _STEP)
            out[code << (16 - length) : (code + 1) << (16 - length)] = entry
        return out

    def payload(self, kind: int) -> bytes:
        """Return the table for a DHT segment; `kind` is its class and number."""
        return bytes([kind]) + self.counts + self.symbols

    @classmethod
    def optimal(cls, frequencies: npt.NDArray[np.int64]) -> "HuffmanTable":
        """Return the table for symbols that occur (256,) times; T.81, K.2."""
        heap: list[tuple[int, int, tuple[int, ...]]] = [
            (int(n), s, (s,)) for s, n in enumerate(frequencies.tolist()) if n
        ]
        heap.append((0, 256, (256,)))  # takes the code of all ones
        lengths = dict.fromkeys((s for _, s, _ in heap), 0)
        heapq.heapify(heap)
        while len(heap) > 1:
            first, second = heapq.heappop(heap), heapq.heappop(heap)
            merged = first[2] + second[2]
            for symbol in merged:
                lengths[symbol] += 1
            heapq.heappush(heap, (first[0] + second[0], min(first[1], second[1]), merged))
        counts = [0] * (max(lengths.values()) + 2)
        for length in lengths.values():
            counts[length] += 1
        for length in range(len(counts) - 1, 16, -1):
            while counts[length] > 0:
                shorter = length - 2
                while counts[shorter] == 0:
                    shorter -= 1
                counts[length] -= 2
                counts[length - 1] += 1
                counts[shorter + 1] += 2
                counts[shorter] -= 1
        counts = (counts + [0] * 17)[:17]
        longest = max(length for length in range(17) if counts[length])
        counts[longest] -= 1
        order = sorted((length, s) for s, length in lengths.items() if s < 256)
        return cls(bytes(counts[1:17]), bytes(s for _, s in order))


@dataclass(frozen=True, slots=True)
class Scan:
    """A scan header and what stands for it."""

    components: tuple[int, ...]  # places in the frame
    tables: tuple[tuple[int, int], ...]  # number of the DC and the AC table of each
    band: tuple[int, int]  # first and last coefficient
    bits: tuple[int, int]  # Ah and Al
    data: bytes  # coded, with restart markers
    restart: int  # interval in MCUs; 0 = none
    huffman: dict[int, HuffmanTable]  # by class and number

    def table(self, number: int) -> HuffmanTable:
        """Return a table by class and number.

        Raises:
            CodingError: there is no such table.
        """
        if number not in self.huffman:
            raise CodingError("a Huffman table is missing")
        return self.huffman[number]


@dataclass(frozen=True, slots=True, eq=False)
class Symbols:
    """The symbols of a scan in their order."""

    symbol: npt.NDArray[np.uint8]  # (N,) run and size
    value: npt.NDArray[np.uint16]  # (N,) the bits after the code
    index: npt.NDArray[np.uint8]  # (N,) place of the first coefficient; 0 begins a block

    def __len__(self) -> int:
        return len(self.symbol)

    def take(self, chosen: npt.NDArray[np.bool_]) -> "Symbols":
        """Return the symbols where (N,) `chosen` is True."""
        return Symbols(self.symbol[chosen], self.value[chosen], self.index[chosen])

    @classmethod
    def joined(cls, parts: Sequence["Symbols"]) -> "Symbols":
        """Return the symbols of all `parts`."""
        return cls(
            np.concatenate([p.symbol for p in parts]),
            np.concatenate([p.value for p in parts]),
            np.concatenate([p.index for p in parts]),
        )


def parse_tables(payload: bytes) -> Iterator[tuple[int, HuffmanTable]]:
    """Yield class and number, and table, of a DHT segment.

    Raises:
        CodingError: the segment is too short.
    """
    at = 0
    while at < len(payload):
        counts = payload[at + 1 : at + 17]
        end = at + 17 + sum(counts)
        if len(counts) < 16 or end > len(payload):
            raise CodingError("a Huffman table is truncated")
        yield payload[at], HuffmanTable(counts, payload[at + 17 : end])
        at = end


def split_intervals(data: bytes) -> list[bytes]:
    """Return the coded data between restart markers, without stuffed zeros."""
    return [part.replace(b"\xff\x00", b"\xff") for part in re.split(rb"\xff+[\xd0-\xd7]", data)]


def join_intervals(parts: Sequence[bytes]) -> bytes:
    """Return coded data with stuffed zeros and with restart markers between the parts."""
    out = bytearray()
    for number, part in enumerate(parts):
        if number:
            out += bytes([0xFF, 0xD0 + (number - 1) % 8])
        out += part.replace(b"\xff", b"\xff\x00")
    return bytes(out)


def decode_scan(
    intervals: Sequence[bytes], pattern: Sequence[tuple[HuffmanTable, HuffmanTable]]
) -> "Coded":
    """Decode a sequential scan.

    Args:
        intervals: the coded data, from `split_intervals`.
        pattern: DC and AC table of each block of an MCU, in order.

    Raises:
        CodingError: a block would have more than 64 coefficients.
    """
    period = next(
        n
        for n in range(1, len(pattern) + 1)
        if len(pattern) % n == 0 and list(pattern) == list(pattern[:n]) * (len(pattern) // n)
    )
    kinds = [(pair[place], place == 0) for pair in pattern[:period] for place in (0, 1)]
    distinct = list(dict.fromkeys(kinds))
    decoder_tables = np.concatenate([table.entries(is_dc=is_dc) for table, is_dc in distinct])
    places = np.array([distinct.index(kind) << 16 for kind in kinds])
    groups = [
        _decode_group(intervals[first:last], decoder_tables.astype(np.int32), places)
        for first, last in _groups([len(i) for i in intervals])
    ]
    return Coded(intervals, groups, period)


def _groups(sizes: list[int]) -> Iterator[tuple[int, int]]:
    """Yield ranges of intervals that are decoded together."""
    first, total = 0, 0
    for at, size in enumerate(sizes):
        if at > first and total + size > _LANES * _LANE_BYTES:
            yield first, at
            first, total = at, 0
        total += size
    yield first, len(sizes)


@dataclass(slots=True, eq=False)
class _Lanes:
    """Where each lane is: bit, coefficient, and table's place in the pattern."""

    bit: Ints
    index: Ints
    slot: Ints

    def states(self) -> list["_State"]:
        """Return bit, coefficient and slot of each."""
        return list(zip(self.bit.tolist(), self.index.tolist(), self.slot.tolist(), strict=True))

    def of(self, chosen: npt.NDArray[np.bool_] | Ints) -> "_Lanes":
        return _Lanes(self.bit[chosen], self.index[chosen], self.slot[chosen])

    def put(self, where: Ints, other: "_Lanes") -> None:
        self.bit[where], self.index[where], self.slot[where] = other.bit, other.index, other.slot


class _Decoder:
    """Decodes the data of some intervals; each is followed by bits that are not code."""

    def __init__(self, intervals: Sequence[bytes], table: npt.NDArray[np.int32], places: Ints):
        data = _PADDING.join([*intervals, b""])
        self._words = np.ndarray((len(data) - 7,), ">i8", data, strides=(1,))
        self._table, self._places = table, places  # entries; where each DC and AC table begins
        self._period = len(places) // 2
        self.bit_type = np.int32 if len(data) < 1 << 28 else np.int64

    def step(self, at: _Lanes) -> tuple[npt.NDArray[np.int32], Ints]:
        """Advance all lanes by a symbol; return the (L,) entries, and the coefficients reached."""
        words = self._words[at.bit >> 3].astype(np.int64)
        codes = (words >> (48 - (at.bit & 7))) & 0xFFFF
        codes += self._places[at.slot * 2 + (at.index > 0)]
        entries: npt.NDArray[np.int32] = self._table[codes]
        at.bit = at.bit + (entries & _LENGTH)
        index = at.index + ((entries >> _BITS) & _END)
        ended = index > 63
        at.index = np.where(ended, 0, index)
        if self._period > 1:
            slot = at.slot + ended
            at.slot = np.where(slot == self._period, 0, slot)
        return entries, index

    def follow(self, state: _State, stop: int) -> tuple[_State, list[tuple[int, int]]]:
        """Decode from one state until bit `stop`; return the last state and the symbols.

        A symbol is its first bit, and its entry with its coefficient.
        """
        table, places = memoryview(self._table.data), self._places.tolist()
        bit, index, slot = state
        first = bit >> 3
        words = self._words[first : (stop >> 3) + 1].tolist()
        found = []
        while bit < stop:
            code = (words[(bit >> 3) - first] >> (48 - (bit & 7))) & 0xFFFF
            entry = table[places[slot * 2 + (index > 0)] + code]
            if not entry:
                break
            found.append((bit, index << _INDEX | entry))
            bit += entry & _LENGTH
            index += (entry >> _BITS) & _END
            if 64 < index < _END and (entry >> (_BITS + _STEP)) & 15:
                raise CodingError(_TOO_MANY)
            if index > 63:
                index, slot = 0, (slot + 1) % self._period
        return (bit, index, slot), found

    def symbols(self, found: "_Found") -> Symbols:
        """Return what was found, with its values."""
        symbol = found.entry >> (_BITS + _STEP) & 0xFF
        words = self._words[found.bit >> 3].astype(np.int64)
        words >>= 64 - (found.bit & 7) - (found.entry & _LENGTH)
        values = (words & ((1 << (symbol & 15)) - 1)).astype(np.uint16)
        index = (found.entry >> _INDEX).astype(np.uint8)
        return Symbols(symbol.astype(np.uint8), values, index)


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """Intervals that were decoded together. Bits are counted in all their data."""

    decoder: _Decoder
    firsts: Ints  # (I,) bit at which an interval begins ...
    ends: Ints  # ... and the one after its last symbol
    bits: Ints  # (B,) at which each block begins
    heads: Symbols  # (B,) of the DC values

    def between(self, start: _Lanes, stop: Ints) -> Symbols:
        """Return what (L,) lanes hold that begin at blocks, each up to its bit `stop`."""
        found, _ = _run(self.decoder, np.arange(len(stop)), start, stop)
        return self.decoder.symbols(found.sorted())


class _Found(NamedTuple):
    """Symbols as the lanes find them: those of a lane are in their order, lanes are mixed."""

    lane: npt.NDArray[Any]  # uint16, or int32
    bit: npt.NDArray[Any]  # int32, or int64; at which it begins
    entry: npt.NDArray[Any]  # int32; with its coefficient

    def of(self, chosen: npt.NDArray[np.bool_] | Ints) -> "_Found":
        """Return some of them."""
        return _Found(self.lane[chosen], self.bit[chosen], self.entry[chosen])

    @classmethod
    def joined(cls, parts: "Sequence[_Found]") -> "_Found":
        """Return those of all `parts`."""
        return cls(*(np.concatenate(fields) for fields in zip(*parts, strict=True)))

    def sorted(self) -> "_Found":
        """Return them in the order of the lanes."""
        return self.of(np.argsort(self.lane, kind="stable"))


class Coded:
    """A scan of which it is known where its blocks are."""

    def __init__(self, intervals: Sequence[bytes], groups: Sequence[_Group], period: int) -> None:
        self.intervals, self._groups, self._period = intervals, groups, period
        sizes = [np.searchsorted(it.bits, [*it.firsts, np.inf]) for it in groups]
        self.counts: Ints = np.concatenate([np.diff(size) for size in sizes])
        """(I,) blocks of each interval."""
        self._firsts: Ints = np.concatenate([group.firsts for group in groups])
        bits = np.concatenate([group.bits for group in groups])
        self.bits: Ints = bits - np.repeat(self._firsts, self.counts)
        """(B,) first bit of each block, in its interval."""
        self.ends: Ints = np.concatenate([group.ends for group in groups]) - self._firsts
        """(I,) bit after the last symbol of each interval."""
        self.heads = Symbols.joined([group.heads for group in groups])
        """The (B,) symbols of the DC values."""

    def symbols(self, first: Ints, stop: Ints, until: Ints) -> Symbols:
        """Return the symbols of some blocks.

        Args:
            first: (I,) the first of each interval, counted in the scan.
            stop: (I,) the one after the last.
            until: (I,) the bit in the interval at which the last one ends.
        """
        begins = np.cumsum(self.counts) - self.counts
        step = max(_LANE_BLOCKS, -(-int((stop - first).sum()) // _LANES))
        parts, at = [], 0
        for group in self._groups:
            starts, stops = [], []
            own = range(at, at + len(group.firsts))
            at = own.stop
            for number in own:
                blocks = np.arange(first[number], stop[number], step)
                if blocks.size:
                    bits = np.append(self.bits[blocks], until[number]) + self._firsts[number]
                    slots = (blocks - begins[number]) % self._period
                    starts.append(_Lanes(bits[:-1], np.zeros_like(slots), slots))
                    stops.append(bits[1:])
            if starts:
                fields = (
                    np.concatenate([getattr(it, name) for it in starts])
                    for name in ("bit", "index", "slot")
                )
                parts.append(group.between(_Lanes(*fields), np.concatenate(stops)))
        return Symbols.joined(parts)


def _decode_group(intervals: Sequence[bytes], table: npt.NDArray[np.int32], places: Ints) -> _Group:
    """Return the symbols of some intervals."""
    sizes = np.array([len(interval) for interval in intervals])
    counts = sizes // _LANE_BYTES if sizes.sum() > _LANES_FROM_BYTES else np.zeros_like(sizes)
    firsts = (np.cumsum(sizes) - sizes + len(_PADDING) * np.arange(len(sizes))) * 8
    begin = np.concatenate(
        [
            first + np.arange(max(count, 1)) * (size * 8 // max(count, 1))
            for first, size, count in zip(firsts, sizes, counts, strict=True)
        ]
    )
    owner = np.repeat(np.arange(len(sizes)), np.maximum(counts, 1))
    is_first = np.diff(owner, prepend=-1) > 0  # of its interval: its state is known
    is_last = np.append(is_first[1:], True)
    decoder = _Decoder(intervals, table, places)
    start = _Lanes(begin, np.zeros_like(begin), np.zeros_like(begin))
    if not is_first.all():
        start.put(np.flatnonzero(~is_first), _synchronize(decoder, begin[~is_first]))
    stop = np.append(start.bit[1:], 0)
    stop[is_last] = firsts + sizes * 8
    end = start.of(np.arange(len(begin)))
    lanes = np.flatnonzero(np.repeat(counts, np.maximum(counts, 1)) > 0)
    found, damaged = _run(decoder, lanes, start, stop, end, only_heads=True)
    wrong = np.ones(len(begin), bool)
    wrong[lanes] = False
    redone, state = [found], (0, 0, 0)
    known, reached = start.states(), end.states()
    for number in range(len(begin)):
        if is_first[number]:
            state = known[number]
        if wrong[number] or state != known[number]:
            wrong[number] = True
            state, symbols = decoder.follow(state, int(stop[number]))
            end.bit[number] = state[0]
            heads = [symbol for symbol in symbols if symbol[1] < 1 << _INDEX]
            bits, entries = np.array(heads, np.int64).reshape(-1, 2).T
            redone.append(_Found(np.full(len(heads), number, found.lane.dtype), bits, entries))
        else:
            state = reached[number]
    if (damaged & ~wrong).any():
        raise CodingError(_TOO_MANY)
    redone[0] = found.of(~wrong[found.lane])
    blocks = _Found.joined(redone).sorted()
    return _Group(decoder, firsts, end.bit[is_last], blocks.bit, decoder.symbols(blocks))


def _synchronize(decoder: _Decoder, begin: Ints) -> _Lanes:
    """Return a likely state of the first symbol at or after each of the (L,) bits."""
    zeros = np.zeros(len(begin), np.int64)
    out = _Lanes(zeros.copy(), zeros.copy(), zeros.copy())
    lanes, at = np.arange(len(begin)), _Lanes(begin - _WARM_UP_BITS, zeros.copy(), zeros.copy())
    at.bit = np.maximum(at.bit, 0)
    while lanes.size:
        entries, _ = decoder.step(at)
        lost = entries == 0
        if lost.any():
            at.bit[lost] += 1
            at.index[lost] = 0
        arrived = at.bit >= begin[lanes]
        if arrived.any():
            out.put(lanes[arrived], at.of(arrived))
            lanes, at = lanes[~arrived], at.of(~arrived)
    return out


def _run(
    decoder: _Decoder,
    lanes: Ints,
    start: _Lanes,
    stop: Ints,
    end: _Lanes | None = None,
    *,
    only_heads: bool = False,
) -> tuple[_Found, npt.NDArray[np.bool_]]:
    """Decode `lanes` until they reach `stop` or what is not a code; their last state goes to `end`.

    Returns:
        The symbols, or those of DC values alone; and (L,) in which lanes a block has more than 64
        coefficients.
    """
    at, stop = start.of(lanes), stop[lanes]
    damaged = np.zeros(len(start.bit), bool)
    lane_type = np.uint16 if len(start.bit) < 1 << 16 else np.int32
    numbers = lanes.astype(lane_type)
    nothing = np.zeros(0, np.int64)
    seen = [_Found(*(nothing.astype(it) for it in (lane_type, decoder.bit_type, np.int32)))]
    parts: list[_Found] = []
    count = 0
    while True:
        going = at.bit < stop
        if not going.all():
            if end is not None:
                end.put(lanes[~going], at.of(~going))
            lanes, stop, at = lanes[going], stop[going], at.of(going)
            numbers = lanes.astype(lane_type)
        if not lanes.size:
            return _Found.joined([*parts, *seen]), damaged
        bit, index = at.bit, at.index
        entries, reached = decoder.step(at)
        beyond = (reached > 64) & (reached < _END)
        if beyond.any():
            damaged[lanes[beyond & ((entries >> (_BITS + _STEP)) & 15 > 0)]] = True
        kept = entries > 0
        if not kept.all():
            stop = np.where(kept, stop, -1)
        if only_heads:
            kept &= index == 0
        coefficients = index.astype(np.int32) << _INDEX
        one = _Found(numbers, bit.astype(decoder.bit_type), coefficients | entries)
        if not kept.all():
            one = one.of(kept)
        seen.append(one)
        count += len(one.bit)
        if count > _CHUNK:
            parts.append(_Found.joined(seen))
            seen, count = seen[:1], 0


def decode_progressive(
    scan: Scan, coefficients: Sequence["array[int]"], firsts: Sequence[Ints]
) -> None:
    """Add a progressive scan to the coefficients; T.81, annex G.

    What the refinement of a block reads depends on all scans before it: no lanes here, but a loop
    of about a microsecond a coefficient.

    Args:
        scan: of the progressive file.
        coefficients: of each component, 64 a block in zigzag order; changed in place.
        firsts: for each component (number of MCUs, its blocks in an MCU): where a block begins.

    Raises:
        CodingError: damaged or truncated.
    """
    (first, last), (high, low) = scan.band, scan.bits
    if first > last or last > 63 or (first and len(coefficients) > 1):
        raise CodingError("a scan header is damaged")
    mcus, intervals = len(firsts[0]), split_intervals(scan.data)
    restart = scan.restart or mcus
    if -(-mcus // restart) != len(intervals):
        raise CodingError("restart markers are missing")
    numbers = [] if high and not first else [pair[1 if first else 0] for pair in scan.tables]
    tables = [scan.table(n).entries(is_dc=not first).tolist() for n in numbers]
    for number, interval in enumerate(intervals):
        bits = _Bits(interval)
        part = slice(number * restart, (number + 1) * restart)
        places = [f[part].tolist() for f in firsts]
        try:
            if not first:
                _decode_dc(bits, coefficients, places, tables, low)
                continue
            band = _Band([place for mcu in places[0] for place in mcu], first, last, low, tables[0])
            (_refine_ac if high else _decode_ac)(bits, coefficients[0], band)
        except IndexError as error:
            raise CodingError("coded data are truncated") from error


@dataclass(frozen=True, slots=True)
class _Band:
    """AC coefficients of the blocks of an interval."""

    places: list[int]  # where the blocks begin
    first: int
    last: int
    low: int  # Al
    entries: list[int]


class _Bits:
    """A position in coded data."""

    def __init__(self, data: bytes) -> None:
        padded = data + b"\xff" * 8
        words = np.ndarray((len(padded) - 7,), ">i8", padded, strides=(1,)).astype(np.int64)
        self.words: Sequence[int] = memoryview(words.data)
        self.bit = 0

    def read(self, count: int) -> int:
        """Return the next bits as a number."""
        value = (self.words[self.bit >> 3] >> (64 - (self.bit & 7) - count)) & ((1 << count) - 1)
        self.bit += count
        return value


def _decode_dc(
    bits: _Bits,
    coefficients: Sequence["array[int]"],
    places: list[list[list[int]]],
    tables: list[list[int]],
    low: int,
) -> None:
    """Decode the DC values of an interval, or, without tables, a further bit of each."""
    before = [0] * len(coefficients)
    for mcu in range(len(places[0])):
        for component, values in enumerate(coefficients):
            for place in places[component][mcu]:
                if not tables:
                    values[place] |= bits.read(1) << low
                    continue
                code = (bits.words[bits.bit >> 3] >> (48 - (bits.bit & 7))) & 0xFFFF
                entry = tables[component][code]
                if not entry:
                    raise CodingError("coded data are damaged")
                size = (entry >> (_BITS + _STEP)) & 15
                bits.bit += (entry & _LENGTH) - size
                value = bits.read(size)
                if size and value < 1 << (size - 1):
                    value -= (1 << size) - 1
                before[component] += value
                values[place] = before[component] << low


def _decode_ac(bits: _Bits, values: "array[int]", band: _Band) -> None:
    """Decode the first scan of a band of AC coefficients; T.81, G.1.2.2."""
    words, bit, entries, low = bits.words, bits.bit, band.entries, band.low
    first, last, skip = band.first, band.last, 0
    for place in band.places:
        if skip:
            skip -= 1
            continue
        index = first
        while index <= last:
            entry = entries[(words[bit >> 3] >> (48 - (bit & 7))) & 0xFFFF]
            if not entry:
                raise CodingError("coded data are damaged")
            symbol = entry >> (_BITS + _STEP)
            size, run = symbol & 15, symbol >> 4
            bit += (entry & _LENGTH) - size
            if size:
                index += run
                if index > last:
                    raise CodingError("a block has too many coefficients")
                value = (words[bit >> 3] >> (64 - (bit & 7) - size)) & ((1 << size) - 1)
                bit += size
                if value < 1 << (size - 1):
                    value -= (1 << size) - 1
                values[place + index] = value << low
                index += 1
            elif run == 15:
                index += 16
            else:
                if run:
                    skip = (words[bit >> 3] >> (64 - (bit & 7) - run)) & ((1 << run) - 1)
                    skip += (1 << run) - 1
                    bit += run
                break


def _refine_ac(bits: _Bits, values: "array[int]", band: _Band) -> None:  # noqa: PLR0912
    """Decode a further bit of a band of AC coefficients; T.81, G.1.2.3."""
    words, bit, entries = bits.words, bits.bit, band.entries
    first, last, plus, skip = band.first, band.last, 1 << band.low, 0
    for place in band.places:
        index, end = place + first, place + last + 1
        while not skip and index < end:
            entry = entries[(words[bit >> 3] >> (48 - (bit & 7))) & 0xFFFF]
            if not entry:
                raise CodingError("coded data are damaged")
            symbol = entry >> (_BITS + _STEP)
            size, run = symbol & 15, symbol >> 4
            bit += (entry & _LENGTH) - size
            new = 0
            if size:
                new = plus if (words[bit >> 3] >> (63 - (bit & 7))) & 1 else -plus
                bit += 1
            elif run < 15:
                skip = (1 << run) + ((words[bit >> 3] >> (64 - (bit & 7) - run)) & ((1 << run) - 1))
                bit += run
                break
            while index < end:
                value = values[index]
                if value:
                    if (words[bit >> 3] >> (63 - (bit & 7))) & 1:
                        values[index] = value + plus if value > 0 else value - plus
                    bit += 1
                elif run == 0:
                    values[index] = new
                    index += 1
                    break
                else:
                    run -= 1
                index += 1
        if skip:
            for index in range(index, end):  # noqa: B020
                value = values[index]
                if value:
                    if (words[bit >> 3] >> (63 - (bit & 7))) & 1:
                        values[index] = value + plus if value > 0 else value - plus
                    bit += 1
            skip -= 1


def encode_symbols(
    symbols: Symbols,
    tables: npt.NDArray[np.uint8],
    huffman: Sequence[HuffmanTable],
    lengths: Ints,
) -> list[tuple[bytes, int]]:
    """Return the coded data of each interval, without stuffed zeros, and how many bits they are.

    Whole bytes, filled up with ones (T.81, F.1.2.3).

    Args:
        symbols: of the scan.
        tables: (N,) which of `huffman` codes each symbol.
        huffman: the tables; each has a code for every symbol that it is asked for.
        lengths: how many symbols each interval holds.
    """
    codes = np.stack([t.codes[0] for t in huffman])
    sizes = np.stack([t.codes[1] for t in huffman])
    widths = (sizes[tables, symbols.symbol] + (symbols.symbol & 15)).astype(np.uint8)
    out, first = [], 0
    for count in lengths.tolist():
        last = first + count
        total = int(widths[first:last].sum(dtype=np.int64))
        words = np.zeros(total // 32 + 2)
        at = 0
        for begin in range(first, last, _CHUNK):
            part = slice(begin, min(begin + _CHUNK, last))
            width = widths[part].astype(np.int64)
            bit = at + np.cumsum(width) - width
            symbol = symbols.symbol[part]
            value = codes[tables[part], symbol] << (symbol & 15).astype(np.int64)
            value |= symbols.value[part]
            word, gap = bit >> 5, 64 - (bit & 31) - width
            base, span = int(word[0]), int(word[-1] - word[0]) + 2
            for shift, high in ((gap - 32, 0), (gap, 1)):
                moved = np.where(
                    shift >= 0, value << np.maximum(shift, 0), value >> -np.minimum(shift, 0)
                )
                words[base : base + span] += np.bincount(
                    word - base + high, (moved & 0xFFFFFFFF).astype(float), span
                )
            at += int(width.sum())
        if total % 8:
            pad = 8 - total % 8
            words[total // 32] += ((1 << pad) - 1) << (32 - total % 32 - pad)
        out.append((words.astype(">u4").tobytes()[: -(-total // 8)], total))
        first = last
    return out


def replace_bits(data: bytes, first: int, stop: int, end: int, piece: tuple[bytes, int]) -> bytes:
    """Return coded data with other bits in the place of some, filled up with ones.

    Args:
        data: of an interval, without stuffed zeros.
        first: bit, the first that is replaced ...
        stop: ... and the one after the last.
        end: bit after the last symbol.
        piece: data and number of the new bits.
    """
    coded, count = piece
    whole = int.from_bytes(data, "big")
    head = whole >> (8 * len(data) - first)
    new = int.from_bytes(coded, "big") >> (8 * len(coded) - count)
    tail = (whole >> (8 * len(data) - end)) & ((1 << (end - stop)) - 1)
    size = first + count + end - stop
    pad = -size % 8
    joined = (((head << count | new) << (end - stop) | tail) + 1 << pad) - 1
    return joined.to_bytes((size + pad) // 8, "big")


def extend(value: Ints, size: Ints) -> Ints:
    """Return the signed numbers that are coded with `size` bits as `value`; T.81, F.2.2.1."""
    return np.where(value < (1 << size >> 1), value - (1 << size) + 1, value)


def to_bits(number: npt.NDArray[np.integer]) -> tuple[Ints, Ints]:
    """Return size and bits of signed numbers; the inverse of `extend`."""
    size = np.frexp(np.abs(number).astype(float))[1].astype(np.int64)
    return size, np.where(number < 0, number + (1 << size) - 1, number)
