"""Clips made for tests, with known truth: a red thing moves before a background that is known."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from cleanplate.evaluation.metrics import psnr_db
from cleanplate.types import Mask, RGBImage
from cleanplate.video.writing import keep_scheduling

TICKS = Fraction(1, 90000)
RED = (220, 20, 20)


def world(rng: np.random.Generator, size_hw: tuple[int, int] = (200, 320)) -> RGBImage:
    """Return a picture full of details at several scales, without red."""
    height, width = size_hw
    picture = np.full((height, width, 3), 120.0, np.float32)
    for cells, strength in ((6, 45.0), (18, 35.0), (50, 25.0)):
        coarse = rng.normal(0, strength, (cells, cells * width // height, 3)).astype(np.float32)
        coarse[..., 0] = coarse[..., 1]
        picture += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(picture, 35, 235).astype(np.uint8)


def view(picture: RGBImage, left: float, top: float, size_hw: tuple[int, int]) -> RGBImage:
    """Return the part of a picture that a camera sees whose upper left corner is there."""
    move = np.array([[1, 0, left], [0, 1, top]], np.float64)
    flags = cv2.WARP_INVERSE_MAP | cv2.INTER_CUBIC
    return np.asarray(cv2.warpAffine(picture, move, size_hw[::-1], flags=flags), np.uint8)


def with_thing(image: RGBImage, centre_xy: tuple[float, float], size_wh=(26, 40)) -> RGBImage:
    """Return a frame with a red ellipse on it."""
    result = image.copy()
    centre = tuple(round(value) for value in centre_xy)
    cv2.ellipse(result, centre, (size_wh[0] // 2, size_wh[1] // 2), 0, 0, 360, RED, -1)
    return result


def panned(
    rng: np.random.Generator,
    *,
    frames: int = 24,
    size_hw: tuple[int, int] = (120, 160),
    pan_px: float = 0.0,
    step_px: float = 5.0,
) -> tuple[list[RGBImage], list[RGBImage]]:
    """Return frames with the thing crossing them, and the same without it."""
    height, width = size_hw
    picture = world(rng, (height, width + int(frames * abs(pan_px)) + 8))
    truth = [view(picture, 2 + number * pan_px, 0, size_hw) for number in range(frames)]
    start = width / 2 - step_px * frames / 2
    shown = [
        with_thing(image, (start + step_px * number, height / 2))
        for number, image in enumerate(truth)
    ]
    return shown, truth


def write_clip(
    path: Path,
    frames: Sequence[RGBImage],
    *,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    times: Sequence[int] | None = None,
    rotation: int | None = None,
    sound: str | None = None,
    tags: dict[str, int] | None = None,
    metadata: dict[str, str] | None = None,
    chapters: list[dict[str, object]] | None = None,
    options: dict[str, str] | None = None,
    aspect: Fraction | None = None,
) -> Path:
    """Write frames as a clip.

    Args:
        path: its ending says the container.
        frames: (H, W, 3) uint8, as they are stored.
        times: of the frames, in 90,000ths of a second; None makes 30 frames a second.
        rotation: of the display matrix, counter-clockwise.
        sound: codec of a tone beside it.
        tags: of the codec context, such as color_primaries.
    """
    given = {"crf": "4", "preset": "veryfast"} if codec == "libx264" else {"crf": "10"}
    if codec == "libx265":
        given["x265-params"] = "log-level=none"
    times = times or [3000 * number for number in range(len(frames))]
    scale = {"video_track_timescale": "90000"} if path.suffix in (".mp4", ".mov") else {}
    with av.open(str(path), "w", container_options=scale) as output:
        stream = output.add_stream(codec, rate=30, options=given | (options or {}))
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixel_format
        stream.time_base = stream.codec_context.time_base = TICKS
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
        if rotation is not None:
            stream.set_display_rotation(rotation)
        tone = output.add_stream(sound, rate=48000) if sound else None
        output.metadata.update(metadata or {})
        if chapters:
            output.set_chapters(chapters)
        with keep_scheduling():
            output.start_encoding()
        for image, time in zip(frames, times, strict=True):
            frame = av.VideoFrame.from_ndarray(image).reformat(format=pixel_format)
            frame.pts, frame.time_base = time, TICKS
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if tone is not None:
            _write_tone(output, tone, times[-1] / 90000)
    return path


def _write_tone(output, tone, seconds: float) -> None:
    deep = tone.codec_context.codec.name in ("aac",)
    for number in range(max(1, int(seconds * 48000 / 1024))):
        wave = np.sin((np.arange(1024) + number * 1024) * 0.06)[None]
        samples = wave.astype(np.float32) if deep else (wave * 9000).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples, "fltp" if deep else "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, number * 1024, Fraction(1, 48000)
        output.mux(tone.encode(frame))
    output.mux(tone.encode(None))


def decoded(path: Path) -> list[RGBImage]:
    """Return the frames of a clip as they are stored."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def times_of(path: Path) -> list[int]:
    with av.open(str(path)) as container:
        base = container.streams.video[0].time_base
        return [round(frame.pts * base / TICKS) for frame in container.decode(video=0)]


def packets_of(path: Path, kind: str) -> list[tuple[int | None, int | None, bytes]]:
    """Return time, duration and content of the packets of the streams of a kind."""
    with av.open(str(path)) as container:
        streams = [stream for stream in container.streams if stream.type == kind]
        return [
            (packet.pts, packet.duration, bytes(packet))
            for packet in container.demux(streams)
            if packet.size
        ]


def red(image: RGBImage) -> Mask:
    """Return where there is something of the thing."""
    strong = image.astype(int)
    return np.asarray((strong[..., 0] > 120) & (strong[..., 1] < 70) & (strong[..., 2] < 70))


def holes(frames: Sequence[RGBImage]) -> list[Mask]:
    """Return where the thing is in each frame."""
    return [red(frame) for frame in frames]


def mean_psnr(
    result: Sequence[RGBImage], truth: Sequence[RGBImage], masks: Sequence[Mask]
) -> float:
    """Return the mean over the frames, in dB, where the masks are True."""
    return float(np.mean([psnr_db(*three) for three in zip(result, truth, masks, strict=True)]))
