"""Clips, frame by frame: what is read, and what is refused by name before any work is done."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cleanplate.errors import MissingExtraError, PhotoError
from cleanplate.io import read_error
from cleanplate.video.colour import LUMA_COEFFICIENTS, Planes, RGBFrame, SampleFormat

if TYPE_CHECKING:
    import av

CONTAINERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
}
"""Endings of clips, and the format each is written in."""

ENCODERS = {"h264": "libx264", "hevc": "libx265", "vp9": "libvpx-vp9", "av1": "libsvtav1"}
"""What writes a codec again."""

_FORMATS = {  # of pixels: bits, and luma samples to one of chroma
    "yuv420p": (8, (2, 2)),
    "yuvj420p": (8, (2, 2)),
    "yuv422p": (8, (2, 1)),
    "yuvj422p": (8, (2, 1)),
    "yuv444p": (8, (1, 1)),
    "yuvj444p": (8, (1, 1)),
    "yuv420p10le": (10, (2, 2)),
    "yuv422p10le": (10, (2, 1)),
    "yuv444p10le": (10, (1, 1)),
}
_SVT_FORMATS = ("yuv420p", "yuv420p10le")  # all that SVT-AV1 writes
_HDR = {16: "PQ (HDR10)", 18: "HLG"}  # H.273's numbers of transfer characteristics
_UNSPECIFIED, _BT709, _BT601 = 2, 1, 6
_HD_LINES = 720  # from so many on, a clip that does not say so is BT.709
_PROGRESSIVE = (0, 1)  # FFmpeg's numbers: unknown, progressive
_CONVERT = "convert it first, e.g. with ffmpeg -i IN -c:v libx264 -crf 14 -c:a copy OUT.mp4"


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """A clip that can be worked on, and what has to come back of it."""

    path: Path
    format: str  # one of the values of CONTAINERS
    codec: str  # a key of ENCODERS
    pixel_format: str
    sample_format: SampleFormat
    stored_hw: tuple[int, int]
    quarter_turns: int  # counter-clockwise, from the stored image to the upright one
    display_matrix: tuple[int, ...] | None
    time_base: Fraction
    rate: Fraction | None
    frames: int | None  # as the file states; it may be wrong, and is shown only
    duration_s: float | None
    notes: tuple[str, ...] = ()

    @property
    def size_hw(self) -> tuple[int, int]:
        """H and W of the upright image."""
        height, width = self.stored_hw
        return (width, height) if self.quarter_turns % 2 else (height, width)


@dataclass(frozen=True, slots=True, eq=False)
class DecodedFrame:
    """One frame, as it was decoded."""

    index: int
    pts: int  # in the clip's time base
    duration: int  # the same; 0 if unknown
    planes: Planes  # stored, not turned
    damaged: bool = False  # the decoder guessed a part of it

    def to_rgb(self, clip: Clip) -> RGBFrame:
        """Return the upright colours."""
        turned = np.rot90(clip.sample_format.to_rgb(self.planes), clip.quarter_turns)
        return np.ascontiguousarray(turned)


def load_av() -> Any:
    """Return the module of PyAV.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import av
        import av.error
    except ImportError as error:
        raise MissingExtraError(
            'clips need the package av; run pip install "cleanplate[video]"'
        ) from error
    av.logging.set_level(None)  # errors are raised
    return av


def read_clip(path: Path) -> Clip:
    """Look at a clip: its streams, and its first frame.

    Raises:
        PhotoError: it cannot be read, or is of a kind that would not come back as it was; the
            message names that.
        MissingExtraError: PyAV is not installed.
    """
    if path.suffix.lower() not in CONTAINERS:
        raise PhotoError(
            path,
            f"this format ({path.suffix or 'no extension'}) is not supported",
            f"use one of {', '.join(CONTAINERS)}; ffmpeg -i IN -c copy OUT.mkv changes "
            "only the container",
        )
    with open_container(path) as container:
        stream, notes = _only_video(path, container)
        context = stream.codec_context
        codec = context.name if context.name in ENCODERS else stream.codec.canonical_name
        _check(path, codec in ENCODERS, f"the codec {codec} is not supported", _CONVERT)
        with _raise_if_damaged(path):
            frame = next(container.decode(stream), None)
        if frame is None:
            raise PhotoError(path, "it contains no frame", "check the file")
        sample_format = _sample_format(path, codec, stream, frame)
        matrix, turns = _turn(path, frame)
        return Clip(
            path=path,
            format=CONTAINERS[path.suffix.lower()],
            codec=codec,
            pixel_format=frame.format.name,
            sample_format=sample_format,
            stored_hw=(frame.height, frame.width),
            quarter_turns=turns,
            display_matrix=matrix,
            time_base=stream.time_base,
            rate=stream.average_rate,
            frames=stream.frames or None,
            duration_s=None if container.duration is None else container.duration / 1e6,
            notes=notes,
        )


