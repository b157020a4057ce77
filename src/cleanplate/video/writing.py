"""Writes a clip again: its frames encoded, all other packets copied.

What comes back: codec, kind of pixels and colour tags; size, pixel aspect ratio and the turn that
players make; the time of every frame, in the same time base; the packets of sound, subtitles and
attachments, bit for bit; chapters, titles, languages. Encoding loses a little, everywhere in the
image: that cannot be avoided, and `DEFAULT_CRF` keeps it small.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from cleanplate.errors import InputError, PhotoError
from cleanplate.io import remove_leftovers, temporary_path
from cleanplate.video.colour import Planes
from cleanplate.video.matroska import write_pixel_aspect
from cleanplate.video.reading import (
    CONTAINERS,
    ENCODERS,
    Clip,
    DecodedFrame,
    describe_unsupported,
    load_av,
    open_input,
)

if TYPE_CHECKING:
    import av

DEFAULT_CRF = MappingProxyType({"h264": 16, "hevc": 18, "vp9": 20, "av1": 20})
"""Constant rate factor of each codec: no difference is seen beside the decoded clip."""

CRF_RANGE = MappingProxyType({"h264": 51, "hevc": 51, "vp9": 63, "av1": 63})
"""The coarsest there is; 0 is the finest."""

_OPTIONS = MappingProxyType({
    "h264": {"preset": "medium"},
    "hevc": {"preset": "medium", "x265-params": "log-level=error"},
    "vp9": {"b": "0", "deadline": "good", "cpu-used": "3", "row-mt": "1"},
    "av1": {"preset": "7"},
})  # fmt: skip
_X264_PROFILES = MappingProxyType({
    "Constrained Baseline": "baseline", "Baseline": "baseline", "Main": "main",
})  # fmt: skip # the others follow from the kind of pixels
_LEFTOVERS_AGE_S = 3600.0  # since a killed run wrote to its file
_UNSPECIFIED = 2  # of primaries, transfer and matrix alike
_CONTAINERS_OWN = frozenset({  # metadata that the container's writer sets itself
    "major_brand", "minor_version", "compatible_brands", "encoder", "ENCODER", "DURATION",
})  # fmt: skip
_NO_TIME = "1970-01-01T00:00:00.000000Z"  # how MP4 says that it is not known
_ASPECT_ROUNDING = 0.01  # of a pixel aspect ratio, by displayed sizes in whole px
_STREAMS_OWN = frozenset({"vendor_id", "encoder", "ENCODER", "DURATION", "rotate"})


def check_storable(clip: Clip, target: Path) -> None:
    """Raise unless the target is of the clip's kind, and all of the clip can be stored there.

    Raises:
        InputError: the target's ending is of another kind.
        PhotoError: sound or text can be read and not written, or there is no encoder; named.
    """
    library = load_av()
    suffix = target.suffix.lower()
    if suffix not in CONTAINERS:
        raise InputError(
            f"{target}: name the result with one of {', '.join(CONTAINERS)}; "
            f"{clip.path.suffix} is the clip's"
        )
    if CONTAINERS[suffix] != clip.format:
        raise InputError(
            f"{target}: the container must stay the same; name the result "
            f"{target.with_suffix(clip.path.suffix).name}"
        )
    if ENCODERS[clip.codec] not in library.codecs_available:
        raise PhotoError(
            clip.path,
            f"this build of PyAV cannot write {clip.codec}: it lacks {ENCODERS[clip.codec]}",
            "install PyAV's own wheel with pip install --force-reinstall av",
        )
    with open_input(library, clip.path) as container:
        kinds = {
            stream.codec_context.codec.canonical_name: stream.type
            for stream in container.streams
            if stream.type in ("audio", "subtitle")
        }
    with library.open(os.devnull, "w", format=clip.format) as container:
        known = set(container.supported_codecs)
    for name, kind in kinds.items():
        if name not in known:
            raise PhotoError(
                clip.path,
                f"its {kind} ({name}) cannot be written to {suffix}",
                f"remove it first, e.g. with ffmpeg -i IN -c copy -{kind[0]}n OUT{suffix}",
            )


@contextmanager
def keep_scheduling() -> Iterator[None]:
    """Undo the real-time scheduling that SVT-AV1 sets when it is opened by root.

    Its threads, and the thread that opens it, would run before every other process of the machine
    (SCHED_FIFO, priority 99), the latter until it ends.
    """
    if sys.platform != "linux":
        yield
        return
    tasks = Path("/proc/self/task")
    earlier = {task.name for task in tasks.iterdir()}
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        new = {task.name for task in tasks.iterdir()} - earlier
        for thread in (0, *map(int, new)):  # 0: the calling one
            with suppress(ProcessLookupError):
                os.sched_setscheduler(thread, policy, parameters)


class ClipWriter:
    """Writes frames and packets to a temporary file beside the target, renamed at the end.

    Args:
        clip: what was read.
        target: the file to make; replaced if it exists.
        crf: constant rate factor, see `DEFAULT_CRF`.
        threads: of the encoder; None takes every core.
    """

    def __init__(self, clip: Clip, target: Path, *, crf: int, threads: int | None = None) -> None:
        self._clip, self._target, self._crf, self._threads = clip, target, crf, threads
        self._temporary = temporary_path(target)
        self._durations: dict[int, int] = {}  # of the frames within the encoder, by their time
        self.frames = 0
        self.notes: tuple[str, ...] = ()  # on what did not come along

    def __enter__(self) -> Self:
        """Make the temporary file with all its streams.

        Raises:
            PhotoError: that is not possible.
        """
        self._library = load_av()
        with ExitStack() as undo, self._raise_if_unwritable():
            self._target.parent.mkdir(parents=True, exist_ok=True)
            remove_leftovers(self._target.parent, older_than_s=_LEFTOVERS_AGE_S)
            self._source = open_input(self._library, self._clip.path)
            undo.callback(self._source.close)
            undo.callback(self._temporary.unlink, missing_ok=True)
            self._output = self._library.open(
                str(self._temporary.absolute()),
                "w",
                format=CONTAINERS[self._target.suffix.lower()],
                container_options=self._container_options(),
            )
            undo.callback(self._output.close)
            self._add_streams()
            undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the file and give it its name; on an error, take it away."""
        try:
            if kind is None:
                with self._raise_if_unwritable():
                    self._mux(self._video.encode(None))
                    self._output.close()
                    aspect = self._source.streams.video[0].sample_aspect_ratio
                    if aspect and self._clip.codec in ("vp9", "av1") and self._is_matroska:
                        write_pixel_aspect(self._temporary, aspect, self._clip.stored_hw)
                    self.notes = self._missing()
                    with self._temporary.open("r+b") as stream:
                        os.fsync(stream.fileno())
                    self._temporary.replace(self._target)
        finally:
            with suppress(Exception):  # a container that failed once may fail again on closing
                self._output.close()
            self._source.close()
            with suppress(OSError):
                self._temporary.unlink(missing_ok=True)

    def write_frame(self, frame: DecodedFrame, planes: Planes) -> None:
        """Encode a frame with other samples.

        Raises:
            PhotoError: it cannot be written.
        """
        encoded = self._frame_of(planes)
        encoded.pts, encoded.time_base = frame.pts, self._clip.time_base
        if frame.duration:
            encoded.duration = frame.duration
            self._durations[frame.pts] = frame.duration
        with self._raise_if_unwritable():
            self._mux(self._video.encode(encoded))
        self.frames += 1

    def write_packet(self, packet: "av.Packet") -> None:
        """Take over a packet of another stream.

        Raises:
            PhotoError: it cannot be written.
        """
        stream = self._others.get(packet.stream.index)
        if stream is None:
            return
        packet.stream = stream
        with self._raise_if_unwritable():
            self._output.mux_one(packet)

    def _missing(self) -> tuple[str, ...]:
        """Return what the written file lacks: pixel aspect ratio, titles and other metadata."""
        with open_input(self._library, self._temporary) as made:
            pairs = [(self._source.metadata, made.metadata, _CONTAINERS_OWN)]
            taken = [
                stream for stream in self._source.streams if describe_unsupported(stream) is None
            ]
            for old, new in zip(taken, made.streams, strict=False):
                pairs.append((old.metadata, new.metadata, _STREAMS_OWN))
            lost = [
                name
                for old, new, own in pairs
                for name, value in old.items()
                if name not in own and name not in new and value not in ("", _NO_TIME)
            ]
            notes = [f"metadata {name} is not carried over" for name in dict.fromkeys(lost)]
            aspect = self._source.streams.video[0].sample_aspect_ratio
            written = made.streams.video[0].sample_aspect_ratio or 1
            # Matroska states the displayed size in whole px instead.
            if aspect and abs(written / aspect - 1) > _ASPECT_ROUNDING:
                notes.append(
                    f"pixel aspect ratio {aspect.numerator}:{aspect.denominator} is not carried "
                    f"over: {self._clip.codec} in this container loses it; write .mp4"
                )
            return tuple(notes)

    @property
    def _is_matroska(self) -> bool:
        return CONTAINERS[self._target.suffix.lower()] in ("matroska", "webm")

    def _container_options(self) -> dict[str, str]:
        if CONTAINERS[self._target.suffix.lower()] not in ("mp4", "mov"):
            return {}
        options = {"video_track_timescale": str(self._clip.time_base.denominator)}
        if any(name.startswith("com.") for name in self._source.metadata):
            options["movflags"] = "use_metadata_tags"
        return options

    def _add_streams(self) -> None:
        self._others: dict[int, Any] = {}
        cover = self._library.stream.Disposition.attached_pic
        for stream in self._source.streams:
            if stream.type == "video" and not stream.disposition & cover:
                made = self._video = self._add_video(stream)
            elif stream.type == "attachment":
                made = self._output.add_attachment(
                    stream.name or "attachment", stream.mimetype or "", stream.data
                )
            elif describe_unsupported(stream) is None:
                made = self._others[stream.index] = self._output.add_stream_from_template(stream)
                made.time_base = stream.time_base
            else:
                continue
            own = {k: v for k, v in stream.metadata.items() if k not in _STREAMS_OWN}
            made.metadata.update(own)
            made.disposition = stream.disposition
        self._output.metadata.update(
            {k: v for k, v in self._source.metadata.items() if k not in _CONTAINERS_OWN}
        )
        chapters = self._source.chapters()
        if chapters:
            self._output.set_chapters(chapters)
        with keep_scheduling():
            self._output.start_encoding()

    def _add_video(self, stream: "av.VideoStream") -> "av.VideoStream":
        clip, source = self._clip, stream.codec_context
        options = {**_OPTIONS[clip.codec], "crf": str(self._crf)}
        if clip.codec == "h264" and stream.profile in _X264_PROFILES:
            options["profile"] = _X264_PROFILES[stream.profile]
        made: av.VideoStream = self._output.add_stream(
            ENCODERS[clip.codec], rate=clip.rate, options=options
        )
        made.height, made.width = clip.stored_hw
        made.pix_fmt = clip.pixel_format
        made.time_base = made.codec_context.time_base = clip.time_base
        if stream.sample_aspect_ratio:  # of VP9 and AV1 the container's alone states it
            made.codec_context.sample_aspect_ratio = stream.sample_aspect_ratio
        for tag in ("color_range", "color_primaries", "color_trc", "colorspace"):
            setattr(made.codec_context, tag, getattr(source, tag))
        if CONTAINERS[self._target.suffix.lower()] == clip.format and clip.codec == "hevc":
            made.codec_context.codec_tag = source.codec_tag  # hvc1 or hev1: players are particular
        if clip.display_matrix is not None:
            made.set_display_matrix(clip.display_matrix)
        if self._threads is not None:
            made.codec_context.thread_count = self._threads
        self._tags = (source.color_range, source.color_primaries, source.color_trc)
        self._matrix = source.colorspace
        return made

    def _frame_of(self, planes: Planes) -> "av.VideoFrame":
        height, width = self._clip.stored_hw
        frame = self._library.VideoFrame(width, height, self._clip.pixel_format)
        for plane, samples in zip(frame.planes, planes, strict=True):
            lines = np.zeros((plane.height, plane.line_size), np.uint8)
            content = np.ascontiguousarray(samples).view(np.uint8)
            lines[:, : content.shape[1]] = content
            plane.update(lines.tobytes())
        frame.color_range, frame.color_primaries, frame.color_trc = self._tags
        frame.colorspace = self._matrix
        return frame

    def _mux(self, packets: "Sequence[av.Packet]") -> None:
        for packet in packets:
            duration = self._durations.pop(packet.pts, 0)
            if duration and packet.time_base == self._clip.time_base:
                packet.duration = duration
            self._output.mux_one(packet)

    @contextmanager
    def _raise_if_unwritable(self) -> Iterator[None]:
        try:
            yield
        except PhotoError:
            raise
        except (self._library.error.FFmpegError, OSError) as error:
            cause = getattr(error, "strerror", None) or error
            raise PhotoError(
                self._target,
                f"it cannot be written ({cause})",
                "check the name, the folder's permissions and free space",
            ) from error
