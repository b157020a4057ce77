"""Writes how wide a pixel is into a Matroska or WebM file.

H.264 and HEVC state it in the stream, VP9 and AV1 leave it to the container, and FFmpeg's muxer
takes it from where PyAV cannot put it. Tracks grow into the gap that the muxer leaves behind the
list of positions, so that all that follows stays where it is.

Reference:
    RFC 9559 (Matroska), sections 5.1.1 (SeekHead), 5.1.4 (Tracks) and 6.2 (CRC-32).
"""

import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

_SEGMENT, _SEEK_HEAD, _TRACKS = b"\x18\x53\x80\x67", b"\x11\x4d\x9b\x74", b"\x16\x54\xae\x6b"
_INFO, _SEEK, _SEEK_ID, _SEEK_POSITION = b"\x15\x49\xa9\x66", b"\x4d\xbb", b"\x53\xab", b"\x53\xac"
_TRACK, _TYPE, _VIDEO, _VOID, _CRC = b"\xae", b"\x83", b"\xe0", b"\xec", b"\xbf"
_DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT = b"\x54\xb0", b"\x54\xba", b"\x54\xb2"
_HEAD_BYTES = 1 << 20  # in which all of this stands


def write_pixel_aspect(path: Path, aspect: Fraction, size_hw: tuple[int, int]) -> None:
    """Write the pixel aspect ratio of a file's video track; without a place for it, do nothing.

    Args:
        path: the file, changed in place.
        aspect: width of a pixel by its height.
        size_hw: of the frames as stored, px.
    """
    with path.open("r+b") as stream:
        head = stream.read(_HEAD_BYTES)
        parts = list(_elements(head, _content_of_segment(head), len(head)))
        names = [kind for kind, *_ in parts[:4]]
        if names != [_SEEK_HEAD, _VOID, _INFO, _TRACKS] or parts[3][3] > len(head):
            return
        seek_head, gap, info, tracks = (
            (head[start:end], head[content:end]) for _, start, content, end in parts[:4]
        )
        display = (round(size_hw[1] * aspect), size_hw[0])
        grown = _with_display(_TRACKS, tracks[1], display)
        shift = len(grown) - len(tracks[0])
        moved = _with_crc(_SEEK_HEAD, _moved(seek_head[1], shift))
        left = len(gap[0]) - shift - (len(moved) - len(seek_head[0]))
        if left < 9:  # of which the gap's own head takes all
            return
        void = _VOID + (left - 9 | 1 << 56).to_bytes(8, "big") + bytes(left - 9)
        stream.seek(parts[0][1])
        stream.write(moved + void + info[0] + grown)


def _content_of_segment(head: bytes) -> int:
    return next((content for kind, _, content, _ in _elements(head, 0, len(head))
                 if kind == _SEGMENT), len(head))  # fmt: skip


def _elements(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int, int]]:
    """Yield id, start, start of the content, and end of each element; ends at what is damaged."""
    while start + 2 <= end:
        id_bytes = 9 - data[start].bit_length()
        at = start + id_bytes
        if id_bytes > 4 or at >= end or not data[at]:
            return
        size_bytes = 9 - data[at].bit_length()
        content = at + size_bytes
        size = int.from_bytes(data[at:content], "big") & (1 << 7 * size_bytes) - 1
        yield data[start:at], start, content, content + size
        start = content + size


def _element(kind: bytes, content: bytes) -> bytes:
    count = next(n for n in range(1, 9) if len(content) < (1 << 7 * n) - 1)
    return kind + (len(content) | 1 << 7 * count).to_bytes(count, "big") + content


def _with_crc(kind: bytes, content: bytes) -> bytes:
    """Return an element whose checksum, if it has one, is right."""
    if content[:1] == _CRC:
        rest = content[6:]
        content = _element(_CRC, zlib.crc32(rest).to_bytes(4, "little")) + rest
    return _element(kind, content)


def _with_display(kind: bytes, content: bytes, display_wh: tuple[int, int]) -> bytes:
    """Return Tracks, a track or its Video, with the size at which video is displayed, px."""
    parts = list(_elements(content, 0, len(content)))
    changed = b""
    for part, start, inner, end in parts:
        if part in (_DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT):
            continue
        is_deeper = (kind == _TRACKS and part == _TRACK) or (kind == _TRACK and part == _VIDEO)
        changed += (
            _with_display(part, content[inner:end], display_wh) if is_deeper else content[start:end]
        )
    if kind == _VIDEO:
        sides = zip((_DISPLAY_WIDTH, _DISPLAY_HEIGHT), display_wh, strict=True)
        changed += b"".join(_element(name, side.to_bytes(4, "big")) for name, side in sides)
    return _with_crc(kind, changed)


def _moved(seek_head: bytes, shift: int) -> bytes:
    """Return the list of positions with those of Info and Tracks so many bytes earlier."""
    changed = b""
    for kind, start, content, end in _elements(seek_head, 0, len(seek_head)):
        entry = seek_head[start:end]
        said = {it: (entry_start, entry_end) for it, _, entry_start, entry_end in
                _elements(seek_head, content, end)}  # fmt: skip
        if kind == _SEEK and said.keys() >= {_SEEK_ID, _SEEK_POSITION}:
            target = seek_head[slice(*said[_SEEK_ID])]
            position = int.from_bytes(seek_head[slice(*said[_SEEK_POSITION])], "big")
            if target in (_INFO, _TRACKS):
                position -= shift
            size = said[_SEEK_POSITION][1] - said[_SEEK_POSITION][0]
            entry = _element(
                _SEEK,
                _element(_SEEK_ID, target)
                + _element(_SEEK_POSITION, position.to_bytes(size, "big")),
            )
        changed += entry
    return changed