def open_input(library: Any, path: Path) -> Any:
    """Return a container to read, as PyAV opens it; a colon in a name is no protocol."""
    return library.open(str(path.absolute()), "r", metadata_errors="replace")


@contextmanager
def open_container(path: Path) -> "Iterator[av.container.InputContainer]":
    """Open a clip to read.

    Raises:
        PhotoError: that is not possible.
    """
    library = load_av()
    try:
        container = open_input(library, path)
    except FileNotFoundError as error:
        raise read_error(path, error) from error
    except (IsADirectoryError, PermissionError) as error:
        raise read_error(path, error) from error
    except library.error.FFmpegError as error:
        raise PhotoError(path, f"not a readable clip ({_cause(error)})", _CHECK) from error
    with container:
        yield container


def decode_frames(clip: Clip, *, threads: int | None = None) -> Iterator[DecodedFrame]:
    """Yield the frames of a clip in the order they are shown; one at a time is held.

    Raises:
        PhotoError: it is damaged, or changes on the way.
    """
    for item in decode_frames_and_packets(clip, threads=threads, others=False):
        if isinstance(item, DecodedFrame):
            yield item


def decode_frames_and_packets(
    clip: Clip, *, threads: int | None = None, others: bool = True
) -> "Iterator[DecodedFrame | av.Packet]":
    """Yield frames, and between them the packets of all other streams, in the file's order.

    Raises:
        PhotoError: it is damaged, or changes on the way.
    """
    with open_container(clip.path) as container:
        stream, _ = _only_video(clip.path, container)
        stream.thread_type = "AUTO"
        if threads is not None:
            stream.codec_context.thread_count = threads
        index = 0
        with _raise_if_damaged(clip.path):
            for packet in container.demux() if others else container.demux(stream):
                if packet.stream.index != stream.index:
                    if packet.size:
                        yield packet
                    continue
                for frame in packet.decode():
                    yield _frame(clip, frame, index)
                    index += 1


def _frame(clip: Clip, frame: "av.VideoFrame", index: int) -> DecodedFrame:
    place = f"at frame {index}"
    same = (frame.height, frame.width) == clip.stored_hw and frame.format.name == clip.pixel_format
    _check(clip.path, same, f"the size or pixel format changes {place}", "cut it there")
    _check(clip.path, not frame.interlaced_frame, f"it is interlaced {place}", _DEINTERLACE)
    _check(clip.path, frame.pts is not None, f"a frame has no timestamp {place}", _CONVERT)
    planes = [_plane(clip, frame.planes[number]) for number in range(3)]
    duration, damaged = int(frame.duration or 0), bool(frame.is_corrupt)
    stored = (planes[0], planes[1], planes[2])
    return DecodedFrame(index, frame.pts or 0, duration, stored, damaged)


def _plane(clip: Clip, plane: "av.video.plane.VideoPlane") -> npt.NDArray[np.generic]:
    """Return a copy of a plane's samples, without the padding of its lines."""
    sample = np.uint8 if clip.sample_format.bits == 8 else np.uint16
    lines = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height]
    return np.ascontiguousarray(lines).view(sample)[:, : plane.width].copy()


def _only_video(
    path: Path, container: "av.container.InputContainer"
) -> "tuple[av.VideoStream, tuple[str, ...]]":
    """Return the video stream, and notes on what will not be carried over."""
    library = load_av()
    cover = library.stream.Disposition.attached_pic
    videos = [stream for stream in container.streams.video if not stream.disposition & cover]
    if not videos:
        raise PhotoError(path, "it contains no video", "check the file")
    _check(path, len(videos) == 1, f"it contains {len(videos)} videos", "extract one of them")
    chapters = len(container.chapters())  # MP4 holds them in a stream, too; they come back
    notes = tuple(
        f"{what} is not carried over"
        for stream in container.streams
        if (what := describe_unsupported(stream)) is not None
        and not (chapters and stream.frames == chapters)
    )
    return videos[0], notes


def describe_unsupported(stream: "av.stream.Stream") -> str | None:
    """Return what a stream is that cannot be written again; None if it can."""
    if stream.type in ("audio", "subtitle", "video", "attachment"):
        return None
    kind = stream.metadata.get("handler_name") or stream.type
    return f"stream {stream.index} ({kind.strip()}: neither video, audio nor subtitles)"


def _sample_format(
    path: Path, codec: str, stream: "av.VideoStream", frame: "av.VideoFrame"
) -> SampleFormat:
    """Return how the samples stand for colours.

    Raises:
        PhotoError: in a way that is not worked on.
    """
    context = stream.codec_context
    kind = frame.format.name
    has_alpha = kind.startswith(("yuva", "rgba", "gbrap", "bgra", "argb")) or (
        stream.metadata.get("alpha_mode", stream.metadata.get("ALPHA_MODE")) == "1"
    )
    _check(path, not has_alpha, "it has transparency (alpha), which cannot be kept", _CONVERT)
    writable = kind in _FORMATS and not (codec == "av1" and kind not in _SVT_FORMATS)
    _check(path, writable, f"the pixel format {kind} is not supported in {codec}", _CONVERT)
    transfer = int(frame.color_trc)
    hdr = _HDR.get(transfer) or _HDR.get(int(context.color_trc or 0))
    vision = any("DOVI" in str(data.type) for data in frame.side_data)
    hdr = "Dolby Vision" if vision else hdr
    _check(
        path,
        hdr is None,
        f"HDR ({hdr}) is not supported",
        "make an SDR version first, e.g. with ffmpeg's filters zscale and tonemap",
    )
    interlaced = frame.interlaced_frame or context.field_order not in _PROGRESSIVE
    _check(path, not interlaced, "it is interlaced", _DEINTERLACE)
    matrix = int(frame.colorspace)
    if matrix == _UNSPECIFIED:
        matrix = _BT709 if frame.height >= _HD_LINES else _BT601
    _check(
        path, matrix in LUMA_COEFFICIENTS, f"the colour matrix {matrix} is not supported", _CONVERT
    )
    bits, sub_xy = _FORMATS[kind]
    full_range = kind.startswith("yuvj") or int(frame.color_range) == 2
    return SampleFormat(bits=bits, sub_xy=sub_xy, matrix=matrix, full_range=full_range)


def _turn(path: Path, frame: "av.VideoFrame") -> tuple[tuple[int, ...] | None, int]:
    """Return the display matrix, if there is one, and the quarter turns that it means.

    Raises:
        PhotoError: it does not mean quarter turns.
    """
    for data in frame.side_data:
        if data.type.name != "DISPLAYMATRIX":
            continue
        matrix = tuple(int(value) for value in np.frombuffer(data, np.int32)[:9])
        a, b, c, d = (value / 65536 for value in (matrix[0], matrix[1], matrix[3], matrix[4]))
        turns = {(1, 0, 0, 1): 0, (0, -1, 1, 0): 1, (-1, 0, 0, -1): 2, (0, 1, -1, 0): 3}
        found = turns.get((round(a), round(b), round(c), round(d)))
        exact = all(abs(value - round(value)) < 1e-3 for value in (a, b, c, d))
        if found is None or not exact:
            raise PhotoError(
                path,
                "it is mirrored or rotated by an angle other than 90 degrees",
                "rotate it first",
            )
        return matrix, found
    return None, 0


@contextmanager
def _raise_if_damaged(path: Path) -> Iterator[None]:
    library = load_av()
    try:
        yield
    except library.error.FFmpegError as error:
        raise PhotoError(path, f"it is damaged ({_cause(error)})", _CHECK) from error


def _check(path: Path, holds: bool, cause: str, advice: str) -> None:
    if not holds:
        raise PhotoError(path, cause, advice)


def _cause(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


_CHECK = "play it to check that it is complete"
_DEINTERLACE = "deinterlace it first, e.g. with ffmpeg's filter bwdif"
